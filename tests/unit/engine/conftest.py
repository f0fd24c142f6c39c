"""What the tests of the engine share."""

from __future__ import annotations

import pytest

from tailrace.engine import backoff


@pytest.fixture(autouse=True)
def _short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backoff.Backoff, "next", lambda self: 0.0005)
