"""The standard workloads from MySQL into Kafka, exactly once; beside mysqlbinlog, which drops what it takes,
and a loop over mysql-replication, which reads rows and drops them. None of them reads over TLS.

python -m bench.mysql [--rows N] [--repeats N] [--only NAME]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
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
OURS = "tailrace"
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
        *("--no-defaults", "--read-from-remote-server", "--to-last-log"),
        *("--user=root", "--ssl-mode=DISABLED"),
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


def mysql_replication(server: MySqlServer, begin: tuple[str, int]) -> Drained:
    """Loop over the rows of the log from a place on to its end."""
    command = [sys.executable, "-m", "bench.mysql_replication", server.host, str(server.port), "root"]
    done = subprocess.run([*command, begin[0], str(begin[1])], stdout=subprocess.PIPE, check=True)
    figures = json.loads(done.stdout)
    return Drained(figures["rows"], figures["seconds"], figures["cpu"], 0)


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

    def taken(*options: str) -> Drained:
        cost = mysqlbinlog(server, begin, *options)
        return Drained(workload.rows, cost.seconds, cost.cpu, 0)

    def read() -> Drained:
        drained = mysql_replication(server, begin)
        assert drained.rows == workload.rows, f"{drained.rows} rows read of {workload.rows}"
        return drained

    def ours(file: Path) -> Drained:
        figures = measured(file)
        return Drained(int(figures["rows"]), figures["seconds"], figures["cpu"], 0, int(figures["peak_kib"]))

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = {
            "type": "mysql",
            "url": server.url(),
            "ssl_mode": "disabled",
            "tables": f"[{database}.t]",
        }
        files = [
            pipeline(folder, f"{workload.name}{number}", source, kafka, compression)
            for number in range(1, repeats + 1)
        ]
        for file in files:
            measured(file)  # the first start takes the end of the log
        [(log, offset, *_)] = server.execute("SHOW BINARY LOG STATUS")
        begin = str(log), int(offset)
        write(workload, server, database)
        references: dict[str, Callable[[], Drained]] = {
            "mysqlbinlog --raw": lambda: taken("--raw", f"--result-file={folder}/raw."),
            "mysqlbinlog -vv": lambda: taken("-vv"),
            "mysql-replication": read,
        }
        before = {name: [beside(reference)] for name, reference in references.items()}
        runs = [beside(lambda file=file: ours(file)) for file in files]  # type: ignore[misc]
        drained = {name: [*before[name], beside(reference)] for name, reference in references.items()}
        verify(kafka, f"{files[-1].stem}.t", workload)
    server.drop_database(database)
    return {**drained, OURS: runs}


def rate(runs: Sequence[Drained]) -> float:
    """The median, in rows a second."""
    return statistics.median(run.rows / run.seconds for run in runs)


def show(results: Sequence[tuple[Workload, dict[str, Sequence[Drained]]]], compression: str) -> None:
    """Print the table: medians, and the least rate beside."""
    table = Table(title=f"MySQL → Kafka, exactly once, {compression}", title_justify="left")
    for heading in ("workload", "reader"):
        table.add_column(heading)
    for heading in ("rows/s (min)", f"{OURS}'s ratio", "CPU µs/row", "server µs/row", "peak MiB"):
        table.add_column(heading, justify="right")
    for workload, drained in results:
        for what, runs in drained.items():
            table.add_row(
                workload.title,
                what,
                f"{rate(runs):,.0f} ({min(run.rows / run.seconds for run in runs):,.0f})",
                "" if what == OURS else f"{rate(drained[OURS]) / rate(runs):.2f}",
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
