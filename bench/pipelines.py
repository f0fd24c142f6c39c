"""The pipelines that are measured: their files, and one run to the end of a backlog."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.servers import Kafka

PARTITIONS = 4


def pipeline(folder: Path, name: str, source: Mapping[str, str], kafka: Kafka, compression: str) -> Path:
    """Write the file of a pipeline from a source with these settings into Kafka."""
    file = folder / f"{name}.yaml"
    settings = "".join([f"  {key}: {value}\n" for key, value in source.items()])
    file.write_text(
        f"""\
name: {name}
source:
{settings}  snapshot: never
sinks:
  - type: kafka
    bootstrap_servers: {kafka.bootstrap_servers}
    topic: "{{pipeline}}.{{table}}"
    partitions: {PARTITIONS}
    compression: {compression}
"""
    )
    return file


def measured(file: Path) -> dict[str, float]:
    """Run a pipeline to the end of its backlog in a process of its own."""
    done = subprocess.run([sys.executable, "-m", "bench.measured", file], stdout=subprocess.PIPE, check=True)
    return {str(key): float(value) for key, value in json.loads(done.stdout).items()}
