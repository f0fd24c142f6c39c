"""Servers that are killed while a pipeline delivers, and come back."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from tests.crash import kills
from tests.crash.rig import Rig
from tests.servers import KafkaServer, PostgresServer


@pytest.mark.timeout(240)
def test_a_broker_and_a_database_are_killed(
    make_postgres: Callable[..., PostgresServer],
    make_kafka: Callable[..., KafkaServer],
    make_rig: Callable[..., Rig],
    seed: int,
    round: int,
) -> None:
    random = Random(f"{seed}/{round}")
    database, broker = make_postgres(18), make_kafka()
    rig = make_rig(postgres=database, kafka=broker)
    rig.recover()
    kills.of_the_broker(rig, broker, random, seed=round)
    rig.recover()
    kills.of_the_database(rig, database, random, seed=round)
    rig.recover()
