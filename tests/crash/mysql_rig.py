"""A pipeline on MySQL or MariaDB under mixed traffic, every target compared with what the server's own
mysqlbinlog says of its log."""

from __future__ import annotations

import contextlib
import itertools
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from tests.crash.rig import Target
from tests.pipelines import Pipeline, PipelineProcess
from tests.servers import Kafka, MySql
from tests.targets import KafkaTarget, LinesTarget, LogTarget
from tests.traffic.mysql_ddl import Changes
from tests.traffic.mysql_mixed import MixedTraffic, create
from tests.truth import Comparison, Delivered
from tests.truth.binlog_copy import Copy, checksums
from tests.truth.binlog_witness import BinlogWitness, reduced
from tests.waiting import wait_until

_MARKS = itertools.count(1_000_000)


class MySqlRig:
    """One pipeline on a database of its own. As a context manager it gives back what it took of the servers.

    The sinks are a Kafka, a log and, unless `stdout` is False, the standard output; with `offsets` the
    standard output alone, its checkpoints there. `log`: more settings of the log. `ddl`: somebody changes the
    tables under the traffic, and `verify` also makes a copy of them out of what Kafka holds.
    `verified` counts by sink what was found right, `kills` by kind what was done to the pipeline meanwhile.
    """

    def __init__(
        self,
        server: MySql,
        kafka: Kafka,
        folder: Path,
        *,
        stdout: bool = True,
        log: Mapping[str, Any] | None = None,
        offsets: Mapping[str, Any] | None = None,
        ddl: bool = False,
    ) -> None:
        self.name = name = f"crash_{uuid.uuid4().hex[:8]}"
        self.server = server
        self.source = "MariaDB" if server.flavor == "mariadb" else "MySQL"
        self.source += f" {server.version.partition('-')[0]}"
        self.kills: Counter[str] = Counter()
        self._exit = contextlib.ExitStack()
        self.database = database = self._made()
        self.witness = BinlogWitness(server, database, _captured)
        self._ddl = ddl
        self.changes = Changes(server, database, 1)
        self._exit.callback(self.changes.close)
        self._copy: Copy | None = None
        if ddl:
            self._copy = Copy(server, self._made())
            self._exit.callback(self._copy.close)
        sinks: list[dict[str, Any]] = [
            {
                "type": "kafka",
                "bootstrap_servers": kafka.bootstrap_servers,
                "offsets_topic": f"offsets.{name}",
                "headers": {"position": True},
                "partitions": 2,
            },
            {"type": "log", "path": f"{name}.db", **(log or {})},
            {"type": "stdout"},
        ]
        self.pipeline = Pipeline(
            folder,
            name,
            {
                "type": server.flavor,
                "url": server.url(),
                "tables": [f"{database}.*"],
                "exclude": [f"{database}.uncaptured"],
            },
            sinks[-1:] if offsets is not None else sinks if stdout else sinks[:-1],
            offsets=offsets,
        )
        prefix = f"{name}.{database}."
        self.log = LogTarget(folder / f"{name}.db", prefix, reduce=reduced)
        self.targets: dict[str, Target] = {
            "kafka": KafkaTarget(kafka, prefix, reduce=reduced),
            "log": self.log,
        }
        if offsets is not None:
            self.targets.clear()
        if stdout:
            self.targets["stdout"] = LinesTarget(self.pipeline.outputs, prefix, reduce=reduced)
        self.comparisons = {
            target: Comparison(self.witness.locate, repeats=target == "stdout") for target in self.targets
        }
        self._taken: dict[str, list[Delivered]] = {target: [] for target in self.targets}
        self._origin = ""  # the GTIDs of what is not due

    def _made(self) -> str:
        """A database with the tables."""
        database = self.server.create_database("crash")
        create(self.server, database)
        self._exit.callback(lambda: self.server.drop_database(database))
        return database

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the database."""
        self._exit.close()

    @property
    def verified(self) -> Counter[str]:
        return Counter({name: comparison.compared for name, comparison in self.comparisons.items()})

    def traffic(self, seed: int, *, survives: bool = False) -> MixedTraffic:
        """Two clients that begin with the block and end with it, and with `ddl` who changes the tables."""
        beside = self.changes if self._ddl else None
        return MixedTraffic(
            self.server, self.database, seed, clients=2, rate=20, beside=beside, survives=survives
        )

    def burst(self, rows: int = 45) -> None:
        """One transaction of a few megabytes, which every target takes in several pieces."""
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            values = ", ".join([f"({2_000_000 + row}, 1, REPEAT('burst', 8000))" for row in range(rows)])
            cursor.execute("BEGIN")
            cursor.execute(f"REPLACE INTO large (id, version, body) VALUES {values}")
            cursor.execute("DELETE FROM large WHERE id >= 2000000")
            cursor.execute("COMMIT")

    def wait_for_progress(self, process: PipelineProcess, timeout: float = 60) -> None:
        """Return when what is committed by now is in the log and in Kafka."""
        mark = next(_MARKS)
        self.server.execute(f"INSERT INTO rekeyed (id) VALUES ({mark})", database=self.database)

        def progress() -> bool:
            assert process.running, process.stderr
            return all(
                any(found.topic == "rekeyed" and (found.key or {}).get("id") == mark for found in taken)
                for taken in (self._take(name) for name in self.targets if name != "stdout")
            )

        try:
            wait_until(progress, f"{self.name} to deliver", timeout)
        except TimeoutError as late:
            raise AssertionError(f"{late}\n{process.stderr}") from None

    def _take(self, name: str) -> list[Delivered]:
        """What a target holds that was not compared yet."""
        self._taken[name] += self.targets[name].read()
        return self._taken[name]

    def moved(self, server: MySql) -> None:
        """From now on the tables are on another server, a replica that has all of their history."""
        self.server = server
        self.witness.moved(server)

    def begun(self) -> None:
        """Call it after a first start that was not idle, when the pipeline has ended by itself: what is due
        begins where that start's origin is."""
        shown = subprocess.run(
            [sys.executable, "-m", "tailrace", "offsets", "show", str(self.pipeline.file), "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        origins = [sink["origin"] for sink in json.loads(shown.stdout)["sinks"].values()]
        assert all(origin == origins[0] for origin in origins), origins
        self._origin = str(origins[0].get("gtids") or origins[0].get("domains"))

    def verify(self) -> None:
        """Every target holds exactly what happened, and the copy is what the tables are. Run the pipeline
        until it is current before, while no traffic is under way."""
        expected = self.witness.read()
        origin = self.witness.last_of(self._origin)
        expected = [event for event in expected if event.place[0] > origin]
        for name in self.targets:
            delivered = self._take(name)
            self._taken[name] = []
            self.witness.learn(delivered)
            differences = self.comparisons[name].compare(expected, delivered)
            assert not differences, f"{name}: {differences}"
            if name == "kafka" and self._copy is not None:
                self._copy_is_the_same(delivered)

    def _copy_is_the_same(self, delivered: list[Delivered]) -> None:
        assert self._copy is not None
        events = [(self.witness.locate(found.position), found) for found in delivered]
        self._copy.apply(events, self.witness.ddl)
        self.witness.ddl.clear()
        tables = [
            str(table)
            for (table,) in self.server.execute(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = %s",
                (self.database,),
            )
            if _captured(table)
        ]
        truth = checksums(self.server, self.database, tables)
        assert checksums(self.server, self._copy.database, tables) == truth

    def recover(self) -> None:
        """What follows every kill: start again, run until current, compare."""
        self.pipeline.run_until_current()
        self.verify()


def _captured(table: str) -> bool:
    return table != "uncaptured"
