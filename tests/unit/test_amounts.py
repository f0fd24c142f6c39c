"""How bytes and seconds are written for people."""

from __future__ import annotations

import pytest

from tailrace.amounts import show_bytes, show_seconds


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (None, "?"),
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (56_000, "56.0 kB"),
        (1_234_567, "1.2 MB"),
        (16_000_000, "16.0 MB"),
        (3_000_000_000, "3.0 GB"),
        (10**13, "10000.0 GB"),
    ],
)
def test_bytes_are_written_short(count: int | None, text: str) -> None:
    """A few are not told as none."""
    assert show_bytes(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(None, "?"), (0.04, "0.0 s"), (99, "99.0 s"), (600, "10 min"), (7200, "2.0 h")]
)
def test_seconds_are_written_short(seconds: float | None, text: str) -> None:
    assert show_seconds(seconds) == text
