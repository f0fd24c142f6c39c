"""SIGKILL of a pipeline on MySQL and MariaDB while clients change rows and somebody changes the tables; then
a copy of the tables, made of what Kafka holds, is what the tables are."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from tests.crash import kills
from tests.crash.mysql_rig import MySqlRig
from tests.servers import MySql
from tests.traffic.mysql_ddl import Changes
from tests.waiting import wait_until

_KILLS = 2
"""Of each server in each round, behind one in the middle of a large transaction."""


def test_tables_that_change_under_the_traffic(
    every_mysql: MySql, make_mysql_rig: Callable[..., MySqlRig], seed: int, round: int
) -> None:
    rig = make_mysql_rig(every_mysql, ddl=True, stdout=False)
    random = Random(f"{seed}/{round}/{every_mysql.flavor}")
    rig.recover()
    kills.at_failpoint(rig, "engine.writer.committed", 6, seed=100 * round)
    for number in range(_KILLS):
        kills.at_an_instant(rig, random, seed=100 * round + number + 1)
    with rig.traffic(100 * round + _KILLS + 1):
        wait_until(lambda: rig.changes.steps >= Changes.ROUND, "every change to have come up", 60)
    rig.recover()
    assert rig.verified["kafka"] > 500
