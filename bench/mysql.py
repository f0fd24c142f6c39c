"""The standard workloads from MySQL into Kafka, exactly once; beside mysqlbinlog, which drops what it takes.

python -m bench.mysql [--rows N] [--repeats N] [--only NAME]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from bench.pipelines import measured, pipeline
from bench.reference import Cost
from bench.verify import verify
from bench.workload import Workload, standard
from tests.servers import KafkaServer, MySqlServer, debian

TABLE = """
CREATE TABLE t (
  id bigint PRIMARY KEY, i int, s smallint, n decimal(12,2), b tinyint(1), at datetime(6), d date,
  v varchar(40), x text, j json)
"""

# Procedures that commit as they go: the client's round trips would take longer than the rows.
_LOOP = """
CREATE PROCEDURE {name}(total int, step int) BEGIN
  DECLARE f int DEFAULT 1;
  WHILE f <= total DO
    {statement};
    SET f = f + step;
  END WHILE;
END
"""
_FILL = """
INSERT INTO t WITH RECURSIVE g (g) AS (
    SELECT f UNION ALL SELECT g + 1 FROM g WHERE g < LEAST(f + step - 1, total))
  SELECT g, g % 1000, g % 100, (g % 100000) / 7.0, g % 2 = 0, NOW(6) + INTERVAL g * 1000 MICROSECOND,
    DATE '2026-01-01' + INTERVAL g % 300 DAY, CONCAT('customer number ', g),
    CONCAT(REPEAT('abcdefgh ', 8), g), JSON_OBJECT('k', g, 's', 'value') FROM g
"""
_UPDATE = "UPDATE t SET i = i + 1 WHERE id BETWEEN f AND f + step - 1"
_STEP = 1000  # the server's own bound of a recursion


@dataclass(frozen=True)
class Drained:
    """What draining a backlog took: CPU in seconds, `server` is that of the whole server."""

    rows: int
    seconds: float
    cpu: float
    server: float
    peak_kib: int = 0


def prepare(workload: Workload, server: MySqlServer, database: str) -> None:
    """What must be there before the pipelines start."""
    server.execute(TABLE, database=database)
    for name, statement in (("fill", _FILL), ("bump", _UPDATE)):
        server.execute(_LOOP.format(name=name, statement=statement), database=database)
    if workload.updates:
        server.execute(f"CALL fill({workload.rows}, {_STEP})", database=database)


def write(workload: Workload, server: MySqlServer, database: str) -> None:
    """Write the backlog."""
    procedure = "bump" if workload.updates else "fill"
    server.execute(f"CALL {procedure}({workload.rows}, {workload.transaction})", database=database)


def mysqlbinlog(server: MySqlServer, begin: tuple[str, int], *options: str) -> Cost:
    """Take the log from a place on to its end, as the options say; what it prints goes to nothing."""
    command = [
        *debian.command(server.release.binaries(), "usr/bin/mysqlbinlog"),
        *("--no-defaults", "--read-from-remote-server", "--to-last-log", "--user=root"),
        *(f"--host={server.host}", f"--port={server.port}", f"--start-position={begin[1]}"),
        *options,
        begin[0],
    ]
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"mysqlbinlog ended with {process.returncode}")
    return Cost(time.perf_counter() - began, usage.ru_utime + usage.ru_stime)


def bench(
    workload: Workload, server: MySqlServer, kafka: KafkaServer, repeats: int, compression: str
) -> dict[str, Sequence[Drained]]:
    """One workload, drained by the references, by `repeats` pipelines, and by the references again."""
    database = server.create_database("bench")
    prepare(workload, server, database)
    process = psutil.Process(server.process.pid)

    def beside(work: Callable[[], Drained]) -> Drained:
        before = sum(process.cpu_times()[:2])
        done = work()
        return Drained(
            done.rows, done.seconds, done.cpu, sum(process.cpu_times()[:2]) - before, done.peak_kib
        )

    def reference(*options: str) -> Drained:
        cost = mysqlbinlog(server, begin, *options)
        return Drained(workload.rows, cost.seconds, cost.cpu, 0)

    def ours(file: Path) -> Drained:
        figures = measured(file)
        return Drained(int(figures["rows"]), figures["seconds"], figures["cpu"], 0, int(figures["peak_kib"]))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = {"type": "mysql", "url": server.url(), "tables": f"{database}.t"}
        files = [
            pipeline(folder, f"{workload.name}{number}", source, kafka, compression)
            for number in range(1, repeats + 1)
        ]
        for file in files:
            measured(file)  # the first start takes the end of the log
        [(log, offset, *_)] = server.execute("SHOW BINARY LOG STATUS")
        begin = str(log), int(offset)
        write(workload, server, database)
        options = {
            "mysqlbinlog --raw": ("--raw", f"--result-file={folder}/raw."),
            "mysqlbinlog -vv": ("-vv",),
        }
        drained: dict[str, list[Drained]] = {what: [] for what in (*options, "tailrace")}
        for round in range(2):
            for what, given in options.items():
                drained[what].append(beside(lambda given=given: reference(*given)))  # type: ignore[misc]
            if not round:
                for file in files:
                    drained["tailrace"].append(beside(lambda file=file: ours(file)))  # type: ignore[misc]
        verify(kafka, f"{files[-1].stem}.t", workload)
    server.drop_database(database)
    return dict(drained)


def show(results: Sequence[tuple[Workload, dict[str, Sequence[Drained]]]], compression: str) -> None:
    """Print the table: medians, and the least rate beside."""
    table = Table(title=f"MySQL → Kafka, exactly once, {compression}", title_justify="left")
    for heading in ("workload", "reader", "rows/s (min)", "CPU µs/row", "server µs/row", "peak MiB"):
        table.add_column(heading, justify="left" if heading in ("workload", "reader") else "right")
    for workload, drained in results:
        for what, runs in drained.items():
            rates = [run.rows / run.seconds for run in runs]
            table.add_row(
                workload.title,
                what,
                f"{statistics.median(rates):,.0f} ({min(rates):,.0f})",
                f"{statistics.median(run.cpu / run.rows for run in runs) * 1e6:.1f}",
                f"{statistics.median(run.server / run.rows for run in runs) * 1e6:.1f}",
                f"{max(run.peak_kib for run in runs) / 1024:.0f}" if runs[0].peak_kib else "",
            )
    Console(width=140).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.mysql", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the first workload")
    parser.add_argument("--repeats", type=int, default=5, help="pipelines per workload")
    parser.add_argument("--compression", default="none", help="of the Kafka sink")
    parser.add_argument("--only", choices=[each.name for each in standard(1)], help="one workload")
    options = parser.parse_args()
    with MySqlServer("mysql9", {"innodb_buffer_pool_size": "512M"}) as server, KafkaServer() as kafka:
        results = [
            (workload, bench(workload, server, kafka, options.repeats, options.compression))
            for workload in standard(options.rows)
            if options.only in (None, workload.name)
        ]
    show(results, options.compression)


if __name__ == "__main__":
    main()
