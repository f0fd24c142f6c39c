"""A record batch for one partition: what aiokafka's `send_batch` takes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final, Literal, TypeAlias

from aiokafka.record.default_records import DefaultRecordBatch, DefaultRecordBatchBuilder

from tailrace.abc import Record

Row: TypeAlias = tuple[int, bytes | None, bytes | None, bytes | None, Record]
"""Timestamp in ms, key, value, the header `tailrace.position` if wanted, and the record they are made of. It
holds no container, so that the garbage collector lets go of it at first sight."""

Compression: TypeAlias = Literal["none", "gzip", "snappy", "lz4", "zstd"]

_NO_HEADERS: Final[list[tuple[str, bytes]]] = []
_CODECS: Final = {
    "none": DefaultRecordBatch.CODEC_NONE,
    "gzip": DefaultRecordBatch.CODEC_GZIP,
    "snappy": DefaultRecordBatch.CODEC_SNAPPY,
    "lz4": DefaultRecordBatch.CODEC_LZ4,
    "zstd": DefaultRecordBatch.CODEC_ZSTD,
}


class RecordBatch:
    """Filled here, sealed by aiokafka: it gives producer id, epoch and sequence when the batch is sent.

    aiokafka's own BatchBuilder does the same with a Python call for each record.
    """

    __slots__ = ("_buffer", "_builder", "_count")

    def __init__(self, limit: int, compression: Compression) -> None:
        self._builder = DefaultRecordBatchBuilder(
            2, _CODECS[compression], is_transactional=1,
            producer_id=-1, producer_epoch=-1, base_sequence=0, batch_size=limit,
        )  # fmt: skip
        self._buffer: bytearray | None = None
        self._count = 0

    def fill(self, rows: Sequence[Row], start: int) -> int:
        """Append rows from `start` on until one does not fit, and return its index, or their number if all
        do. A batch always takes its first row, however large that is: compare `size` with the limit."""
        append = self._builder.append
        offset = self._count
        for timestamp, key, value, position, record in islice(rows, start, None):
            headers = _NO_HEADERS if position is None else [("tailrace.position", position)]
            if record.headers:
                headers = [*headers, *record.headers]
            if append(offset, timestamp, key, value, headers) is None:
                break
            offset += 1
        start += offset - self._count
        self._count = offset
        return start

    def add(self, timestamp: int, key: bytes, value: bytes | None) -> None:
        """Append one record to a batch that has room for it."""
        self._builder.append(self._count, timestamp, key, value, _NO_HEADERS)
        self._count += 1

    def size(self) -> int:
        """Bytes; before compression until it is built."""
        return self._builder.size() if self._buffer is None else len(self._buffer)

    def record_count(self) -> int:
        """How many records it holds."""
        return self._count

    def closed(self) -> bool:
        """Nothing is added to a batch once it is with aiokafka."""
        return True

    def close(self) -> None:
        """See `closed`."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._builder.set_producer_state(producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        if self._buffer is None:
            self._buffer = self._builder.build()
            del self._builder
        return self._buffer


def compressed_size(row: Row, compression: Compression) -> int:
    """Bytes of a batch of this row alone, as the broker measures it."""
    batch = RecordBatch(0, compression)
    batch.fill([row], 0)
    return len(batch._build())
