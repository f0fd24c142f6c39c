"""The acceptance suite for sources fails where a source is wrong: one defect at a time in the example's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from tailrace_example.directory import DirectorySettings, DirectorySource, Place

from tailrace.abc import SourceContext
from tailrace.checkpoint import Checkpoint
from tailrace.events import Batch, Position
from tailrace.testing import sources
from tailrace.testing.sources import SourceAcceptance, _Log


class CutsNothing(DirectorySource):
    def after(self, batch: Batch, position: Position) -> Batch:
        return batch


class RefusesNoGap(DirectorySource):
    async def verify(self, checkpoint: Checkpoint) -> None:
        pass


class LosesTheRest(DirectorySource):
    async def open(self, resume: Position) -> None:
        await super().open(await self.anchor())


class BeginsAnew(DirectorySource):
    async def open(self, resume: Position) -> None:
        await super().open(Place(1, 0, 0).position)


class AnchorsAtTheBeginning(DirectorySource):
    async def anchor(self) -> Position:
        return Place(1, 0, 0).position


class IsNeverIdle(DirectorySource):
    async def current(self) -> Position:
        position = await super().current()
        self._idle = False
        return position


class OrdersNothing(DirectorySource):
    def covers(self, position: Position, other: Position) -> bool:
        return True


class ForgetsWhatItAcknowledged(DirectorySource):
    async def acknowledge(self, position: Position) -> None:
        place = Place.of(position)
        if place.offset:
            (self._path / f"{place.number:08}.jsonl").write_text("")


class TearsDownForEver(DirectorySource):
    async def teardown(self, *, dry_run: bool) -> Sequence[str]:
        return ["something"]


class ReadsAnyPosition(DirectorySource):
    def parse(self, text: str) -> Position:
        return Place(1, 0, 0).position


class DropsALineAfterAResume(DirectorySource):
    async def open(self, resume: Position) -> None:
        await super().open(resume)
        self._resumed = self._place.offset > 0

    def _next(self) -> Batch | None:
        batch = super()._next()
        if batch is not None and self._resumed:
            self._resumed = False
            batch.events = batch.events[1:]
        return batch


class Harness:
    def __init__(self, path: Path, source: type[DirectorySource]) -> None:
        self._path = path
        self._source = source
        self._count = 0

    def source(self) -> DirectorySource:
        return self._source(DirectorySettings(path=self._path), SourceContext("p"))

    async def insert(self, ids: Sequence[int]) -> None:
        self._count += 1
        with (self._path / f"{1 + self._count // 3:08}.jsonl").open("a") as file:
            file.writelines(json.dumps({"id": id, "text": "x" * 1000}) + "\n" for id in ids)

    async def lose_the_log(self) -> None:
        for file in self._path.iterdir():
            file.unlink()
        (self._path / "00000009.jsonl").write_text('{"id": 1}\n')


@pytest.mark.parametrize(
    ("source", "test"),
    [
        (CutsNothing, "after_cuts_between_messages"),
        (RefusesNoGap, "a_gap_is_refused"),
        (LosesTheRest, "a_resume_after_every_batch_delivers_exactly_the_rest"),
        (BeginsAnew, "a_resume_after_every_batch_delivers_exactly_the_rest"),
        (BeginsAnew, "close_is_legal_in_any_state_and_open_afterwards"),
        (DropsALineAfterAResume, "a_resume_after_every_batch_delivers_exactly_the_rest"),
        (AnchorsAtTheBeginning, "delivers_what_comes_after_the_anchor_in_order"),
        (IsNeverIdle, "an_idle_position_passes_the_end_of_the_log"),
        (OrdersNothing, "positions_are_totally_ordered"),
        (ForgetsWhatItAcknowledged, "acknowledging_only_moves_forward"),
        (TearsDownForEver, "teardown_can_be_repeated"),
        (TearsDownForEver, "looking_touches_nothing"),
        (ReadsAnyPosition, "what_is_no_position"),
    ],
)
async def test_a_defect_is_noticed(
    source: type[DirectorySource], test: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "_DEADLINE", 1.0)
    harness = Harness(tmp_path, source)
    log = _Log(harness)
    arguments = (log, harness) if test == "a_gap_is_refused" else (log,)
    try:
        with pytest.raises(BaseException) as noticed:  # noqa: PT011 - pytest's own failures are no Exception
            await getattr(SourceAcceptance(), f"test_{test}")(*arguments)
    finally:
        await log.close()
    assert type(noticed.value).__name__ in ("AssertionError", "Failed", "TimeoutError", "Gap")
