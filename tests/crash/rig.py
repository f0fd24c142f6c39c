"""A pipeline under traffic, with the witness beside it and every target compared with the truth."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, Self

import psycopg

from tests.crash import shaped as shaped_truth
from tests.pipelines import Pipeline, PipelineProcess
from tests.servers import Kafka, Postgres
from tests.targets import KafkaTarget, LinesTarget, LogTarget
from tests.traffic import Traffic, create
from tests.truth import Comparison, Delivered, Fold, Witness
from tests.truth.decoding import parse_lsn
from tests.waiting import wait_until


class Target(Protocol):
    """Where a sink delivers to."""

    def read(self) -> Sequence[Delivered]:
        """What came since the last call, in order within each sequence."""


class Rig:
    """One pipeline on a database of its own. As a context manager it gives back what it took of the servers.

    The sinks are a Kafka, a log, a second Kafka with other topics and, unless `stdout` is False, the
    standard output; with `offsets` the standard output alone, its checkpoints there. `log`: more settings of
    the log. `shaped`: with the transforms of `tests.crash.shaped`, for all sinks and for the second Kafka.
    `transactions`: their begins and ends are told, in the topic `told.` and the rig's name. `streaming`: the
    server sends transactions of more than 64 kB while they are open.
    `verified` counts by sink what was found right, `kills` by kind what was done to the pipeline meanwhile.
    """

    def __init__(
        self,
        postgres: Postgres,
        kafka: Kafka,
        folder: Path,
        *,
        stdout: bool = True,
        log: Mapping[str, Any] | None = None,
        offsets: Mapping[str, Any] | None = None,
        large: int = 400,
        shaped: bool = False,
        transactions: bool = False,
        streaming: bool = False,
    ) -> None:
        self.name = name = f"crash_{uuid.uuid4().hex[:8]}"
        self.postgres = postgres
        self.kafka = kafka
        self.source = "PostgreSQL"
        self.kills: Counter[str] = Counter()
        self._large = large
        self._exit = contextlib.ExitStack()
        self.database = postgres.create_database()
        self._exit.callback(postgres.drop_database, self.database)
        create(postgres, self.database)
        if streaming:
            postgres.execute(f"ALTER DATABASE {self.database} SET logical_decoding_work_mem = '64kB'")
        self.witness = Witness(postgres, self.database, name, lambda table: table[0] != "private")
        broker = {
            "type": "kafka",
            "bootstrap_servers": kafka.bootstrap_servers,
            "headers": {"position": True},
        }
        sinks = [
            {**broker, "name": "first", "partitions": 3, "offsets_topic": f"offsets.{name}.1"},
            {"type": "log", "path": f"{name}.db", **(log or {})},
            {
                **broker,
                "offsets_topic": f"offsets.{name}.2",
                "name": "second",
                "topic": "second.{pipeline}.{schema}.{table}",
                "partitions": 1,
                "compression": "none",
                "max_request_size": 128 * 1024,  # so that batches are full now and then
                "transforms": shaped_truth.OF_ONE_SINK if shaped else [],
            },
            {"type": "stdout"},
        ]
        self.pipeline = Pipeline(
            folder,
            name,
            {
                "url": postgres.url(self.database),
                "tables": ["public.*", "ünï schema.*", "private.*"],
                "exclude": ["private.secrets"],
                "provide_transaction_metadata": transactions,
                "transaction_topic": "told.{pipeline}",
                "streaming": "on" if streaming else "off",
            },
            sinks[-1:] if offsets is not None else sinks if stdout else sinks[:-1],
            shaped_truth.TRANSFORMS if shaped else (),
            offsets,
        )
        self.log = LogTarget(folder / f"{name}.db", f"{name}.")
        self.targets: dict[str, Target] = {
            "kafka": KafkaTarget(kafka, f"{name}."),
            "log": self.log,
            "second kafka": KafkaTarget(kafka, f"second.{name}."),
        }
        if offsets is not None:
            self.targets.clear()
        if stdout:
            self.targets["stdout"] = LinesTarget(self.pipeline.outputs, f"{name}.")
        self.comparisons = {
            target: Comparison(self.witness.locate, repeats=target == "stdout") for target in self.targets
        }
        self._folds = {target: Fold(self.witness.tables, self.witness.locate) for target in self.targets}
        self._origin = 0  # the LSN behind which events are due
        self._whole = not shaped  # the pipeline has seen the tables from when they were empty, and shows them
        self._shaped = shaped

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Drop the database, with the slots in it."""
        self._exit.close()

    @property
    def verified(self) -> Counter[str]:
        return Counter({name: comparison.compared for name, comparison in self.comparisons.items()})

    def traffic(self, seed: int, *, survives: bool = False, rate: float = 25) -> Traffic:
        """Three clients that begin with the block and end with it."""
        url = self.postgres.url(self.database)
        return Traffic(url, seed, clients=3, rate=rate, large=self._large, survives=survives)

    def burst(self, rows: int = 1000) -> None:
        """One transaction of many rows, so large that every target takes it in several pieces."""
        self.postgres.execute(
            "INSERT INTO ledger SELECT n, n / 8.0, repeat('row', 30) "
            f"FROM generate_series(2000000, {2_000_000 + rows - 1}) n;"
            "DELETE FROM ledger WHERE account >= 2000000",
            database=self.database,
        )

    def wait_for_progress(self, process: PipelineProcess, timeout: float = 60) -> None:
        """Return when the process has made durable in every sink what is committed by now, and has told the
        server so."""
        end = self.end()

        with self.postgres.connect() as connection:

            def progress() -> bool:
                assert process.running, process.stderr
                return self.acknowledged(end, connection)

            try:
                wait_until(progress, f"{self.name} to deliver", timeout)
            except TimeoutError as late:
                raise AssertionError(f"{late}\n{process.stderr}") from None

    def end(self) -> str:
        """The end of the server's log now, behind something that nobody has delivered yet."""
        with self.postgres.connect(self.database) as connection:
            connection.execute("SELECT pg_logical_emit_message(true, 'mark', '')")
            [(end,)] = connection.execute("SELECT pg_current_wal_flush_lsn()::text")
        return str(end)

    def acknowledged(self, lsn: str, connection: psycopg.Connection[Any] | None = None) -> bool:
        """Whether the server was told that everything before an LSN is durable in every sink. Who asks again
        and again has a connection for it."""
        with contextlib.nullcontext(connection) if connection else self.postgres.connect() as asked:
            [(enough,)] = asked.execute(
                "SELECT coalesce(bool_and(confirmed_flush_lsn >= %s::pg_lsn), false) "
                "FROM pg_replication_slots WHERE slot_name = %s",
                (lsn, f"tailrace_{self.name}"),
            )
        return bool(enough)

    def begun(self) -> None:
        """Call it after a first start that was not idle, when the pipeline has ended by itself: what is due
        begins where that start's slot did."""
        shown = subprocess.run(
            [sys.executable, "-m", "tailrace", "offsets", "show", str(self.pipeline.file), "--json"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        origins = {sink["origin"]["lsn"] for sink in json.loads(shown.stdout)["sinks"].values()}
        [origin] = origins  # all sinks begin at the same place
        self._origin = parse_lsn(origin)
        self._whole = False

    def verify(self) -> None:
        """Every target holds exactly what happened. Run the pipeline until it is current before, while no
        traffic is under way."""
        expected = [event for event in self.witness.read() if event.place[0] > self._origin]
        truth = {table: self.witness.rows(table) for table in self.witness.tables} if self._whole else {}
        for name, target in self.targets.items():
            delivered = target.read()
            due = shaped_truth.events(expected, one_sink=name == "second kafka") if self._shaped else expected
            differences = self.comparisons[name].compare(due, delivered)
            assert not differences, f"{name}: {differences}"
            fold = self._folds[name]
            if self._whole:
                fold.apply(delivered)
            for table, rows in truth.items():
                assert fold.rows(table) == rows, f"{name}: {table} folded is not what SELECT returns"

    def recover(self) -> None:
        """What follows every kill: start again, run until current, compare."""
        self.pipeline.run_until_current()
        self.verify()
