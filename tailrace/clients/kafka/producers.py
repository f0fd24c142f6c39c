"""Whose transactions are open in a partition: DescribeProducers (KIP-664), which aiokafka lacks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields


class _Response(Response):  # type: ignore[misc]  # its base has no types
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("error_message", CompactString("utf-8")),
                        (
                            "producers",
                            CompactArray(
                                ("producer_id", Int64),
                                ("producer_epoch", Int32),
                                ("last_sequence", Int32),
                                ("last_timestamp", Int64),
                                ("coordinator_epoch", Int32),
                                ("transaction_start", Int64),
                                ("tags", TaggedFields),
                            ),
                        ),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestV0(RequestStruct):  # type: ignore[misc]  # its base has no types
    FLEXIBLE_VERSION = True
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", CompactString("utf-8")),
                ("partitions", CompactArray(Int32)),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class ProducersRequest(Request[_RequestV0]):  # type: ignore[misc]  # its base has no types
    """The producers of some partitions of a topic, to be asked of the broker that leads them."""

    API_KEY = 61

    def __init__(self, topic: str, partitions: Sequence[int]) -> None:
        self._topics: list[tuple[str, Sequence[int], dict[int, bytes]]] = [(topic, partitions, {})]

    def build(self, request_struct_class: type[_RequestV0]) -> _RequestV0:
        return request_struct_class(self._topics, {})


def open_transactions(answer: Any, producer_id: int) -> Iterator[tuple[int, int, int | None]]:
    """Of an answer: (partition, error code, offset at which a transaction of the producer is open)."""
    ((_, partitions, _),) = answer.topics
    for partition, error_code, _message, producers, _tags in partitions:
        begun = {producer: start for producer, *_, start, _ in producers or () if start >= 0}
        yield partition, error_code, begun.get(producer_id)
