"""What the tests of the decoder of binary logs share: recorded files, and events made by hand."""

from __future__ import annotations

import json
import struct
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from connectors.mysql.binlog.messages import Flavor, Message, Place
from connectors.mysql.binlog.protocol import Decoder
from tailrace.errors import Malformed

FOLDER = Path(__file__).parent / "recordings" / "binlog"
FILES = sorted(path.stem for path in FOLDER.glob("*.binlog"))
"""`<release>-<scenario>`, as `recordings/record_binlog.py` names them."""

RELEASES = sorted(path.stem for path in FOLDER.glob("*.json"))
MAGIC = b"\xfebin"

PLACE = Place(1000, 7, 11, 0)
"""Of events made by hand."""


def flavor(release: str) -> Flavor:
    return "mysql" if release.startswith("mysql") else "mariadb"


@cache
def events(file: str) -> tuple[bytes, ...]:
    """The events of a recorded file."""
    data = (FOLDER / f"{file}.binlog").read_bytes()
    assert data.startswith(MAGIC)
    return tuple(cut(data[len(MAGIC) :]))


def cut(data: bytes) -> Iterator[bytes]:
    """Events that stand one behind the other, by the sizes in their headers."""
    offset = 0
    while offset < len(data):
        size = struct.unpack_from("<I", data, offset + 9)[0]
        yield data[offset : offset + size]
        offset += size


@cache
def told(release: str) -> dict[str, Any]:
    """What the server itself said."""
    found: dict[str, Any] = json.loads((FOLDER / f"{release}.json").read_text())
    return found


def decode(flavor: Flavor, *stream: bytes) -> list[Message]:
    decoder = Decoder(flavor)
    return [message for event in stream for message in decoder.feed(event)]


@cache
def decoded(file: str) -> tuple[Message, ...]:
    """All messages of a recorded file."""
    return tuple(decode(flavor(file), *events(file)))


def event(
    type: int, body: bytes, *, end: int = 1000, time: int = 7, flags: int = 0, crc: bool = True
) -> bytes:
    """An event as a server writes it, of server 11."""
    size = 19 + len(body) + 4 * crc
    whole = struct.pack("<IBIIIH", time, type, 11, size, end, flags) + body
    return whole + struct.pack("<I", zlib.crc32(whole)) * crc


@cache
def begin(flavor: Flavor) -> bytes:
    """A FORMAT_DESCRIPTION with checksums."""
    return events("mysql9-rows" if flavor == "mysql" else "mariadb11-rows")[0]


def read(
    flavor: Flavor, type: int, body: bytes, *, end: int = 1000, time: int = 7, flags: int = 0
) -> Message:
    """What one event behind FORMAT_DESCRIPTION says."""
    made = event(type, body, end=end, time=time, flags=flags)
    _, message = decode(flavor, begin(flavor), made)
    return message


def refused(flavor: Flavor, type: int, body: bytes) -> str:
    """What the error says of one event."""
    with pytest.raises(Malformed) as error:
        read(flavor, type, body)
    assert error.value.remedy
    return f"{error.value.code.id} {error.value.found}"


def lenenc(number: int) -> bytes:
    """A length-encoded integer."""
    if number < 251:
        return bytes((number,))
    return b"\xfc" + struct.pack("<H", number) if number < 1 << 16 else b"\xfe" + struct.pack("<Q", number)


def query_body(schema: bytes = b"shop", sql: bytes = b"BEGIN", status: bytes = b"\0" * 5) -> bytes:
    """The body of a QUERY of thread 3 with the error 1062."""
    head = struct.pack("<IIBHH", 3, 0, len(schema), 1062, len(status))
    return head + status + schema + b"\0" + sql
