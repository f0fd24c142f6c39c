"""The ways in which a pipeline under traffic, or a server that it needs, is killed; then the proof."""

from __future__ import annotations

import signal
import time
from collections import Counter
from contextlib import AbstractContextManager
from random import Random
from typing import Protocol

from tests.pipelines import Pipeline, PipelineProcess
from tests.servers import KafkaServer, MySqlServer, PostgresServer

_REACHED = 45.0  # seconds within which a failpoint must be passed


class Rig(Protocol):
    """A pipeline on a database of any kind, as far as it is killed here."""

    pipeline: Pipeline
    kills: Counter[str]

    def traffic(self, seed: int, *, survives: bool = False) -> AbstractContextManager[object]:
        """Clients that change the database."""

    def burst(self) -> None:
        """A transaction that comes in several pieces."""

    def wait_for_progress(self, process: PipelineProcess) -> None:
        """Return when the process has made durable what is committed by now."""


def at_failpoint(rig: Rig, name: str, nth: int, seed: int, *, bursts: int = 1) -> None:
    """SIGKILL at the nth time that the process passes the failpoint."""
    rig.kills["the pipeline, at a failpoint"] += 1
    armed = f"{name}=kill@{nth}"
    with rig.traffic(seed), rig.pipeline.start(failpoints=armed) as process:
        for _ in range(bursts):
            rig.burst()
        code = process.wait(_REACHED)
    assert code == -signal.SIGKILL, f"{armed} was not reached: exit code {code}\n{process.stderr}"


def at_an_instant(rig: Rig, random: Random, seed: int) -> None:
    """SIGKILL at any instant of the first seconds: while it starts, catches up or streams."""
    rig.kills["the pipeline, at a random instant"] += 1
    with rig.traffic(seed), rig.pipeline.start() as process:
        instant = time.monotonic() + random.uniform(0.4, 3)
        if random.random() < 0.3:
            rig.burst()
        time.sleep(max(0.0, instant - time.monotonic()))
        assert process.running, process.stderr
        process.kill()


def of_the_broker(rig: Rig, broker: KafkaServer, random: Random, seed: int) -> None:
    """SIGKILL of Kafka while the pipeline delivers; it comes back, and the pipeline goes on by itself."""
    rig.kills["Kafka, while the pipeline delivers"] += 1
    with rig.traffic(seed), rig.pipeline.start() as process:
        rig.wait_for_progress(process)
        rig.burst()
        time.sleep(random.uniform(0, 0.5))
        broker.kill()
        time.sleep(random.uniform(0, 1))
        broker.start()
        rig.wait_for_progress(process)
        process.signal(signal.SIGTERM)
        process.wait(30, expected=0)


def of_the_database(rig: Rig, server: PostgresServer | MySqlServer, random: Random, seed: int) -> None:
    """SIGKILL of the database while the pipeline delivers; it recovers, and the pipeline goes on."""
    rig.kills["the database, while the pipeline delivers"] += 1
    with rig.traffic(seed, survives=True), rig.pipeline.start() as process:
        rig.wait_for_progress(process)
        time.sleep(random.uniform(0, 1))
        server.kill()
        time.sleep(random.uniform(0, 0.5))
        server.start()
        rig.wait_for_progress(process)
        process.signal(signal.SIGTERM)
        process.wait(30, expected=0)
