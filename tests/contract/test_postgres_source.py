"""The PostgreSQL source passes the acceptance suite, also where open transactions are streamed to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.postgres.source import PostgresSource
from tailrace.abc import SourceContext
from tailrace.testing.sources import SourceAcceptance
from tests.servers import Postgres


class PostgresHarness:
    """A database with a table `t`, and a pipeline that is called like it, with more settings."""

    def __init__(self, server: Postgres, database: str, folder: Path, **settings: Any) -> None:
        self._server = server
        self._database = database
        self._folder = folder
        self._settings = settings
        self._sql("CREATE TABLE t (id int PRIMARY KEY, x text)")

    def source(self) -> PostgresSource:
        settings = PostgresSource.Settings.model_validate(
            {
                "url": self._server.url(self._database),
                "tables": ["public.t"],
                "snapshot": "never",
                **self._settings,
            }
        )
        return PostgresSource(settings, SourceContext(self._database, data_dir=self._folder))

    async def insert(self, ids: Sequence[int]) -> None:
        rows = ", ".join(f"({id}, repeat('x', 1000))" for id in ids)
        await asyncio.to_thread(self._sql, f"INSERT INTO t VALUES {rows}")

    async def lose_the_log(self) -> None:
        await asyncio.to_thread(self._sql, f"SELECT pg_drop_replication_slot('tailrace_{self._database}')")

    def _sql(self, statement: str) -> None:
        self._server.execute(statement, database=self._database)


class TestPostgresSource(SourceAcceptance):
    @pytest.fixture
    def harness(
        self, postgres18: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
    ) -> PostgresHarness:
        return PostgresHarness(postgres18, make_database(postgres18), tmp_path)


class TestPostgresSourceStreaming(SourceAcceptance):
    @pytest.fixture
    def harness(
        self, postgres18: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
    ) -> PostgresHarness:
        database = make_database(postgres18)
        postgres18.execute(f"ALTER DATABASE {database} SET logical_decoding_work_mem = '64kB'")
        return PostgresHarness(postgres18, database, tmp_path, streaming="on")
