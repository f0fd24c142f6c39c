"""The source `directory` passes the acceptance suite, and refuses a log that is not what it was."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tailrace_example.directory import REWRITTEN, DirectorySettings, DirectorySource

from tailrace.abc import SourceContext
from tailrace.checkpoint import Checkpoint, Owner
from tailrace.errors import Gap, Malformed
from tailrace.events import Batch, Change
from tailrace.testing.sources import SourceAcceptance


class DirectoryHarness:
    """Begins a new file every now and then."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0

    def source(self) -> DirectorySource:
        return DirectorySource(DirectorySettings(path=self.path), SourceContext("acceptance"))

    async def insert(self, ids: Sequence[int]) -> None:
        self._count += 1
        lines = [json.dumps({"id": id, "text": "x" * 1000}) for id in ids]
        with (self.path / f"{1 + self._count // 3:08}.jsonl").open("a") as file:
            file.write("".join(f"{line}\n" for line in lines))

    async def lose_the_log(self) -> None:
        """They were removed before their time, and the writer goes on."""
        for file in self.path.iterdir():
            file.unlink()
        (self.path / "00000009.jsonl").write_text('{"id": 1}\n')


class TestDirectorySource(SourceAcceptance):
    @pytest.fixture
    def harness(self, tmp_path: Path) -> DirectoryHarness:
        return DirectoryHarness(tmp_path)


async def _next(source: DirectorySource) -> Batch:
    batches = source.read()
    try:
        return await anext(batches)
    finally:
        await batches.aclose()  # type: ignore[attr-defined]  # it is a generator


async def test_a_line_that_is_being_written_is_not_there_yet(tmp_path: Path) -> None:
    source = DirectorySource(DirectorySettings(path=tmp_path), SourceContext("p"))
    await source.open(await source.anchor())
    file = tmp_path / "00000001.jsonl"
    file.write_text('{"id": 1}\n{"id": 2')
    batch = await _next(source)
    assert [event.raw[0] for event in batch.events if isinstance(event, Change)] == [b"1"]
    (tmp_path / "00000002.jsonl").write_text('{"id": 3}\n')
    with pytest.raises(Malformed, match="ends within a line"):
        await _next(source)
    file.write_text('{"id": 1}\n{"id": 2}\n')
    assert [event.raw[0] for event in (await _next(source)).events if isinstance(event, Change)] == [b"2"]


async def test_what_is_no_line_stops(tmp_path: Path) -> None:
    source = DirectorySource(DirectorySettings(path=tmp_path), SourceContext("p"))
    await source.open(await source.anchor())
    (tmp_path / "00000001.jsonl").write_text('{"no": "id"}\n')
    with pytest.raises(Malformed, match="id"):
        await _next(source)


async def test_an_earlier_file_that_grows_is_refused(tmp_path: Path) -> None:
    source = DirectorySource(DirectorySettings(path=tmp_path), SourceContext("p"))
    (tmp_path / "00000001.jsonl").write_text('{"id": 1}\n')
    (tmp_path / "00000002.jsonl").write_text('{"id": 2}\n')
    position = await source.anchor()
    checkpoint = Checkpoint(Owner.this_process(), start="s", position=position)
    await source.verify(checkpoint)
    with (tmp_path / "00000001.jsonl").open("a") as file:
        file.write('{"id": 3}\n')
    with pytest.raises(Gap) as refused:
        await source.verify(checkpoint)
    assert refused.value.code is REWRITTEN
    (tmp_path / "00000001.jsonl").unlink()  # what was delivered may go
    await source.verify(checkpoint)


async def test_a_file_that_is_missing_while_it_is_read_is_a_gap(tmp_path: Path) -> None:
    source = DirectorySource(DirectorySettings(path=tmp_path), SourceContext("p"))
    await source.open(await source.anchor())
    (tmp_path / "00000002.jsonl").write_text('{"id": 2}\n')
    with pytest.raises(Gap, match="missing"):
        await _next(source)
