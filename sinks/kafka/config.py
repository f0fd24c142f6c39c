"""The settings of a `type: kafka` sink."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, field_validator

from tailrace.abc import Declaration
from tailrace.clients.kafka.settings import KafkaAccess
from tailrace.topics import TopicTemplate

_TOPIC_NAME = r"^[a-zA-Z0-9._-]{1,249}$"


def _as_text(settings: Any) -> Any:
    """Kafka's settings are text; YAML writes some of them as numbers and booleans."""
    if not isinstance(settings, dict):
        return settings
    return {
        key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in settings.items()
    }


class KafkaHeaders(Declaration):
    """Record headers beside key and value."""

    position: bool = Field(
        default=False,
        description="Add the header tailrace.position (commit position:ordinal:index): it names an event "
        "across partitions and repeats.",
    )


class KafkaSettings(KafkaAccess):
    """Deliver to Apache Kafka, exactly once."""

    topic: str = Field(
        default="{pipeline}.{schema}.{table}",
        min_length=1,
        description="The topic of a table. Fields: {pipeline} {database} {schema} {table}.",
    )
    partitions: int = Field(default=4, ge=1, description="Partitions of the topics that are created.")
    replication_factor: int | None = Field(
        default=None,
        ge=1,
        le=32767,
        description="Replicas of the topics that are created. Default: the broker's.",
    )
    topic_settings: Annotated[dict[str, str], BeforeValidator(_as_text)] = Field(
        default_factory=dict,
        description="Settings of the topics that are created, such as retention.ms. Existing topics are used "
        "as they are.",
    )
    # From record to commit, 745 bytes of JSON each: zstd 3.0 µs of CPU, snappy 2.7, none 3.7 (its checksum
    # covers every byte), lz4 6.8 and gzip 18 (aiokafka runs both at level 9). zstd is the smallest by far.
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        default="zstd",
        description="How record batches are compressed. zstd and snappy cost least, lz4 more, gzip most.",
    )
    max_request_size: int = Field(
        default=1024 * 1024,
        ge=1024,
        le=64 * 1024 * 1024,
        description="Bytes of a record batch at most, before compression; a larger record is refused. The "
        "topic's max.message.bytes bounds it too.",
    )
    record_too_large: Literal["stop", "skip"] = Field(
        default="stop",
        description="What to do with a record that is larger than `max_request_size`, or than the topic "
        "takes. `stop`: stop, with the event named. `skip`: leave it out, with a warning that names it "
        "(TR-KAFKA-011) and a count in status and metrics; the tombstone of a delete that is left out is "
        "written all the same. Then everything is delivered but what was told to be left out.",
    )
    transaction_timeout: float = Field(
        default=60.0,
        ge=10,
        le=900,
        description="Seconds after which Kafka aborts a transaction whose producer has gone; half of it is "
        "what a commit may take. The broker's transaction.max.timeout.ms must allow it.",
    )
    headers: KafkaHeaders = Field(default=KafkaHeaders(), description="Record headers.")
    tombstones: bool = Field(
        default=True, description="Write the tombstone (a record without a value) that follows a delete."
    )
    offsets_topic: str = Field(
        default="_tailrace_offsets",
        pattern=_TOPIC_NAME,
        description="The compacted topic that keeps the checkpoints of all sinks.",
    )
    offsets_replication_factor: int | None = Field(
        default=None,
        ge=1,
        le=32767,
        description="Replicas of the offsets topic, if it is created. Default: the broker's.",
    )

    @field_validator("topic")
    @classmethod
    def _known_fields(cls, value: str) -> str:
        TopicTemplate(value)
        return value
