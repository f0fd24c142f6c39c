"""When a topic has too few replicas."""

from __future__ import annotations

import pytest

from tailrace.clients.kafka.checks import replicas
from tailrace.clients.kafka.described import Described
from tailrace.errors import Policy


@pytest.mark.parametrize(
    ("factor", "in_sync", "brokers", "least", "verdict"),
    [
        (3, 3, 3, 2, "ok"),
        (3, 2, 3, 2, "ok"),
        (3, 1, 3, 2, "error"),
        (3, 1, 3, None, "ok"),  # it may not be read: nothing is claimed
        (1, 1, 1, 1, "ok"),
        (1, 1, 3, 1, "warning"),
        (1, 1, 1, 2, "warning"),
    ],
)
def test_replicas(factor: int, in_sync: int, brokers: int, least: int | None, verdict: str) -> None:
    topic = Described("orders", [3, factor], [3, in_sync], 0)
    found = replicas(topic, brokers, least)
    assert [bool(finding.error) for finding in found] == {"ok": [], "warning": [False], "error": [True]}[
        verdict
    ]
    for finding in found:
        assert finding.title == "topic orders"
        if finding.error:  # brokers come back
            assert finding.error.policy is Policy.RETRY
