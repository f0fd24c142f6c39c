"""MariaDB's compressed statements and rows (`log_bin_compress`), record by record. No I/O.

A record is a byte (the upper half tells the algorithm, of which there is one, the lower three bits how many
bytes the length takes), the length of what was compressed (big-endian), and a zlib stream.
"""

from __future__ import annotations

import zlib
from typing import Final

_ZLIB: Final = 0x80


def unpack(record: bytes) -> bytes:
    """What was compressed. Takes no more memory than the announced length. Raises ValueError for what is no
    record, or one of another length than it says."""
    head = record[0] if record else 0
    size = head & 0x07
    if head & 0xF8 != _ZLIB or not 1 <= size <= 4 or len(record) <= 1 + size:
        raise ValueError(f"no compressed record: {record[:8].hex(' ') or 'nothing'}")
    length = int.from_bytes(record[1 : 1 + size], "big")
    stream = zlib.decompressobj()
    try:
        # One byte more than announced, so that a longer one is noticed.
        data = stream.decompress(record[1 + size :], length + 1)
    except zlib.error as error:
        raise ValueError(f"a compressed record that is damaged: {error}") from None
    if len(data) != length or not stream.eof or stream.unused_data:
        raise ValueError(f"a compressed record of {length} bytes that holds {len(data)} or more")
    return data
