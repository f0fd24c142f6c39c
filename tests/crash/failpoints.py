"""Every failpoint that the program declares, and how the suite gets there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from typing import Final

STEADY: Final[Mapping[str, int]] = {
    "engine.start.claimed": 2,
    "engine.start.all_claimed": 1,
    "engine.writer.written": 7,
    "engine.writer.committed": 7,
    "engine.acknowledge.before": 3,
    "engine.stored.save.before": 3,
    "postgres.feedback.before": 2,
    "postgres.feedback.after": 2,
    "kafka.open.fenced": 2,
    "kafka.write.sent": 2,
    "kafka.commit.sent": 7,
    "kafka.commit.before": 6,
    "kafka.commit.after": 5,
    "log.open.before": 1,
    "log.open.fenced": 1,
    "log.commit.before": 4,
    "log.commit.fenced": 3,
    "log.commit.appended": 4,
    "log.commit.locked": 5,
    "log.commit.after": 3,
    "stdout.write.after": 3,
    "stdout.commit.before": 4,
    "stdout.commit.after": 4,
    "offsets.claim.after": 1,
    "offsets.save.before": 3,
    "offsets.save.locked": 4,
    "offsets.save.after": 5,
}
"""Passed in every run under traffic; which call of it `make test` kills at."""

FIRST_START: Final[Mapping[str, tuple[int, ...]]] = {
    "engine.start.new_stored": (1, 3),
    "engine.start.anchored": (1,),
    "engine.start.at_stored": (1, 2, 3),
    "postgres.publication.created": (1,),
    "postgres.slot.created": (1,),
    "kafka.offsets_topic.created": (1, 2),
    "kafka.topic.created": (1, 6),
}
"""Passed in a pipeline's first start, or with the first events of its tables; at which calls it is killed."""

SECOND_ATTEMPT: Final = "postgres.slot.dropped"
"""Passed where a first start finds the slot of an earlier attempt that was killed."""

STREAMED: Final[Mapping[str, int]] = {
    "postgres.spool.written": 9,
    "postgres.assembly.committed": 2,
    "postgres.assembly.handed_out": 1,
}
"""Passed where transactions are streamed while they are open: as pieces are spooled, at the commit, and when
a megabyte of the transaction has been handed out."""

RETENTION: Final = "log.retention.expired"
"""Passed where a log has grown beyond what it is to keep."""

STORES: Final[Mapping[str, Mapping[str, int]]] = {
    "file": {
        "offsets.file.claimed": 1,
        "offsets.file.written": 2,
        "offsets.file.renamed": 3,
        "offsets.file.saved": 2,
    },
    "postgres": {
        "offsets.postgres.claimed": 1,
        "offsets.postgres.before_save": 3,
        "offsets.postgres.saved": 2,
    },
    "kafka": {
        "offsets.kafka.claimed": 1,
        "offsets.kafka.sent": 3,
        "offsets.kafka.saved": 2,
    },
}
"""Of the offset stores beside `sqlite`, passed where a pipeline keeps its checkpoints there."""

COVERED: Final = sorted(
    {
        *(name for points in STORES.values() for name in points),
        *STEADY,
        *FIRST_START,
        *STREAMED,
        SECOND_ATTEMPT,
        RETENTION,
    }
)

_DECLARED: Final = """
import importlib, pkgutil
for root in ("tailrace", "connectors", "sinks", "offsets"):
    for module in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
from tailrace.failpoints import declared_failpoints
print("\\n".join(declared_failpoints()))
"""


def declared() -> list[str]:
    """The failpoints of all modules of the program, sorted. Asked of a process of its own, in which no test
    has declared any."""
    run = subprocess.run([sys.executable, "-c", _DECLARED], capture_output=True, text=True, check=True)
    return run.stdout.split()
