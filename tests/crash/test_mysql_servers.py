"""MySQL, MariaDB and Kafka killed while a pipeline delivers, files of the log that come and go, and two
processes of one pipeline, each time under mixed traffic."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from tests.crash import kills
from tests.crash.mysql_rig import MySqlRig
from tests.integration.relay import Endpoint, Relay
from tests.pipelines import PipelineProcess, gives_way
from tests.servers import KafkaServer, MySql, MySqlServer
from tests.servers.mysql_releases import RELEASES
from tests.waiting import wait_until

_SAFE = {"innodb_flush_log_at_trx_commit": 1, "sync_binlog": 1}

pytestmark = [pytest.mark.matrix, pytest.mark.timeout(240)]


def takes_over(newer: PipelineProcess) -> None:
    """It streams, or waits for the log's lock, in which the older one happens to be held."""
    wait_until(
        lambda: "pipeline streaming" in newer.stderr or "TR-SQLITE-001" in newer.stderr,
        "the newer process to take over",
        60,
    )


@pytest.mark.parametrize("release", RELEASES)
def test_a_broker_and_a_database_are_killed(
    make_mysql: Callable[..., MySqlServer],
    make_kafka: Callable[..., KafkaServer],
    make_mysql_rig: Callable[..., MySqlRig],
    release: str,
    seed: int,
    round: int,
) -> None:
    random = Random(f"{seed}/{round}/{release}")
    database, broker = make_mysql(release, _SAFE), make_kafka()
    rig = make_mysql_rig(database, kafka=broker, stdout=False)
    rig.recover()
    kills.of_the_broker(rig, broker, random, seed=2 * round)
    rig.recover()
    kills.of_the_database(rig, database, random, seed=2 * round + 1)
    rig.recover()


@pytest.mark.parametrize("release", RELEASES)
def test_a_replica_is_promoted_under_load(
    make_mysql: Callable[..., MySqlServer], make_mysql_rig: Callable[..., MySqlRig], release: str
) -> None:
    """The process runs on: its URL leads to whoever is the primary."""
    primary, replica = make_mysql(release), make_mysql(release)
    replica.follow(primary)
    rig = make_mysql_rig(primary, stdout=False)
    rig.kills["the database, for a replica"] += 1
    with Relay(Endpoint(primary.host, primary.port)) as relay:
        rig.pipeline.moved(primary.url().replace(f":{primary.port}", f":{relay.port}"))
        rig.recover()
        with rig.pipeline.start() as process:
            with rig.traffic(1):
                time.sleep(2)
                relay.hold_all()
                time.sleep(0.5)
            replica.wait_for(primary.gtids())
            primary.kill()
            replica.promote()
            rig.moved(replica)
            relay.target = Endpoint(replica.host, replica.port)
            with rig.traffic(2):
                relay.release_all()
                relay.cut()
                time.sleep(1)
            rig.wait_for_progress(process)
            process.signal(signal.SIGTERM)
            process.wait(30, expected=0)
        rig.recover()


def test_files_of_the_log_come_and_go(
    mysql_server: MySql, make_mysql_rig: Callable[..., MySqlRig], round: int
) -> None:
    """Each a few transactions long, and removed as soon as the pipeline is behind it, which is killed too."""
    rig = make_mysql_rig(mysql_server, stdout=False)
    rig.recover()
    for part in range(3):
        with rig.traffic(10 * round + part), rig.pipeline.start() as process:
            for _ in range(4):
                mysql_server.execute("FLUSH BINARY LOGS")
                rig.wait_for_progress(process)
            rig.kills["the pipeline, at a random instant"] += 1
            process.kill()
        rig.recover()
        newest = mysql_server.execute("SHOW BINARY LOGS")[-1][0]
        mysql_server.execute(f"PURGE BINARY LOGS TO '{newest}'")


@pytest.mark.parametrize(
    ("failpoint", "nth"),
    [
        ("engine.start.claimed", 2),  # it holds a claim on one sink and not on the next
        ("engine.writer.written", 9),
        ("kafka.commit.sent", 9),
        ("kafka.commit.before", 8),
        ("log.commit.before", 5),
        ("engine.acknowledge.before", 3),
    ],
)
def test_held_between_two_steps_across_a_takeover(
    mysql_server: MySql, make_mysql_rig: Callable[..., MySqlRig], failpoint: str, nth: int
) -> None:
    rig = make_mysql_rig(mysql_server, stdout=False)
    rig.recover()
    with rig.traffic(1), rig.pipeline.start(failpoints=f"{failpoint}=stop@{nth}") as older:
        wait_until(lambda: older.held, f"the older process to be held at {failpoint}")
        rig.kills["the pipeline, by a second process"] += 1
        with rig.pipeline.start(data_dir=Path("elsewhere")) as newer:
            takes_over(newer)
            older.signal(signal.SIGCONT)
            gives_way(older, newer)
            rig.wait_for_progress(newer)
    rig.recover()


def test_held_at_any_instant_across_a_takeover(
    mysql_server: MySql, make_mysql_rig: Callable[..., MySqlRig], seed: int, round: int
) -> None:
    rig = make_mysql_rig(mysql_server, stdout=False)
    rig.recover()
    random = Random(f"{seed}/{round}")
    with rig.traffic(round), rig.pipeline.start() as older:
        rig.wait_for_progress(older)
        rig.burst()
        time.sleep(random.uniform(0, 0.3))
        older.signal(signal.SIGSTOP)
        rig.kills["the pipeline, by a second process"] += 1
        with rig.pipeline.start(data_dir=Path("elsewhere")) as newer:
            takes_over(newer)
            older.signal(signal.SIGCONT)
            gives_way(older, newer)
            rig.wait_for_progress(newer)
    rig.recover()
