"""Apache Kafka: each unit is one transaction, with the checkpoint as a record of its own in it.

`sink` puts the rest together: `config` (settings), `framing` (a batch's records by topic, with `murmur2`),
`topic` and `batch` (record batches per partition), `producer` (transactions), `offsets_topic` (checkpoints).
"""

from sinks.kafka.config import KafkaSettings
from sinks.kafka.sink import KafkaSink

__all__ = ["KafkaSettings", "KafkaSink"]
