"""The rules that refuse a gap, where a server in the right state is hard to have."""

import pytest

from connectors.postgres.continuity import check_end, check_slot, check_timeline
from connectors.postgres.position import WalPosition
from connectors.postgres.slot import Slot
from tailrace.errors import Diverged, Gap

# What TIMELINE_HISTORY 4 returns; timeline 3 was left at 0/9000000.
_HISTORY = """\
1\t0/3000000\tno recovery target specified

# a comment
2\t0/5000000\tno recovery target specified
3\t0/9000000\tbefore 2026-11-24 03:00:00+00
"""


def _inside(lsn: int) -> WalPosition:
    return WalPosition(lsn, 3, lsn - 0x100)


@pytest.mark.parametrize(
    ("position", "timeline", "allowed"),
    [
        (WalPosition(0xFFFFFFFF), 4, True),  # the same timeline: the log's end is another rule
        (WalPosition(0x9000000), 3, True),  # exactly where it was left
        (WalPosition(0x9000001), 3, False),
        (WalPosition(0x4FFFFFF), 2, True),
        (WalPosition(0x5000001), 2, False),  # although timeline 3 goes further
        (WalPosition(0x3000000), 1, True),
        (WalPosition(0x3000001), 1, False),
        (WalPosition(0x1000), 5, False),  # a timeline of which the server does not come
        (_inside(0x8FFFFFF), 3, True),
        (_inside(0x9000000), 3, False),  # its commit record would begin behind the switch
    ],
)
def test_a_timeline(position: WalPosition, timeline: int, allowed: bool) -> None:
    if allowed:
        check_timeline(position, timeline, 4, _HISTORY, "here")
        return
    with pytest.raises(Diverged) as refused:
        check_timeline(position, timeline, 4, _HISTORY, "here")
    assert refused.value.code.id == "TR-PG-321"


@pytest.mark.parametrize(
    ("position", "allowed"),
    [
        (WalPosition(0x1000), True),
        (WalPosition(0x1001), False),
        (_inside(0xFFF), True),
        (_inside(0x1000), False),
    ],
)
def test_the_end(position: WalPosition, allowed: bool) -> None:
    if allowed:
        check_end(position, 0x1000, "here")
        return
    with pytest.raises(Diverged) as refused:
        check_end(position, 0x1000, "here")
    assert refused.value.code.id == "TR-PG-322"


@pytest.mark.parametrize(
    ("position", "confirmed", "allowed"),
    [
        (WalPosition(0x1000), 0x1000, True),
        (WalPosition(0x1000), 0x1001, False),
        (_inside(0x1000), 0xF00, True),
        (_inside(0x1000), 0x1000, True),  # a transaction that commits there is sent
        (_inside(0x1000), 0x1001, False),
    ],
)
def test_where_the_slot_stands(position: WalPosition, confirmed: int, allowed: bool) -> None:
    slot = Slot("s", "pgoutput", "d", False, None, confirmed, "reserved", False, None, False, False)
    if allowed:
        assert check_slot(position, "s", slot, "d", "here") == confirmed
        return
    with pytest.raises(Gap) as refused:
        check_slot(position, "s", slot, "d", "here")
    assert refused.value.code.id == "TR-PG-312"
