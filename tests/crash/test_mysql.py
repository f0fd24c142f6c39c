"""SIGKILL of pipelines on MySQL and MariaDB, at failpoints and at random instants, under traffic."""

from __future__ import annotations

import signal
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from random import Random
from typing import Any, Final

import pytest

from tests.crash.rig import Target
from tests.pipelines import Pipeline, gives_way
from tests.servers import Kafka, MySql, MySqlServer
from tests.targets import KafkaTarget, LogTarget
from tests.traffic.mysql import COMPRESSED, TABLES, MySqlTraffic, create, through
from tests.truth.chains import Chains
from tests.waiting import wait_until

_FAILPOINTS: Final = {
    "engine.start.new_stored": 2,
    "engine.start.at_stored": 1,
    "engine.writer.written": 5,
    "kafka.commit.sent": 4,
}
"""Which call of each the process is killed at, in this order in one pipeline's life."""

_KILLS: Final = 3  # at random instants


class Rig:
    """One pipeline with a log and a Kafka, on a database of its own."""

    def __init__(self, server: MySql, kafka: Kafka, database: str, folder: Path) -> None:
        self.server = server
        self.database = database
        self.name = name = f"my_{uuid.uuid4().hex[:8]}"
        self.committed: Counter[tuple[str, str]] = Counter()
        create(server, database)
        self.pipeline = Pipeline(
            folder,
            name,
            {
                "type": server.flavor,
                "url": server.url(),
                "tables": [f"{database}.*"],
                "exclude": [f"{database}.uncaptured"],
            },
            [
                {"type": "log", "path": f"{name}.db"},
                {
                    "type": "kafka",
                    "bootstrap_servers": kafka.bootstrap_servers,
                    "offsets_topic": f"offsets.{name}",
                    "headers": {"position": True},
                    "partitions": 2,
                },
            ],
        )
        self._targets: dict[str, Target] = {
            "log": LogTarget(folder / f"{name}.db", f"{name}.{database}.", reduce=_whole),
            "kafka": KafkaTarget(kafka, f"{name}.{database}.", reduce=_whole),
        }
        self._chains = {target: Chains() for target in self._targets}

    def traffic(self, seed: int) -> MySqlTraffic:
        return MySqlTraffic(self.server, self.database, seed, clients=2, rate=20)

    def burst(self, number: int, rows: int = 8000) -> None:
        """A transaction that comes in several batches, and another one that undoes it."""
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            if number % 4 == 1 and self.server.flavor == "mysql":
                cursor.execute(COMPRESSED)
            values = ", ".join(f"({n}, {1_000_000 + number}, 1, repeat('burst', 80))" for n in range(rows))
            through(cursor, f"INSERT INTO `line items` VALUES {values}")
            through(cursor, f"DELETE FROM `line items` WHERE b = {1_000_000 + number}")
        self.committed += Counter({("line items", "c"): rows, ("line items", "d"): rows})

    def has_arrived(self, target: str) -> bool:
        """Whether as much as was committed is in a target."""
        chains = self._chains[target]
        chains.take(self._targets[target].read())
        return chains.counts.total() == self.committed.total()

    def verify(self) -> None:
        """Run to the log's end, then compare every target with the database and with what was committed."""
        self.pipeline.run_until_current()
        for name, target in self._targets.items():
            chains = self._chains[name]
            chains.take(target.read())
            for table in TABLES:
                if table == "uncaptured":
                    continue
                topic = table.replace(" ", "_")
                versions = sorted(_key(row) for row in chains.rows(topic))
                rows = self.server.execute(f"SELECT * FROM `{table}`", database=self.database)
                names = _columns(self.server, self.database, table)
                assert versions == sorted(_key(dict(zip(names, row, strict=True))) for row in rows), name
                for op in "cud":
                    assert chains.counts[topic, op] == self.committed[table, op], f"{name}: {op} of {table}"


def _whole(envelope: dict[str, Any]) -> dict[str, Any]:
    return envelope


def _key(row: Mapping[str, Any]) -> str:
    """A row by what traffic changes of it."""
    return repr([(name, row[name]) for name in ("id", "a", "b", "name", "version") if name in row])


