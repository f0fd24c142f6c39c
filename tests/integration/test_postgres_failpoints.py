"""The source is killed at each of its failpoints; whatever is left on the server, it goes on from there."""

import json
import os
import subprocess
import sys
from pathlib import Path
from signal import SIGKILL

import pytest

from tailrace.failpoints import declared_failpoints
from tests.crash.failpoints import STREAMED
from tests.integration.following import Follower, following
from tests.servers import Postgres

# A first start that prints where the stream begins, as a checkpoint would keep it, then delivers two rows;
# with "left" it finds the slot of an unfinished attempt.
_CHILD = """
import asyncio, json, sys
from tests.integration.following import Follower
from tests.servers import Postgres

async def main(url, database, left):
    follower = Follower(Postgres(url), database)
    if left:
        await follower.source.anchored()
        await follower.source.anchor()
    print(json.dumps(await follower.start()), flush=True)
    follower.sql("INSERT INTO t VALUES (1), (2)")
    batches = await follower.until()
    print(json.dumps(batches[-1].end), flush=True)
    await follower.source.acknowledge(batches[-1].end)
    await follower.close()

asyncio.run(main(sys.argv[1], sys.argv[2], sys.argv[3] == "left"))
"""

# A later start, from a checkpoint.
_LATER = """
import asyncio, json, sys
from tests.integration.following import Follower
from tests.servers import Postgres

async def main(url, database, position):
    await Follower(Postgres(url), database, keyless="inserts_only").resume(json.loads(position))

asyncio.run(main(*sys.argv[1:]))
"""

_FAILPOINTS = {
    "postgres.publication.created": "clean",
    "postgres.slot.created": "clean",
    "postgres.slot.dropped": "left",
    "postgres.feedback.before": "clean",
    "postgres.feedback.after": "clean",
}


def test_every_failpoint_of_the_source_is_here() -> None:
    declared = [name for name in declared_failpoints() if name.startswith("postgres.")]
    assert declared == sorted([*_FAILPOINTS, *STREAMED])  # of these: tests/crash/test_streaming.py


@pytest.mark.parametrize("failpoint", _FAILPOINTS)
async def test_killed(postgres: Postgres, postgres_database: str, failpoint: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    printed = _run(
        failpoint, _CHILD, postgres.url(postgres_database), postgres_database, _FAILPOINTS[failpoint]
    )
    follower = Follower(postgres, postgres_database)
    try:
        if not printed:  # no position was stored: the first start begins anew
            await follower.start()
        else:
            await follower.resume(printed[-1])
            rest = [after for _, _, _, after in await follower.told()]
            assert rest == ([] if len(printed) == 2 else [{"id": 1}, {"id": 2}])
        follower.sql("INSERT INTO t VALUES (3)")
        assert [after for _, _, _, after in await follower.told()] == [{"id": 3}]
    finally:
        await follower.close()


async def test_killed_while_a_table_moves_from_one_publication_to_the_other(
    postgres: Postgres, postgres_database: str
) -> None:
    """It stands in one of both at each instant: what is written around the kill arrives as published then."""
    postgres.execute("CREATE TABLE log (id int, n int)", database=postgres_database)
    async with following(postgres, postgres_database, keyless="inserts_only") as follower:
        position = (await follower.until())[-1].end
    follower.sql("INSERT INTO log VALUES (1, 1)")
    follower.sql("ALTER TABLE log ADD PRIMARY KEY (id)")
    follower.sql("INSERT INTO log VALUES (2, 2); UPDATE log SET n = 3 WHERE id = 2")
    url = postgres.url(postgres_database)
    _run("postgres.publication.created", _LATER, url, postgres_database, json.dumps(position))
    follower.sql("INSERT INTO log VALUES (3, 3); UPDATE log SET n = 4 WHERE id = 3")
    again = Follower(postgres, postgres_database, keyless="inserts_only")
    try:
        await again.resume(position)
        again.sql("DELETE FROM log WHERE id = 1")
        assert [(op, after) for op, _, _, after in await again.told()] == [
            ("c", {"id": 1, "n": 1}),
            ("c", {"id": 2, "n": 2}),
            ("c", {"id": 3, "n": 3}),
            ("u", {"id": 3, "n": 4}),
            ("d", None),
        ]
    finally:
        await again.close()


def _run(failpoint: str, *script: str) -> list[dict[str, str]]:
    """What a script with its arguments printed before it was killed."""
    child = subprocess.run(
        [sys.executable, "-c", *script],
        cwd=Path(__file__).parents[2],
        env={**os.environ, "TAILRACE_FAILPOINTS": f"{failpoint}=kill"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == -SIGKILL, child.stderr
    return [json.loads(line) for line in child.stdout.splitlines()]
