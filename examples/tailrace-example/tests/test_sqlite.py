"""The sink `sqlite` passes the acceptance suite."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest
from tailrace_example.sqlite import SqliteSettings, SqliteSink

from tailrace.abc import SinkContext
from tailrace.events import Table
from tailrace.testing.events import Delivered
from tailrace.testing.sinks import FORMAT, ExactlyOnceSinkAcceptance


class SqliteHarness:
    def __init__(self, base: Path) -> None:
        self._base = base

    def sink(self, name: str = "main") -> SqliteSink:
        context = SinkContext("acceptance", name, FORMAT, self._base)
        return SqliteSink(SqliteSettings(path=Path("events.db")), context)

    async def read_back(self, table: Table) -> Sequence[Delivered]:
        file = self._base / "events.db"
        if not file.exists():
            return []
        with contextlib.closing(sqlite3.connect(file)) as connection:
            found = connection.execute(
                "SELECT key, value FROM event WHERE source = ? ORDER BY number", (str(table),)
            )
            return found.fetchall()


class TestSqliteSink(ExactlyOnceSinkAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path)
