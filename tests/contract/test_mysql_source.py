"""The MySQL and MariaDB sources pass the acceptance suite."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence

import pytest

from connectors.mysql.source import BinlogSource, MariaDbSource, MySqlSource
from tailrace.abc import SourceContext
from tailrace.testing.sources import SourceAcceptance
from tests.servers import MySql, MySqlServer
from tests.waiting import wait_until


class MySqlHarness:
    """A database with a table `t`, and a pipeline that is called like it."""

    def __init__(self, server: MySql, database: str) -> None:
        self._server = server
        self._database = database
        self._sql("CREATE TABLE t (id int PRIMARY KEY, x text)")

    def source(self) -> BinlogSource:
        kind = MySqlSource if self._server.flavor == "mysql" else MariaDbSource
        settings = kind.Settings.model_validate(
            {"url": self._server.url(), "tables": [f"{self._database}.t"], "snapshot": "never"}
        )
        return kind(settings, SourceContext(self._database))

    async def insert(self, ids: Sequence[int]) -> None:
        rows = ", ".join(f"({id}, repeat('x', 1000))" for id in ids)
        await asyncio.to_thread(self._sql, f"INSERT INTO t VALUES {rows}")

    async def lose_the_log(self) -> None:
        """With something in it that nobody has read: what was read may go."""
        await self.insert([1_000_000])
        await asyncio.to_thread(self._purge)

    def _purge(self) -> None:
        self._sql("FLUSH BINARY LOGS")
        *_, (newest, *_) = self._server.execute("SHOW BINARY LOGS")
        # MariaDB keeps a file until its engines need it no more.
        wait_until(lambda: self._purged(newest), f"{newest} to be the oldest file")

    def _purged(self, newest: str) -> bool:
        self._sql(f"PURGE BINARY LOGS TO '{newest}'")
        return bool(self._server.execute("SHOW BINARY LOGS")[0][0] == newest)

    def _sql(self, statement: str) -> None:
        self._server.execute(statement, database=self._database)


class TestMySqlSource(SourceAcceptance):
    @pytest.fixture
    def harness(self, every_mysql: MySql, make_database: Callable[[MySql], str]) -> MySqlHarness:
        return MySqlHarness(every_mysql, make_database(every_mysql))


@pytest.fixture(scope="module")
def without_gtids() -> Iterator[MySql]:
    with MySqlServer("mysql9", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}) as server:
        yield server


class TestMySqlSourceWithoutGtids(SourceAcceptance):
    @pytest.fixture
    def harness(self, without_gtids: MySql, make_database: Callable[[MySql], str]) -> MySqlHarness:
        return MySqlHarness(without_gtids, make_database(without_gtids))
