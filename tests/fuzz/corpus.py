"""The recorded logs of real servers, cut into windows: from one transaction's begin to the next one's."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import accumulate
from random import Random
from typing import Final

from connectors.mysql.binlog.event import ARTIFICIAL, EventType
from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.position import BinlogPosition, FilePlace
from tests.unit.binlogs import FILES, events, flavor

_BEGINS: Final = frozenset(
    {EventType.GTID, EventType.ANONYMOUS_GTID, EventType.GTID_TAGGED, EventType.MARIADB_GTID}
)
_FILE: Final = b"binlog.000001"
_OFTEN: Final = 1200  # bytes: a window of as many is taken half as often as a short one
#: Written without checksums: what is changed in them nobody can tell.
PLAIN: Final = frozenset({"mysql9-plain", "mariadb10-plain", "mariadb11-plain"})


@dataclass(frozen=True, eq=False)
class Window:
    """Some events of a recorded file behind what every connection begins with."""

    file: str
    flavor: Flavor
    checksum: bool
    events: tuple[bytes, ...]  # ROTATE and FORMAT_DESCRIPTION first

    def resume(self) -> BinlogPosition:
        """Where a pipeline stands that has read nothing yet."""
        if self.file == "mysql9-anonymous":
            return BinlogPosition(FilePlace(_FILE.decode(), 4))
        return BinlogPosition(GtidSet() if self.flavor == "mysql" else GtidPosition())


@cache
def windows() -> tuple[Window, ...]:
    """Those of all files of all servers."""
    return tuple(window for file in FILES for window in _windows(file))


@cache
def _shares() -> tuple[float, ...]:
    """How often windows are taken, added up: long ones cost more, and hold more of the same."""
    return tuple(accumulate(1 / (1 + sum(map(len, window.events)) / _OFTEN) for window in windows()))


def draw(random: Random) -> Window:
    """One of them."""
    return random.choices(windows(), cum_weights=_shares())[0]


def _windows(file: str) -> Iterator[Window]:
    first, *others = events(file)
    begin = (rotate(), first)
    held: list[bytes] = []
    for event in others:
        if event[4] in _BEGINS and held:
            yield Window(file, flavor(file), file not in PLAIN, (*begin, *held))
            held = []
        held.append(event)
    yield Window(file, flavor(file), file not in PLAIN, (*begin, *held))


def rotate() -> bytes:
    """What a server makes up at the begin of a connection: the name of the file."""
    body = struct.pack("<Q", 4) + _FILE
    whole = struct.pack("<IBIIIH", 0, EventType.ROTATE, 11, 19 + len(body) + 4, 0, ARTIFICIAL) + body
    return whole + struct.pack("<I", zlib.crc32(whole))


def packets(stream: tuple[bytes, ...]) -> bytes:
    """Events as a server sends them."""
    return b"".join(
        len(event).__add__(1).to_bytes(3, "little") + bytes(((number + 1) & 0xFF, 0)) + event
        for number, event in enumerate(stream)
    )
