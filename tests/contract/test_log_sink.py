"""The sink `log` passes the acceptance suite."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path

import pytest

from sinks.log import LogSettings, LogSink
from tailrace.abc import SinkContext
from tailrace.errors import Stop
from tailrace.events import Table
from tailrace.log import Reader
from tailrace.log.reader import NO_LOG, UNKNOWN_TOPIC
from tailrace.testing.events import Delivered
from tailrace.testing.sinks import FORMAT, ExactlyOnceSinkAcceptance


class LogHarness:
    def __init__(self, base: Path) -> None:
        self._base = base

    def sink(self, name: str = "main") -> LogSink:
        settings = LogSettings(path=Path("events.db"), topic="{schema}.{table}")
        return LogSink(settings, SinkContext("acceptance", name, FORMAT, self._base))

    async def read_back(self, table: Table) -> Sequence[Delivered]:
        try:
            with contextlib.closing(Reader(self._base / "events.db")) as reader:
                entries = reader.read(f"public.{table.name}", limit=1_000_000).entries
        except Stop as error:
            if error.code in (NO_LOG, UNKNOWN_TOPIC):
                return []
            raise
        assert [entry.offset for entry in entries] == list(range(len(entries)))
        identities = [(entry.position, entry.ordinal, entry.index) for entry in entries]
        assert identities == sorted(set(identities))
        assert all(re.fullmatch(r"\d{16}", entry.position) for entry in entries)
        return [(entry.key, entry.value) for entry in entries]


class TestLogSink(ExactlyOnceSinkAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> LogHarness:
        return LogHarness(tmp_path)
