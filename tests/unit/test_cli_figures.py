"""Rates and lags out of a status."""

from __future__ import annotations

import time

import pytest

from tailrace.cli.figures import Figures
from tailrace.engine.status import PipelineStatus, SinkStatus


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The monotonic clock of the figures, as its only element."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def status(lag_bytes: int | None, delivered: float | None, read: float | None) -> PipelineStatus:
    """A pipeline of one sink; `delivered` and `read` say how many seconds ago their newest transaction was
    committed."""
    now = time.time()
    made = PipelineStatus("orders", sinks={"orders/log": SinkStatus("orders/log", lag_bytes=lag_bytes)})
    made.sinks["orders/log"].timestamp = None if delivered is None else round((now - delivered) * 1e6)
    made.source.timestamp = None if read is None else round((now - read) * 1e6)
    if delivered == read:
        made.source.timestamp = made.sinks["orders/log"].timestamp
    return made


def test_a_rate_is_that_of_the_last_seconds(clock: list[float]) -> None:
    seen = Figures()
    now = status(0, None, None)
    rates = []
    for second in range(12):
        clock[0] = 100.0 + second
        now.sinks["orders/log"].events = 500 * min(second, 5)  # busy for five seconds, then quiet
        rates.append(seen.of(now)["orders/log"].rows_per_second)
    assert rates[0] == 0
    assert rates[1:6] == [500] * 5
    assert 0 < rates[6] < 500
    assert rates[-1] == 0


@pytest.mark.parametrize(
    ("lag_bytes", "delivered", "read", "reading", "lag"),
    [
        (0, 3600, 3600, False, 0),  # the end of the log
        (5000, 3600, 3600, False, 0),  # what the log grew by concerns no captured table
        (5000, 60, 60, True, 60),  # all that was read is durable, and there is more behind it
        (5000, 60, 10, False, 60),  # something that was read is not durable
        (5000, None, 10, True, None),  # nothing durable in this run yet
        (None, 60, 60, False, 60),  # the server has not told its end yet
        (0, None, None, False, 0),
    ],
)
def test_the_lag_in_seconds(
    clock: list[float],
    lag_bytes: int | None,
    delivered: float | None,
    read: float | None,
    reading: bool,
    lag: float | None,
) -> None:
    seen = Figures()
    now = status(lag_bytes, delivered, read)
    seen.of(now)
    clock[0] += 1
    now.source.read_at = time.time() - (0 if reading else 60)
    assert seen.of(now)["orders/log"].lag_seconds == (lag if not lag else pytest.approx(lag, abs=5))
