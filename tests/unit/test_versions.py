"""What is made of table versions: once while they are in use, and not kept for ever."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest

from tailrace.events import Table
from tailrace.versions import ROUND, PerVersion
from tests.unit.debezium_samples import ID, table


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr("tailrace.versions.time", SimpleNamespace(monotonic=lambda: self.now))

    def pass_round(self) -> None:
        self.now += ROUND + 1


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def _used(per_version: PerVersion[object], used: Table) -> object:
    return per_version.find(used) or per_version.make(used)


def test_a_table_without_changes_is_forgotten_and_one_in_use_is_made_once(clock: Clock) -> None:
    made: list[str] = []

    def make(table: Table) -> object:
        made.append(table.name)
        return object()

    kept, lasting = PerVersion(make), table(ID, name="lasting")
    first = _used(kept, lasting)
    for number in range(100):
        for _ in range(3):
            _used(kept, table(ID, name=f"dropped_{number}"))
            assert _used(kept, lasting) is first
        clock.pass_round()
    assert made.count("lasting") == 1
    assert len(list(kept)) == len(kept._versions) < 12


def test_one_that_comes_after_it_was_forgotten_is_made_again(clock: Clock) -> None:
    kept, rare = PerVersion[object](lambda _: object()), table(ID, name="rare")
    first = _used(kept, rare)
    for number in range(3):
        _used(kept, table(ID, name=f"other_{number}"))
        clock.pass_round()
    assert rare not in list(kept)
    again = _used(kept, rare)
    assert again is not first
    assert _used(kept, rare) is again


def test_an_older_version_goes_at_once(clock: Clock) -> None:
    kept, older = PerVersion[object](lambda _: object()), table(ID, name="t")
    _used(kept, older)
    clock.pass_round()
    _used(kept, table(ID, name="other"))  # and so a round has ended
    newer = dataclasses.replace(older)
    _used(kept, newer)
    assert older not in list(kept)
    assert newer in list(kept)
