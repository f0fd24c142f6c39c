"""The list of differences that the golden files allow is the one that people read."""

from __future__ import annotations

from itertools import chain
from pathlib import Path

from tests.golden.binlog import differences as binlog
from tests.golden.differences import DIFFERENCES, OF_EXTENSIONS, UNRECORDED, WITH_OPTIONS

DOCUMENT = Path(__file__).parents[2] / "docs" / "debezium-differences.md"


def rows() -> list[str]:
    """What Debezium does, in the tables that say what we do instead."""
    lines = DOCUMENT.read_text().splitlines()
    tables = [i for i, line in enumerate(lines) if line == "| Debezium | tailrace | because |"]
    found = []
    for start in tables:
        for line in lines[start + 2 :]:
            if not line.startswith("| "):
                break
            found.append(line.removeprefix("| "))
    return found


def test_every_row_is_recorded_or_says_why_not() -> None:
    recorded = chain(DIFFERENCES, *WITH_OPTIONS.values(), *OF_EXTENSIONS.values(), binlog.ALL)
    known = {d.documented for d in recorded}
    unrecorded = UNRECORDED.keys() | binlog.UNRECORDED.keys()
    assert not known & unrecorded
    documented = rows()
    found = {begin: [row for row in documented if row.startswith(begin)] for begin in known | unrecorded}
    assert [begin for begin, fitting in found.items() if len(fitting) != 1] == []
    assert sorted(documented) == sorted(row for fitting in found.values() for row in fitting)
