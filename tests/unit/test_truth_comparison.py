"""The comparison finds every kind of difference, and none where there is none."""

from __future__ import annotations

from typing import Any

import pytest

from tests.truth import Comparison, Delivered, Event
from tests.truth.events import Place


def locate(position: str) -> Place:
    lsn, ordinal, index = position.split(":")
    return int(lsn, 16), int(ordinal), int(index)


def event(lsn: int, ordinal: int, key: Any = 1, value: Any = "v") -> Event:
    return Event((lsn, ordinal, 0), "t", key, value)


def delivered(lsn: int, ordinal: int, key: Any = 1, value: Any = "v", partition: int = 0) -> Delivered:
    return Delivered(("t", partition), "t", f"{lsn:016X}:{ordinal}:0", key, value)


EXPECTED = [event(10, 1), event(10, 2, key=2), event(11, 1)]
RIGHT = [delivered(10, 1), delivered(11, 1), delivered(10, 2, key=2, partition=1)]


def test_the_same_is_no_difference() -> None:
    comparison = Comparison(locate)
    assert not comparison.compare(EXPECTED, RIGHT)
    assert not comparison.compare([event(12, 1)], [delivered(12, 1)])
    assert (comparison.compared, comparison.repeated) == (4, 0)


@pytest.mark.parametrize(
    ("found", "kind"),
    [
        (RIGHT[1:], "lost"),
        ([*RIGHT, RIGHT[0]], "doubled"),
        ([RIGHT[1], RIGHT[0], RIGHT[2]], "reordered"),
        ([*RIGHT, delivered(13, 1)], "foreign"),
        ([delivered(10, 1, value="w"), *RIGHT[1:]], "wrong"),
        ([delivered(10, 1, key=2), *RIGHT[1:]], "wrong"),
        ([RIGHT[0], delivered(11, 1, partition=2), RIGHT[2]], "reordered"),  # one key in two partitions
    ],
)
def test_each_difference_is_found(found: list[Delivered], kind: str) -> None:
    differences = Comparison(locate).compare(EXPECTED, found)
    assert kind in [name for name, what in vars(differences).items() if what]
    assert f"1 {kind}" in str(differences)


def test_differences_are_found_across_pieces() -> None:
    comparison = Comparison(locate)
    assert not comparison.compare(EXPECTED, RIGHT)
    assert comparison.compare([], [RIGHT[0]]).doubled
    assert comparison.compare([event(9, 1)], [delivered(9, 1)]).reordered


def test_repeats_are_allowed_where_they_are_promised() -> None:
    comparison = Comparison(locate, repeats=True)
    one, two = delivered(10, 1), delivered(11, 1)
    expected = [event(10, 1), event(11, 1), event(12, 1)]
    assert not comparison.compare(expected, [one, two, one, two, delivered(12, 1)])
    assert comparison.repeated == 2
    assert Comparison(locate, repeats=True).compare(expected, [one, delivered(12, 1), one, two]).reordered
