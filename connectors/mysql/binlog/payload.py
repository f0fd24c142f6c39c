"""Compressed transactions of MySQL (TRANSACTION_PAYLOAD): the events in one, without their checksums.

What stands in memory is bounded: a payload that says it is large is decompressed into a temporary file, and
read from there event by event. None takes more room than it says; one that does not say it is read in
memory alone.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from mmap import mmap
from pathlib import Path
from struct import Struct
from typing import IO, Final

import cramjam

from connectors.mysql.binlog.event import HEADER, Reader

IN_MEMORY: Final = 32 << 20
"""Bytes up to which a transaction is decompressed in memory."""

_END, _SIZE, _COMPRESSION, _UNCOMPRESSED_SIZE = 0, 1, 2, 3
_ZSTD, _NONE = 0, 255
_MOST_FIELDS: Final = 1024  # bytes before the payload: three short numbers, and room for more
_MOST_RATIO: Final = 1 << 16
"""Times that what is compressed may be longer than the payload: zstd takes 4 bytes for 128 KiB at best."""

_unpack_size: Final = Struct("<9xI").unpack_from


def events(body: memoryview, folder: Path | None = None) -> Iterator[bytes]:
    """The events of a TRANSACTION_PAYLOAD's body, whole, in order. `folder`: where temporary files are made,
    the system's by default. Raises ValueError for what is none."""
    reader = Reader(bytes(body[:_MOST_FIELDS]))
    fields: dict[int, int] = {}
    while (field := reader.number()) != _END:
        value = Reader(reader.string())
        if field in (_SIZE, _COMPRESSION, _UNCOMPRESSED_SIZE):
            fields[field] = value.number()
            value.finish()
    payload = body[reader.offset :]
    if fields.get(_SIZE) != len(payload):
        raise ValueError(f"a payload of {len(payload)} bytes that says it has {fields.get(_SIZE)}")
    compression = fields.get(_COMPRESSION)
    if compression == _NONE:
        return _in(payload)
    if compression != _ZSTD:
        raise ValueError(f"a payload compressed in an unknown way: {compression}")
    size = fields.get(_UNCOMPRESSED_SIZE)
    if size is None:
        data = bytearray(IN_MEMORY)
        return _in(memoryview(data)[: _decompress(payload, data)])
    if size > len(payload) * _MOST_RATIO:
        raise ValueError(f"a payload of {len(payload)} bytes that cannot hold the {size} it says")
    return _in(_in_memory(payload, size)) if size <= IN_MEMORY else _from_file(payload, size, folder)


def _decompress(payload: memoryview, into: bytearray | mmap) -> int:
    """How many bytes it was."""
    try:
        return cramjam.zstd.decompress_into(payload, into)
    except cramjam.DecompressionError as error:
        raise ValueError(f"a payload that is damaged, or longer than {len(into)} bytes: {error}") from None


def _in_memory(payload: memoryview, size: int) -> memoryview:
    data = bytearray(size)
    _check(_decompress(payload, data), size)
    return memoryview(data)


def _check(found: int, size: int) -> None:
    if found != size:
        raise ValueError(f"a payload of {found} bytes decompressed that says it has {size}")


def _from_file(payload: memoryview, size: int, folder: Path | None) -> Iterator[bytes]:
    with tempfile.TemporaryFile(prefix="tailrace-", dir=folder) as file:
        # The room is taken before: a full disk is an error then, and ends the process later on.
        os.posix_fallocate(file.fileno(), 0, size)
        with mmap(file.fileno(), size) as room:
            _check(_decompress(payload, room), size)
        yield from _read(file)


def _read(file: IO[bytes]) -> Iterator[bytes]:
    while head := file.read(HEADER):
        size = _size(head, 0)
        event = head + file.read(size - HEADER)
        if len(event) != size:
            raise ValueError(f"a payload that ends after {len(event)} of {size} bytes of an event")
        yield event


def _in(data: memoryview) -> Iterator[bytes]:
    offset = 0
    while offset < len(data):
        end = offset + _size(data, offset)
        if end > len(data):
            raise ValueError(
                f"a payload that ends after {len(data) - offset} of {end - offset} bytes of an event"
            )
        yield bytes(data[offset:end])
        offset = end


def _size(data: bytes | memoryview, offset: int) -> int:
    if len(data) - offset < HEADER:
        raise ValueError("a payload that ends inside of an event")
    size: int = _unpack_size(data, offset)[0]
    if size < HEADER:
        raise ValueError(f"a payload with an event of {size} bytes")
    return size