def _columns(server: MySql, database: str, table: str) -> list[str]:
    found = server.execute(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = %s AND table_name = %s "
        "ORDER BY ordinal_position",
        (database, table),
    )
    return [str(name) for (name,) in found]


@pytest.fixture
def rig(every_mysql: MySql, kafka: Kafka, make_database: Callable[[MySql], str], tmp_path: Path) -> Rig:
    return Rig(every_mysql, kafka, make_database(every_mysql), tmp_path)


@pytest.fixture
def restricted(rig: Rig) -> Iterator[str]:
    """The URL of an account with no rights but those that it needs."""
    name = f"a{uuid.uuid4().hex[:8]}"
    rig.server.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'secret'")
    rig.server.execute(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {name}@'%'")
    rig.server.execute(f"GRANT SELECT ON {rig.database}.* TO {name}@'%'")
    yield rig.server.url(user=name, password="secret")
    rig.server.execute(f"DROP USER {name}@'%'")


def test_killed_at_failpoints(
    mysql: MySql, kafka: Kafka, make_database: Callable[[MySql], str], tmp_path: Path
) -> None:
    """Traffic begins once the first start has come through: what was committed before is not due."""
    rig = Rig(mysql, kafka, make_database(mysql), tmp_path)
    for seed, (name, nth) in enumerate(_FAILPOINTS.items()):
        first = name.startswith("engine.start.")
        with rig.pipeline.start(failpoints=f"{name}=kill@{nth}") as process:
            if first:
                code = process.wait(60)
            else:
                with rig.traffic(seed) as traffic:
                    code = process.wait(60)
                rig.committed += traffic.committed
        assert code == -signal.SIGKILL, f"{name} was not reached: exit code {code}\n{process.stderr}"
        if name == "engine.start.at_stored":
            rig.verify()
    rig.verify()
    assert rig.committed.total() > 100


def test_killed_at_random_instants(rig: Rig) -> None:
    random = Random(rig.server.flavor)
    rig.verify()
    for seed in range(_KILLS):
        with rig.traffic(seed) as traffic, rig.pipeline.start() as process:
            instant = time.monotonic() + random.uniform(0.4, 2.5)
            if seed % 2:
                rig.burst(seed)
            time.sleep(max(0.0, instant - time.monotonic()))
            assert process.running, process.stderr
            process.kill()
        rig.committed += traffic.committed
    rig.verify()
    assert rig.committed.total() > 100


def test_of_two_processes_the_older_stops(rig: Rig, restricted: str) -> None:
    """Soon, also where nothing is written: it is thrown out of the log, and the sinks tell whose that is. The
    account is one to which MariaDB does not show who else reads."""
    rig.pipeline.moved(restricted)
    rig.verify()
    with rig.pipeline.start() as older:
        wait_until(lambda: "source streaming" in older.stderr, "the older process to stream", 30)
        with rig.pipeline.start(data_dir=Path("elsewhere")) as newer:
            gives_way(older, newer, 30)
            with rig.traffic(1) as traffic:
                time.sleep(0.5)
            rig.committed += traffic.committed
            wait_until(lambda: rig.has_arrived("log"), f"{rig.name} to go on", 30)
            newer.signal(signal.SIGTERM)
            newer.wait(30, expected=0)
    rig.verify()


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
def test_a_server_that_is_killed_is_waited_for(
    make_mysql: Callable[..., MySqlServer], kafka: Kafka, tmp_path: Path, release: str
) -> None:
    """It recovers, and the pipeline goes on by itself."""
    server = make_mysql(release, {"innodb_flush_log_at_trx_commit": 1, "sync_binlog": 1})
    rig = Rig(server, kafka, server.create_database(), tmp_path)
    rig.verify()
    with rig.pipeline.start() as process:
        for seed in (1, 2):
            with rig.traffic(seed) as traffic:
                time.sleep(1)
            rig.committed += traffic.committed
            if seed == 1:
                server.kill()
                server.start()
        wait_until(lambda: rig.has_arrived("log"), f"{rig.name} to go on", 60)
        process.signal(signal.SIGTERM)
        process.wait(30, expected=0)
    rig.verify()
