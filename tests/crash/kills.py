"""The ways in which a pipeline under traffic, or a server that it needs, is killed; then the proof."""

from __future__ import annotations

import signal
import time
from random import Random

from tests.crash.rig import Rig
from tests.servers import KafkaServer, PostgresServer

_REACHED = 45.0  # seconds within which a failpoint must be passed


def at_failpoint(rig: Rig, name: str, nth: int, seed: int) -> None:
    """SIGKILL at the nth time that the process passes the failpoint."""
    rig.kills["the pipeline, at a failpoint"] += 1
    armed = f"{name}=kill@{nth}"
    with rig.traffic(seed), rig.pipeline.start(failpoints=armed) as process:
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


def of_the_database(rig: Rig, server: PostgresServer, random: Random, seed: int) -> None:
    """SIGKILL of PostgreSQL while the pipeline delivers; it recovers, and the pipeline goes on by itself."""
    rig.kills["PostgreSQL, while the pipeline delivers"] += 1
    with rig.traffic(seed, survives=True), rig.pipeline.start() as process:
        rig.wait_for_progress(process)
        time.sleep(random.uniform(0, 1))
        server.kill()
        time.sleep(random.uniform(0, 0.5))
        server.start()
        rig.wait_for_progress(process)
        process.signal(signal.SIGTERM)
        process.wait(30, expected=0)
