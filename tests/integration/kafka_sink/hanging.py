"""Transactions that a broker has ended without a word to their partitions: ended there as it had decided.

A broker that is its own controller begins with what it knew before it was killed, then registers anew: in
between, where its start is slow, its partitions have no leader, and it takes them for deleted.
"""

from __future__ import annotations

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.record.memory_records import MemoryRecords

from sinks.kafka.sink import KafkaSink
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.cluster import Cluster
from tests.servers import KafkaServer
from tests.waiting import eventually

_STATUS = 16  # where it stands in the coordinator's record: behind version, producer id, epoch, timeout
_PREPARE_COMMIT, _PREPARE_ABORT = 2, 3


async def end_hanging(kafka: KafkaServer, sink: KafkaSink, topic: str) -> None:
    """End the last transaction of a sink as the coordinator decided it, in `topic` and that of the offsets.

    The marker of a later transaction of the same producer ends an earlier one too.
    """
    committed = _decision(kafka, sink._transactional_id) == _PREPARE_COMMIT
    async with Cluster(Access((kafka.bootstrap_servers,))) as cluster:
        found = await cluster.topics([sink._offsets.name, topic])
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka.bootstrap_servers, transactional_id=sink._transactional_id
    )
    await producer.start()
    try:
        await producer.begin_transaction()
        manager = producer._txn_manager
        for each in found.values():
            for partition in range(each.partitions):
                manager.maybe_add_partition_to_txn(TopicPartition(each.name, partition))

        async def added() -> bool:
            return not manager.partitions_to_add()

        await eventually(added, "the partitions in the transaction")
        await (producer.commit_transaction() if committed else producer.abort_transaction())
    finally:
        await producer.stop()


def _decision(kafka: KafkaServer, transactional_id: str) -> int:
    decision = _PREPARE_ABORT
    for file in sorted(kafka.data.glob("__transaction_state-*/*.log")):
        records = MemoryRecords(file.read_bytes())
        while records.has_next():
            for record in records.next_batch():
                if record.key.endswith(transactional_id.encode()) and record.value:
                    status = record.value[_STATUS]
                    decision = status if status in (_PREPARE_COMMIT, _PREPARE_ABORT) else decision
    return decision
