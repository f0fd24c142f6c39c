"""The embedded event log: topics of immutable events in one SQLite file.

One process writes, any number read meanwhile, in other processes too. Every event has an offset in its topic:
dense, growing by one from 0, never used again. Old events are removed from a topic's beginning as its
retention says; what remains keeps its offsets.
"""

from tailrace.log.reader import Entry, Page, Reader, Topic
from tailrace.log.retention import Retention
from tailrace.log.writer import Writer

__all__ = ["Entry", "Page", "Reader", "Retention", "Topic", "Writer"]
