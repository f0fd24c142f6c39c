"""Apache Kafka: each unit is one transaction, with the checkpoint as a record of its own in it.

`sink` puts the rest together: `config` (settings), `framing` (a batch's records by topic, with `murmur2`),
`topic` (record batches per partition), `doctor`. Transactions, checkpoints, login and TLS are those of
`tailrace.clients.kafka`, which the offset store uses too.
"""

from sinks.kafka.config import KafkaSettings
from sinks.kafka.sink import KafkaSink

__all__ = ["KafkaSettings", "KafkaSink"]
