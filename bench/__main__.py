"""`make bench`: each workload into Kafka, exactly once, beside pg_recvlogical on the same backlog."""

from __future__ import annotations

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

import psutil
from rich.console import Console
from rich.table import Table

from bench.latency import Latency, measure_latency
from bench.pipelines import measured, pipeline
from bench.reference import Cost, drain
from bench.verify import verify
from bench.workload import Workload, standard
from tests.servers import KafkaServer, Postgres, PostgresServer

T = TypeVar("T")


@dataclass(frozen=True)
class Run:
    """One pipeline that drained one backlog."""

    seconds: float
    cpu: float
    rows: int
    commits: int
    peak_kib: int
    walsender_cpu: float
    broker_cpu: float


@dataclass(frozen=True)
class Result:
    """All runs of one workload."""

    workload: Workload
    runs: Sequence[Run]
    reference: Sequence[Cost]

    @property
    def rates(self) -> list[float]:
        return [run.rows / run.seconds for run in self.runs]

    @property
    def reference_rates(self) -> list[float]:
        return [self.workload.rows / cost.seconds for cost in self.reference]

    @property
    def ratio(self) -> float:
        return statistics.median(self.rates) / statistics.median(self.reference_rates)


def beside(work: Callable[[], T], postgres: Postgres) -> tuple[T, float]:
    """Do the work, and add up the CPU seconds of the walsender that serves it meanwhile."""
    seconds = 0.0
    ended = threading.Event()

    def watch() -> None:
        nonlocal seconds
        with postgres.connect() as connection:
            while not ended.wait(0.05):
                for (pid,) in connection.execute("select pid from pg_stat_replication").fetchall():
                    with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
                        times = psutil.Process(pid).cpu_times()
                        seconds = max(seconds, times.user + times.system)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        return work(), seconds
    finally:
        ended.set()
        watcher.join()


def bench(
    workload: Workload, server: PostgresServer, kafka: KafkaServer, repeats: int, compression: str
) -> Result:
    """One workload, drained by the reference, by `repeats` pipelines, and by the reference again."""
    database = server.create_database("bench")
    workload.prepare(server, database)
    with tempfile.TemporaryDirectory() as folder:
        source = {"type": "postgres", "url": server.url(database), "tables": "[public.t]"}
        files = [
            pipeline(Path(folder), f"{workload.name}{number}", source, kafka, compression)
            for number in range(1, repeats + 1)
        ]
        for file in files:
            measured(file)  # the first start makes the slot
        references = [f"reference_{number}" for number in range(4)]
        for slot in references:
            server.execute("select pg_create_logical_replication_slot(%s, 'pgoutput')", (slot,), database)
        workload.write(server, database)
        end = str(server.execute("select pg_current_wal_flush_lsn()", database=database)[0][0])

        def reference(slot: str) -> Cost:
            cost, cpu = beside(
                lambda: drain(server, database, slot, f"tailrace_{files[0].stem}", end), server
            )
            return Cost(cost.seconds, cost.cpu, cpu)

        before = [reference(slot) for slot in references[:2]]
        broker = psutil.Process(kafka.process.pid)
        runs = []
        for file in files:
            broker_before = sum(broker.cpu_times()[:2])
            figures, walsender = beside(lambda file=file: measured(file), server)  # type: ignore[misc]
            broker_cpu = sum(broker.cpu_times()[:2]) - broker_before
            runs.append(
                Run(
                    figures["seconds"],
                    figures["cpu"],
                    int(figures["rows"]),
                    int(figures["commits"]),
                    int(figures["peak_kib"]),
                    walsender,
                    broker_cpu,
                )
            )
        after = [reference(slot) for slot in references[2:]]
        verify(kafka, f"{files[-1].stem}.t", workload)
    server.drop_database(database)
    return Result(workload, runs, [*before, *after])


def show(results: Sequence[Result], latency: Latency, compression: str) -> None:
    """Print the table; medians, the minimum of our rate beside it."""
    table = Table(title=f"PostgreSQL → Kafka, exactly once, {compression}", title_justify="left")
    for heading in ("workload", "rows/s (min)", "pg_recvlogical", "ratio", "CPU µs/row"):
        table.add_column(heading, justify="left" if heading == "workload" else "right")
    for heading in ("walsender µs (ref.)", "broker µs", "rows/commit", "peak MiB"):
        table.add_column(heading, justify="right")
    for result in results:
        runs, rows = result.runs, result.workload.rows
        table.add_row(
            result.workload.title,
            f"{statistics.median(result.rates):,.0f} ({min(result.rates):,.0f})",
            f"{statistics.median(result.reference_rates):,.0f}",
            f"{result.ratio:.2f}",
            f"{statistics.median(run.cpu for run in runs) / rows * 1e6:.1f}",
            f"{statistics.median(run.walsender_cpu for run in runs) / rows * 1e6:.1f} "
            f"({statistics.median(cost.server_cpu for cost in result.reference) / rows * 1e6:.1f})",
            f"{statistics.median(run.broker_cpu for run in runs) / rows * 1e6:.1f}",
            f"{statistics.median(run.rows / run.commits for run in runs):,.0f}",
            f"{max(run.peak_kib for run in runs) / 1024:.0f}",
        )
    console = Console(width=140)
    console.print(table)
    console.print(
        f"Commit to readable record at {latency.rate} transactions a second: "
        f"median {latency.median_ms:.1f} ms, p99 {latency.p99_ms:.1f} ms, of {latency.count} transactions."
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the first workload")
    parser.add_argument("--repeats", type=int, default=5, help="pipelines per workload")
    parser.add_argument("--compression", default="none", help="of the Kafka sink")
    parser.add_argument("--major", type=int, default=16, help="PostgreSQL's major version")
    parser.add_argument("--only", choices=[each.name for each in standard(1)], help="one workload")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    options = parser.parse_args()
    settings: dict[str, str | int] = {
        "max_replication_slots": 30,
        "max_wal_senders": 30,
        "max_wal_size": "16GB",
    }
    with PostgresServer(options.major, settings) as server, KafkaServer() as kafka:
        results = [
            bench(workload, server, kafka, options.repeats, options.compression)
            for workload in standard(options.rows)
            if options.only in (None, workload.name)
        ]
        latency = measure_latency(server, kafka)
    if options.json:
        json.dump({"workloads": [asdict(each) for each in results], "latency": asdict(latency)}, sys.stdout)
    else:
        show(results, latency, options.compression)


if __name__ == "__main__":
    main()
