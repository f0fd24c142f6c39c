"""A whole pipeline, the standard output and an offset store, killed at every failpoint of the store."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.crash import failpoints, kills
from tests.crash.rig import Rig
from tests.servers import Kafka, Postgres


def settings(store: str, postgres: Postgres, kafka: Kafka, topic_prefix: str) -> dict[str, Any]:
    return {
        "file": {"path": "offsets"},
        "postgres": {"url": postgres.url("postgres"), "table": f"public.{topic_prefix.rstrip('.')}"},
        "kafka": {"bootstrap_servers": kafka.bootstrap_servers, "topic": f"{topic_prefix}offsets"},
        "memory": {},
    }[store] | {"type": store}


@pytest.mark.parametrize("store", failpoints.STORES)
def test_killed_while_it_saves(
    store: str, postgres16: Postgres, kafka: Kafka, tmp_path: Path, topic_prefix: str
) -> None:
    offsets = settings(store, postgres16, kafka, topic_prefix)
    with Rig(postgres16, kafka, tmp_path, offsets=offsets) as rig:
        rig.pipeline.run_until_current()
        for seed, (name, nth) in enumerate(failpoints.STORES[store].items()):
            kills.at_failpoint(rig, name, nth, seed)
        rig.recover()
        assert rig.verified["stdout"] > 1000


def test_memory_is_for_one_process(
    postgres16: Postgres, kafka: Kafka, tmp_path: Path, topic_prefix: str
) -> None:
    offsets = settings("memory", postgres16, kafka, topic_prefix)
    with Rig(postgres16, kafka, tmp_path, offsets=offsets) as rig:
        with rig.traffic(seed=1), rig.pipeline.start() as process:
            rig.wait_for_progress(process)
            process.signal(signal.SIGTERM)
            process.wait(30, expected=0)
        with rig.pipeline.start() as process:
            process.wait(30, expected=1)
            assert "offsets" in process.stderr
