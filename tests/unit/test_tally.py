"""How often keys come."""

from __future__ import annotations

from tailrace.tally import Tally


def test_a_key_comes_often_by_its_weight() -> None:
    tally = Tally[str](10)
    assert [tally.comes_often("a", 4) for _ in range(3)] == [False, False, True]
    assert not tally.comes_often("b")


def test_of_too_many_keys_all_are_forgotten() -> None:
    tally = Tally[int](2)
    assert not tally.comes_often(0)
    assert tally.comes_often(0)
    for key in range(1, 10_000):
        assert not tally.comes_often(key)
    assert not tally.comes_often(0)
