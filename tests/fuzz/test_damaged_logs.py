"""A hundred thousand damaged logs, the first that `make fuzz` goes through; and that faults are seen."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors.mysql.binlog import protocol
from connectors.mysql.columns import values
from connectors.mysql.columns.rows import RowReader
from tests.fuzz import long_run, page, run
from tests.fuzz.corpus import windows
from tests.fuzz.damage import KINDS
from tests.fuzz.run import DoesNotEndError, Runner

SEED = 1
BLOCKS = 20
INPUTS = 5_000  # of a block


@cache
def runner() -> Runner:
    return Runner(SEED)


@pytest.mark.parametrize("block", range(BLOCKS))
def test_a_damaged_log_ends_in_an_error_or_in_right_rows(block: int) -> None:
    counts = runner().run(block * INPUTS, INPUTS)
    assert sum(counts[f"{page.DAMAGED}{kind}"] for kind in KINDS) == INPUTS
    # Damage comes through to all that reads: not all is refused at the door.
    assert counts["read"] > INPUTS / 20
    assert counts["rows"] > INPUTS / 20
    assert counts["values"] > INPUTS / 2
    assert {"TR-MY-102", "TR-MY-103", "TR-MY-202", "TR-MY-311"} <= set(counts)


def test_an_input_is_its_number() -> None:
    assert Runner(SEED).input(77) == runner().input(77)
    assert len({repr(runner().input(number)) for number in range(50)}) > 45


def test_every_window_is_damaged() -> None:
    found = {runner().input(number).window for number in range(2000)}
    assert found == set(windows())


class TestFaults:
    """What would be wrong is seen."""

    @pytest.fixture(autouse=True)
    def prepared(self) -> None:
        """With what is right."""
        runner()

    def fault(self) -> str:
        with pytest.raises(Exception) as raised:  # noqa: PT011 - any
            runner().run(0, INPUTS)
        assert raised.value.__notes__[0].startswith("input ")
        return f"{type(raised.value).__name__}: {raised.value}"

    def test_a_checksum_that_is_not_looked_at(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "crc32", lambda data: protocol._RIGHT)
        assert "AssertionError" in self.fault()

    def test_a_value_out_of_range(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(values, "_fraction", lambda raw, at: 10**18)
        assert "AssertionError" in self.fault()

    def test_functions_that_read_otherwise_than_the_walker(self, monkeypatch: pytest.MonkeyPatch) -> None:
        read = RowReader.read
        monkeypatch.setattr(RowReader, "read", lambda self, rows: read(self, rows)[:1])
        assert "with care as" in self.fault()

    def test_another_exception(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(event: bytes, end: int, place: Any) -> Any:
            raise KeyError

        monkeypatch.setitem(protocol._COMMON, 16, broken)
        monkeypatch.setitem(protocol._READ["mysql"], 16, broken)
        monkeypatch.setitem(protocol._READ["mariadb"], 16, broken)
        assert "KeyError" in self.fault()

    def test_what_has_no_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def endless(*_: object) -> None:
            while True:
                pass

        monkeypatch.setattr(run, "TICK", 0.02)
        monkeypatch.setattr(runner()._judge, "judge", endless)
        with pytest.raises(DoesNotEndError, match="of the processor's time"):
            runner().run(0, 1)

    def test_what_takes_too_much_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(run, "_MOST_MEMORY", -1)
        with pytest.raises(DoesNotEndError, match="of memory"):
            runner().run(0, 10)


def test_a_run_goes_on_where_it_was_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kept.json"
    kept = long_run.Kept(path, SEED)
    kept.add(0, Counter(rows=5))
    kept.add(long_run.BLOCK, Counter(rows=7, read=1))
    again = long_run.Kept(path, SEED)
    assert [first in again for first in (0, long_run.BLOCK, 2 * long_run.BLOCK)] == [True, True, False]
    assert again.counts(0, 2 * long_run.BLOCK) == Counter(rows=12, read=1)
    assert again.counts(0, long_run.BLOCK) == Counter(rows=5)
    long_run.go_through(0, 2 * long_run.BLOCK, SEED, 1, again)  # of which nothing is left
    assert 0 not in long_run.Kept(path, SEED + 1)
    monkeypatch.setattr(long_run, "fingerprint", lambda: "of another decoder")
    assert 0 not in long_run.Kept(path, SEED)


def test_the_section_of_the_page_is_written_anew(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text(f"before\n\n{page.BEGIN}\nold\n{page.END}\n\nafter\n")
    counts = Counter({f"{page.DAMAGED}bytes": 1500, "TR-MY-103": 1000, page.READ: 500, "rows": 3})
    for _ in range(2):
        page.write(path, "make fuzz N=1500 SEED=1", counts)
        text = path.read_text()
        assert text.startswith(f"before\n\n{page.BEGIN}\n\n`make fuzz N=1500 SEED=1` on ")
        assert text.endswith(f"\n{page.END}\n\nafter\n")
        assert "old" not in text
        assert "| bytes | 1,500 |" in text
        assert "| TR-MY-103, checksum of an event is wrong | 1,000 |" in text
