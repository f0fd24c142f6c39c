"""Compressed transactions of MySQL (TRANSACTION_PAYLOAD): the events in one, without their checksums.

What stands in memory is bounded: a payload that says it is large, or does not say how large it is, is
decompressed into an unnamed temporary file, and read from there event by event.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from io import BufferedReader
from pathlib import Path
from struct import Struct
from typing import Final

import cramjam

from connectors.mysql.binlog.event import HEADER, Reader

IN_MEMORY: Final = 32 << 20
"""Bytes up to which a transaction is decompressed in memory."""

_END, _SIZE, _COMPRESSION, _UNCOMPRESSED_SIZE = 0, 1, 2, 3
_ZSTD, _NONE = 0, 255
_MOST_FIELDS: Final = 1024  # bytes before the payload: three short numbers, and room for more
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
    if size is not None and size <= IN_MEMORY:
        return _in(_decompressed(payload, size))
    return _from_file(payload, size, folder)


def _decompressed(payload: memoryview, size: int) -> memoryview:
    data = bytearray(size)
    try:
        found = cramjam.zstd.decompress_into(payload, data)
    except cramjam.DecompressionError as error:
        raise ValueError(
            f"a payload that is damaged, or longer than the {size} bytes it says: {error}"
        ) from None
    if found != size:
        raise ValueError(f"a payload of {found} bytes decompressed that says it has {size}")
    return memoryview(data)


def _from_file(payload: memoryview, size: int | None, folder: Path | None) -> Iterator[bytes]:
    with tempfile.NamedTemporaryFile(prefix="tailrace-", dir=folder) as file:
        try:
            target = cramjam.File(file.name, read=False, write=True, truncate=True)
            found = cramjam.zstd.decompress_into(payload, target)
        except cramjam.DecompressionError as error:
            raise ValueError(f"a payload that is damaged: {error}") from None
        if size is not None and found != size:
            raise ValueError(f"a payload of {found} bytes decompressed that says it has {size}")
        with Path(file.name).open("rb") as written:
            yield from _read(written)


def _read(file: BufferedReader) -> Iterator[bytes]:
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
