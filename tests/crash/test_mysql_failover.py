"""A pipeline goes over to a replica that was promoted, while clients write to the one, then to the other."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.test_mysql import Rig
from tests.servers import Kafka, MySqlServer


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
def test_a_replica_that_was_promoted_under_load(
    make_mysql: Callable[..., MySqlServer], kafka: Kafka, tmp_path: Path, release: str
) -> None:
    """The process is killed while it is behind, and finds what it lacks in the log of the replica."""
    primary, replica = make_mysql(release), make_mysql(release)
    replica.follow(primary)
    rig = Rig(primary, kafka, primary.create_database(), tmp_path)
    rig.verify()
    with rig.traffic(1) as traffic:
        with rig.pipeline.start() as process:
            time.sleep(1.5)
            assert process.running, process.stderr
            process.kill()
        time.sleep(0.3)  # what only the replica will tell of
    rig.committed += traffic.committed
    replica.wait_for(primary.gtids())
    primary.kill()
    replica.promote()
    rig.server = replica
    rig.pipeline.moved(replica.url())
    with rig.traffic(2) as traffic:
        rig.pipeline.run_until_current()
    rig.committed += traffic.committed
    rig.verify()
    assert rig.committed.total() > 50
