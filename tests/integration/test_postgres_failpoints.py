"""The source is killed at each of its failpoints; whatever is left on the server, it goes on from there."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from signal import SIGKILL

import pytest

from tailrace.failpoints import declared_failpoints
from tests.integration.following import Follower
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

_FAILPOINTS = {
    "postgres.publication.created": "clean",
    "postgres.slot.created": "clean",
    "postgres.slot.dropped": "left",
    "postgres.feedback.before": "clean",
    "postgres.feedback.after": "clean",
}


def test_every_failpoint_of_the_source_is_here() -> None:
    declared = [name for name in declared_failpoints() if name.startswith("postgres.")]
    assert declared == sorted(_FAILPOINTS)


@pytest.mark.parametrize("failpoint", _FAILPOINTS)
async def test_killed(postgres: Postgres, postgres_database: str, failpoint: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    printed = _run(postgres, postgres_database, {"TAILRACE_FAILPOINTS": f"{failpoint}=kill"}, failpoint)
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


def _run(
    postgres: Postgres, database: str, environment: Mapping[str, str], failpoint: str
) -> list[dict[str, str]]:
    child = subprocess.run(
        [sys.executable, "-c", _CHILD, postgres.url(database), database, _FAILPOINTS[failpoint]],
        cwd=Path(__file__).parents[2],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert child.returncode == -SIGKILL, child.stderr
    return [json.loads(line) for line in child.stdout.splitlines()]
