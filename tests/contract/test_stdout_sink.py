"""The sink `stdout` passes the acceptance suite."""

from __future__ import annotations

import re
from collections.abc import Sequence

import pytest

from sinks.stdout import StdoutSettings, StdoutSink
from tailrace.abc import SinkContext
from tailrace.events import Table
from tailrace.testing.events import Delivered
from tailrace.testing.sinks import FORMAT, AtLeastOnceSinkAcceptance

_LINE = re.compile(r'\{"topic":"public\.(\w+)","position":"\d{16}:\d+:\d+","key":(.*?),"value":(.*)\}')


class StdoutHarness:
    """Reads what arrives at the process's own standard output."""

    def __init__(self, captured: pytest.CaptureFixture[str], base: pytest.TempPathFactory) -> None:
        self._captured = captured
        self._base = base.getbasetemp()
        self._lines: list[str] = []

    def sink(self, name: str = "main") -> StdoutSink:
        context = SinkContext("acceptance", name, FORMAT, self._base)
        return StdoutSink(StdoutSettings(topic="{schema}.{table}"), context)

    async def read_back(self, table: Table) -> Sequence[Delivered]:
        self._lines += self._captured.readouterr().out.splitlines()
        found = [_LINE.fullmatch(line) for line in self._lines]
        assert all(found)
        return [
            (_field(match[2]), _field(match[3]))
            for match in found
            if match is not None and match[1] == table.name
        ]


def _field(text: str) -> bytes | None:
    return None if text == "null" else text.encode()


class TestStdoutSink(AtLeastOnceSinkAcceptance):
    @pytest.fixture
    def harness(
        self, capfd: pytest.CaptureFixture[str], tmp_path_factory: pytest.TempPathFactory
    ) -> StdoutHarness:
        return StdoutHarness(capfd, tmp_path_factory)
