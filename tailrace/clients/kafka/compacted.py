"""Reading the newest value of one key out of a compacted topic that transactions write to."""

from __future__ import annotations

import time
from typing import Any, Final

from aiokafka.errors import CorruptRecordException
from aiokafka.record.control_record import ABORT_MARKER, ControlRecord
from aiokafka.record.memory_records import MemoryRecords

from tailrace.clients.kafka.cluster import Cluster, Fetched, Topic
from tailrace.clients.kafka.errors import NOT_NOW, translate
from tailrace.clients.kafka.hanging import HANGING
from tailrace.errors import Retry

_FETCH_BYTES: Final = 8 * 1024 * 1024


class CompactedReader:
    """Follows one key through partition 0 of a topic, from its beginning to an end fixed at the start.

    Reads what is committed, by the rules of KIP-98. aiokafka's consumer is not used for it: it fails for good
    on a control batch that compaction has emptied, and its own end lies before any open transaction.
    """

    def __init__(self, cluster: Cluster, topic: Topic, key: bytes) -> None:
        self._cluster = cluster
        self._topic = topic
        self._key = key
        self._position = 0
        self._value: bytes | None = None

    async def newest(self, *, timeout: float, producer_id: int) -> bytes | None:
        """The newest committed value of the key, None for a tombstone or if there is none.

        Everything that was sent before this call is taken into account: where a transaction is still open
        there, its end is awaited, and Retry raised after `timeout` seconds. One of `producer_id`, whose
        transactions have all ended, will have none.
        """
        end = await self._read(timeout)
        if self._position < end:
            open_ = f"is open at offset {self._position}, what must be read ends at {end}"
            where = f"topic {self._topic.name}"
            if await self._undecided() == producer_id:
                raise Retry(
                    HANGING,
                    f"a transaction of producer {producer_id}, which has ended, {open_}",
                    "Find where it hangs: kafka-transactions.sh find-hanging --broker-id ID, "
                    f"and read about {HANGING.id} in docs/kafka.md before you end it there.",
                    where=where,
                )
            raise Retry(
                NOT_NOW,
                f"a transaction {open_}",
                "Nothing: the producer that left it open ends it, or its transaction timeout does. If it "
                "stays: kafka-transactions.sh find-hanging --broker-id ID.",
                where=where,
            )
        return self._value

    async def _undecided(self) -> int | None:
        """Whose transaction it is behind which nothing is shown as committed. None: it has just ended."""
        fetched = await self._cluster.fetch(self._topic, 0, self._position, _FETCH_BYTES, undecided=True)
        records = MemoryRecords(fetched.records)
        while records.has_next():
            batch = records.next_batch()
            self._refuse_damaged(batch)
            if batch.next_offset > self._position and not batch.is_control_batch:
                return int(batch.producer_id)
        return None

    async def newest_decided(self, *, timeout: float) -> bytes | None:
        """The same, but transactions that are still open after `timeout` seconds are left out. Without
        waiting, a commit that has just been answered could be missed: its markers follow later.
        """
        end = await self._read(timeout)
        if self._position < end:
            await self._read_on(end)
        return self._value

    async def _read(self, timeout: float) -> int:
        """Read up to the end as it is now, or as far as that is possible in time. Returns the end."""
        deadline = time.monotonic() + timeout
        end = await self._cluster.end(self._topic, 0)
        self._position = await self._cluster.earliest(self._topic, 0)
        while self._position < end:
            before = self._position
            self._take(await self._cluster.fetch(self._topic, 0, before, _FETCH_BYTES))
            if self._position == before and time.monotonic() > deadline:
                break
        return end

    async def _read_on(self, end: int) -> None:
        """What is decided behind the first open transaction, which the brokers do not show as committed. The
        markers stand there: nothing so young has been compacted."""
        pending: dict[int, bytes | None] = {}  # by producer, as long as its transaction is undecided
        while self._position < end:
            before = self._position
            fetched = await self._cluster.fetch(self._topic, 0, before, _FETCH_BYTES, undecided=True)
            records = MemoryRecords(fetched.records)
            while records.has_next():
                batch = records.next_batch()
                self._refuse_damaged(batch)
                producer = batch.producer_id
                if batch.is_control_batch:
                    committed = all(ControlRecord.parse(record.key) != ABORT_MARKER for record in batch)
                    if committed and producer in pending:
                        self._value = pending[producer]
                    pending.pop(producer, None)
                else:
                    for record in batch:
                        if record.key != self._key or record.offset < before:
                            continue
                        if batch.is_transactional:
                            pending[producer] = record.value
                        else:
                            self._value = record.value
                self._position = max(self._position, batch.next_offset)
            if self._position == before:
                return

    def _refuse_damaged(self, batch: Any) -> None:
        if not batch.validate_crc():
            raise translate(CorruptRecordException(), "reading", where=f"topic {self._topic.name}")

    def _take(self, fetched: Fetched) -> None:
        records = MemoryRecords(fetched.records)
        transactions = list(fetched.aborted)
        aborted: set[int] = set()  # producers in the middle of a transaction that was aborted
        while records.has_next():
            batch = records.next_batch()
            self._refuse_damaged(batch)
            while transactions and transactions[0][1] <= batch.base_offset:
                aborted.add(transactions.pop(0)[0])
            if batch.is_control_batch:
                if any(ControlRecord.parse(record.key) == ABORT_MARKER for record in batch):
                    aborted.discard(batch.producer_id)
            elif not (batch.is_transactional and batch.producer_id in aborted):
                for record in batch:
                    if record.key == self._key and record.offset >= self._position:
                        self._value = record.value
            self._position = max(self._position, batch.next_offset)
