"""The built-in offset stores pass the acceptance suite."""

from __future__ import annotations

from pathlib import Path

import pytest

from offsets.file import FileOffsetSettings, FileOffsetStore
from offsets.kafka import KafkaOffsetSettings, KafkaOffsetStore
from offsets.memory import MemoryOffsetSettings, MemoryOffsetStore
from offsets.postgres import PostgresOffsetSettings, PostgresOffsetStore
from offsets.sqlite import SqliteOffsetSettings, SqliteOffsetStore
from tailrace.testing.offsets import OffsetStoreAcceptance
from tests.servers import Kafka, Postgres


class SqliteHarness:
    def __init__(self, base: Path) -> None:
        self._base = base

    def store(self) -> SqliteOffsetStore:
        return SqliteOffsetStore(SqliteOffsetSettings(), self._base)


class TestSqliteOffsetStore(OffsetStoreAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> SqliteHarness:
        return SqliteHarness(tmp_path)


class FileHarness:
    def __init__(self, base: Path) -> None:
        self._base = base

    def store(self) -> FileOffsetStore:
        return FileOffsetStore(FileOffsetSettings(), self._base)


class TestFileOffsetStore(OffsetStoreAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> FileHarness:
        return FileHarness(tmp_path)


class MemoryHarness:
    def __init__(self, base: Path) -> None:
        self._base = base

    def store(self) -> MemoryOffsetStore:
        return MemoryOffsetStore(MemoryOffsetSettings(), self._base)


class TestMemoryOffsetStore(OffsetStoreAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> MemoryHarness:
        return MemoryHarness(tmp_path)


class PostgresHarness:
    """A table of the test's own."""

    def __init__(self, url: str, table: str) -> None:
        self._settings = PostgresOffsetSettings.model_validate({"url": url, "table": table})

    def store(self) -> PostgresOffsetStore:
        return PostgresOffsetStore(self._settings, Path())


class TestPostgresOffsetStore(OffsetStoreAcceptance):
    @pytest.fixture
    def harness(self, postgres16: Postgres, topic_prefix: str) -> PostgresHarness:
        return PostgresHarness(postgres16.url("postgres"), f"public.{topic_prefix.rstrip('.')}")


class KafkaHarness:
    """A topic of the test's own."""

    def __init__(self, kafka: Kafka, prefix: str) -> None:
        self._settings = KafkaOffsetSettings(
            bootstrap_servers=kafka.bootstrap_servers, topic=f"{prefix}offsets"
        )

    def store(self) -> KafkaOffsetStore:
        return KafkaOffsetStore(self._settings, Path())


class TestKafkaOffsetStore(OffsetStoreAcceptance):
    @pytest.fixture
    def harness(self, kafka: Kafka, topic_prefix: str) -> KafkaHarness:
        return KafkaHarness(kafka, topic_prefix)
