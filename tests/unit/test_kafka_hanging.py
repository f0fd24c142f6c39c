"""Up to where the transactions of a topic are decided."""

from __future__ import annotations

from tailrace.clients.kafka.hanging import undecided


def test_a_partition_that_is_added_meanwhile_is_not_waited_for() -> None:
    assert undecided([5, 7], [5, 9]) == [1]
    assert undecided([5, 9, 0], [5, 9]) == []
    assert undecided([], [5, 9]) == []  # the topic was deleted
