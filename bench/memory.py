"""`make bench-memory`: one transaction of a million rows, and the peak of memory for it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from bench.pipelines import measured, pipeline
from bench.verify import verify
from bench.workload import Workload
from tests.servers import KafkaServer, PostgresServer

LIMIT_MIB = 300


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.memory", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    options = parser.parse_args()
    workload = Workload("memory", "one transaction", options.rows, options.rows)
    with PostgresServer(16) as server, KafkaServer() as kafka, tempfile.TemporaryDirectory() as folder:
        database = server.create_database("memory")
        workload.prepare(server, database)
        source = {"type": "postgres", "url": server.url(database), "tables": "[public.t]"}
        file = pipeline(Path(folder), "memory", source, kafka, "none")
        measured(file)  # the first start makes the slot
        workload.write(server, database)
        figures = measured(file)
        verify(kafka, "memory.t", workload)
    peak = figures["peak_kib"] / 1024
    print(
        f"{options.rows:,} rows in one transaction: peak {peak:.0f} MiB, "
        f"{figures['rows'] / figures['seconds']:,.0f} rows/s, {figures['commits']:.0f} commits"
    )
    if peak >= LIMIT_MIB:
        sys.exit(f"over the limit of {LIMIT_MIB} MiB")


if __name__ == "__main__":
    main()
