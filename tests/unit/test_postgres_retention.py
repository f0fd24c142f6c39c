"""What is said of the log that a slot keeps."""

from __future__ import annotations

import pytest

from connectors.postgres.retention import _size


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (56_000, "56.0 kB"),
        (1_234_567, "1.2 MB"),
        (3_000_000_000, "3.0 GB"),
    ],
)
def test_a_little_log_is_not_told_as_none(count: int, shown: str) -> None:
    assert _size(count) == shown
