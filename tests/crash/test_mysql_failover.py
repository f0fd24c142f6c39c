"""A pipeline goes over to a replica that was promoted, while clients write to the one and to the other."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.test_mysql import Rig
from tests.integration.relay import Endpoint, Relay
from tests.servers import Kafka, MySqlServer
from tests.waiting import wait_until


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
def test_a_replica_that_was_promoted_under_load(
    make_mysql: Callable[..., MySqlServer], kafka: Kafka, tmp_path: Path, release: str
) -> None:
    """The process runs on: its URL leads to whoever is the primary. What it had not read of the one it finds
    in the log of the other."""
    primary, replica = make_mysql(release), make_mysql(release)
    replica.follow(primary)
    rig = Rig(primary, kafka, primary.create_database(), tmp_path)
    with Relay(Endpoint(primary.host, primary.port)) as relay:
        rig.pipeline.moved(primary.url().replace(f":{primary.port}", f":{relay.port}"))
        rig.verify()
        with rig.pipeline.start() as process:
            with rig.traffic(1) as traffic:
                time.sleep(2)
                relay.hold_all()
                time.sleep(0.5)
            rig.committed += traffic.committed
            replica.wait_for(primary.gtids())
            primary.kill()
            replica.promote()
            rig.server = replica
            relay.target = Endpoint(replica.host, replica.port)
            with rig.traffic(2) as traffic:
                relay.release_all()
                relay.cut()
                time.sleep(1)
            rig.committed += traffic.committed
            wait_until(lambda: rig.has_arrived("log"), f"{rig.name} to go on", 60)
            process.signal(signal.SIGTERM)
            process.wait(30, expected=0)
        rig.verify()
    assert rig.committed.total() > 50
