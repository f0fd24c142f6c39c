"""SIGKILL of a pipeline on MySQL or MariaDB at every failpoint of the engine, of its sinks and offset stores.

The source has none: it makes nothing durable, neither on the server, which it tells nothing, nor on its own
disk. What a kill inside a large transaction does to it is seen at the engine's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import pytest

from tests.crash import failpoints, kills
from tests.crash.mysql_rig import MySqlRig
from tests.crash.test_offset_stores import settings
from tests.servers import Kafka, MySql, Postgres
from tests.waiting import wait_until


def _without_source(points: Mapping[str, int]) -> dict[str, int]:
    return {name: nth for name, nth in points.items() if not name.startswith("postgres.")}


# There is one Kafka, where the pipelines on PostgreSQL have two.
STEADY = _without_source(failpoints.STEADY) | {"kafka.open.fenced": 1}
FIRST_START = [
    ("engine.start.new_stored", 1),
    ("engine.start.new_stored", 2),
    ("engine.start.anchored", 1),
    ("engine.start.at_stored", 1),
    ("engine.start.at_stored", 2),
    ("kafka.offsets_topic.created", 1),
    ("kafka.topic.created", 1),
    ("kafka.topic.created", 6),
]


def test_every_failpoint_is_passed_on_every_source() -> None:
    """But those of the other source."""
    covered = {*STEADY, *(name for name, _ in FIRST_START), failpoints.RETENTION}
    covered |= {name for points in failpoints.STORES.values() for name in points}
    assert sorted(covered) == [name for name in failpoints.COVERED if not name.startswith("postgres.")]


@pytest.mark.timeout(240)
@pytest.mark.groups(
    [
        [name for name in STEADY if name.startswith("engine.")],
        [name for name in STEADY if name.startswith("kafka.")],
        [name for name in STEADY if not name.startswith(("engine.", "kafka."))],
    ]
)
def test_killed_while_it_works(mysql_rig: MySqlRig, points: Sequence[str]) -> None:
    """At one after the other: each process finds what the one before has left."""
    for name in points:
        # Inside of a large transaction, and where one fills a batch.
        bursts = int(name.startswith(("engine.writer.", "kafka.write.")))
        kills.at_failpoint(mysql_rig, name, STEADY[name], seed=STEADY[name], bursts=bursts)
    mysql_rig.recover()


@pytest.mark.matrix
@pytest.mark.parametrize(("name", "nth"), FIRST_START)
def test_killed_in_its_first_start(
    mysql_server: MySql, make_mysql_rig: Callable[..., MySqlRig], name: str, nth: int
) -> None:
    """Under traffic, so that what is due begins where the start does that counts in the end."""
    rig = make_mysql_rig(mysql_server, stdout=False)
    kills.at_failpoint(rig, name, nth, seed=nth)
    with rig.traffic(seed=3), rig.pipeline.start() as process:
        # What is committed before it has begun is not due.
        wait_until(lambda: "pipeline streaming" in process.stderr, "the start", 60)
        rig.wait_for_progress(process)
        process.kill()
    rig.pipeline.run_until_current()
    rig.begun()
    rig.verify()


@pytest.mark.matrix
@pytest.mark.parametrize("store", failpoints.STORES)
def test_killed_while_it_saves(
    mysql_server: MySql,
    make_mysql_rig: Callable[..., MySqlRig],
    store: str,
    postgres16: Postgres,
    kafka: Kafka,
    topic_prefix: str,
) -> None:
    rig = make_mysql_rig(mysql_server, offsets=settings(store, postgres16, kafka, topic_prefix))
    rig.pipeline.run_until_current()
    for seed, (name, nth) in enumerate(failpoints.STORES[store].items()):
        kills.at_failpoint(rig, name, nth, seed)
    rig.recover()
    assert rig.verified["stdout"] > 200


@pytest.mark.matrix
def test_killed_while_old_events_are_removed(
    mysql_server: MySql, make_mysql_rig: Callable[..., MySqlRig]
) -> None:
    """What the log has removed is in Kafka; what is left goes on without a gap."""
    rig = make_mysql_rig(mysql_server, stdout=False, log={"retention_bytes": 4 * 1024 * 1024})
    del rig.targets["log"]
    rig.recover()
    for seed in (1, 2):
        kills.at_failpoint(rig, failpoints.RETENTION, 1, seed, bursts=4)
    rig.recover()
