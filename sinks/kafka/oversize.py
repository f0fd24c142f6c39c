"""Records that are larger than Kafka takes: measured before they are sent, refused or left out and told.

A record is measured alone, as the broker will measure it: by its bytes and, compressed, by the topic's bound.
So what is left out once is left out again when it is delivered once more, whatever stands beside it then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final

from sinks.kafka.config import KafkaSettings
from tailrace.clients.kafka.batch import Row, compressed_size
from tailrace.errors import Rejected, code
from tailrace.logs import Logger

RECORD_TOO_LARGE = code(
    "TR-KAFKA-011",
    "a record is too large for Kafka",
    "One event is larger than a request or the topic allows. Nothing of its unit is delivered: leaving it "
    "out would lose it unsaid. With `record_too_large: skip` it is left out, and said.",
)

_log: Final = Logger(__name__)


class Oversize:
    """The policy of one sink, and what it has left out of the unit that is being written."""

    def __init__(self, settings: KafkaSettings, identity: str) -> None:
        self._limit = settings.max_request_size
        self._compression = settings.compression
        self._skip = settings.record_too_large == "skip"
        self._identity = identity
        self._skipped: Counter[str] = Counter()

    @property
    def skipped(self) -> Mapping[str, int]:
        """Records by table."""
        return self._skipped

    def reset(self) -> None:
        """Another unit begins."""
        self._skipped = Counter()

    def leaves_out(self, row: Row, size: int, topic: str, bound: int | None) -> bool:
        """Whether a record that takes `size` bytes before compression is left out of its topic, which takes
        `bound` bytes after it. Rejected where it does not fit and is to stop the pipeline."""
        limit, setting = self._limit, "the sink's max_request_size"
        if size <= limit:
            # The topic's bound is one on compressed bytes: it takes the compressing to know.
            size = compressed_size(row, self._compression)
            limit, setting = bound or limit, f"max.message.bytes of topic {topic}"
        if size <= limit:
            return False
        record = row[-1]
        table, found = record.change.table, f"takes {size} bytes, {setting} is {limit}"
        if not self._skip:
            raise Rejected(
                RECORD_TOO_LARGE,
                f"the {record.change.op!r} of {table} at {record.position} {found}",
                f"Raise {setting}, then start again; a topic's max.message.bytes bounds it too. Or have such "
                "records left out, which is told and counted: record_too_large: skip in the sink's block.",
                where=f"topic {topic}",
            )
        # Before the commit: one that is written again is told again, and none is left out untold.
        _log.warning(
            "a record is left out (record_too_large: skip)",
            code=RECORD_TOO_LARGE.id,
            sink=self._identity,
            topic=topic,
            table=str(table),
            op=record.change.op,
            position=record.position,
            found=found,
        )
        self._skipped[str(table)] += 1
        return True
