"""A stop in the middle of one large transaction, and a start that counts its changes differently."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
from typing import Any

from tests.integration.commandline import Pipeline, tailrace
from tests.waiting import wait_until

_ROWS = 1_000_000  # many more than a stop has time to deliver
_STOP_SECONDS = 8
_SLACK_SECONDS = 3


def test_it_leaves_in_time_and_goes_on_inside(pipeline: Pipeline) -> None:
    pipeline.deliver()
    pipeline.sql(f"INSERT INTO t SELECT n, 'row ' || n FROM generate_series(1, {_ROWS}) n")
    pipeline.insert(_ROWS + 1)
    _stop_inside(pipeline)
    delivered = _count(pipeline)
    assert 0 < delivered < _ROWS
    _change_the_rule(pipeline)
    said = tailrace("run", pipeline.write(), "--until-current", "--redeliver-transaction", timeout=300)
    assert said.code == 0, said.err
    # What had been delivered comes once more, the whole transaction in order behind it, and nothing else.
    assert _stored(pipeline) == [*range(1, delivered + 1), *range(1, _ROWS + 2)]


def _stop_inside(pipeline: Pipeline) -> None:
    with pipeline.running() as process:
        wait_until(lambda: _count(pipeline) > 0, "the first of the transaction", 60)
        process.signal(signal.SIGTERM)
        process.wait(_STOP_SECONDS + _SLACK_SECONDS, expected=0)
    assert ", ordinal " in pipeline.positions()["log"]


def _change_the_rule(pipeline: Pipeline) -> None:
    """As if another version had counted: what tells it is in the checkpoint."""
    with contextlib.closing(sqlite3.connect(pipeline.folder / "log.db", isolation_level=None)) as log:
        log.execute(
            "UPDATE checkpoint SET checkpoint = replace(checkpoint, 'ordinals=1', 'ordinals=0') "
            "WHERE checkpoint LIKE '%ordinals=1%'"
        )
        ((changed,),) = log.execute("SELECT changes()")
        assert changed == 1
    before = _count(pipeline)
    problem = pipeline.refused("TR-PG-330")
    assert "ordinals=0" in problem.found
    assert "--redeliver-transaction" in str(problem.remedy)
    assert list(pipeline.faults()) == ["TR-PG-330"]
    assert _count(pipeline) == before


def _count(pipeline: Pipeline) -> int:
    return sum(count for (count,) in _rows(pipeline, "count(*)"))


def _stored(pipeline: Pipeline) -> list[int]:
    keys = b"[%b]" % b",".join(key for (key,) in _rows(pipeline, "key"))
    return [key["id"] for key in json.loads(keys)]


def _rows(pipeline: Pipeline, what: str) -> list[tuple[Any, ...]]:
    """Straight out of the file: there are many."""
    log = sqlite3.connect(f"file:{pipeline.folder / 'log.db'}?mode=ro", uri=True)
    with contextlib.closing(log):
        found = log.execute("SELECT id FROM topic WHERE name = ?", (f"{pipeline.name}.public.t",)).fetchone()
        if found is None:
            return []
        return log.execute(f'SELECT {what} FROM events_{found[0]} ORDER BY "offset"').fetchall()
