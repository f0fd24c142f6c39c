"""The built-in offset stores pass the acceptance suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from offsets.sqlite import SqliteOffsetSettings, SqliteOffsetStore
from tailrace.testing.offsets import OffsetStoreAcceptance


class SqliteHarness:
    def __init__(self, base: Path) -> None:
        self._base = base

    def store(self) -> SqliteOffsetStore:
        return SqliteOffsetStore(SqliteOffsetSettings(), self._base)


class TestSqliteOffsetStore(OffsetStoreAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path)
