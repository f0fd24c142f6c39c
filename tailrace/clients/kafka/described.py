"""What a broker says of topics and of what a user may do with them: Metadata, version 8.

aiokafka's own request ends at version 5, which tells neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int16, Int32, Schema, String

OPERATIONS: Final = {
    "Read": 3, "Write": 4, "Create": 5, "Describe": 8, "DescribeConfigs": 10,
}  # fmt: skip
"""What an ACL allows, as kafka-acls.sh writes it, and the number of the protocol."""


@dataclass(frozen=True, slots=True)
class Described:
    """A topic that exists: how many replicas each of its partitions has, how many of them are in sync, and
    what the user may do."""

    name: str
    replicas: Sequence[int]
    in_sync: Sequence[int]
    allowed: int  # a bit per operation's number

    def lacks(self, *operations: str) -> list[str]:
        """Those of the operations that the user may not do."""
        return [name for name in operations if not self.allowed & 1 << OPERATIONS[name]]


class _Response(Response):  # type: ignore[misc]  # its base has no types
    API_KEY = 3
    API_VERSION = 8
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            Array(("node_id", Int32), ("host", String("utf-8")), ("port", Int32), ("rack", String("utf-8"))),
        ),
        ("cluster_id", String("utf-8")),
        ("controller_id", Int32),
        (
            "topics",
            Array(
                ("error_code", Int16),
                ("topic", String("utf-8")),
                ("is_internal", Boolean),
                (
                    "partitions",
                    Array(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", Array(Int32)),
                        ("isr", Array(Int32)),
                        ("offline", Array(Int32)),
                    ),
                ),
                ("operations", Int32),
            ),
        ),
        ("cluster_operations", Int32),
    )


class _RequestV8(RequestStruct):  # type: ignore[misc]  # its base has no types
    API_KEY = 3
    API_VERSION = 8
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        ("topics", Array(String("utf-8"))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_operations", Boolean),
        ("include_topic_operations", Boolean),
    )


class DescribeRequest(Request[_RequestV8]):  # type: ignore[misc]  # its base has no types
    """All topics that the user may describe."""

    API_KEY = 3

    def build(self, request_struct_class: type[_RequestV8]) -> _RequestV8:
        return request_struct_class(None, False, False, True)


def described(answer: Any) -> list[Described]:
    """The topics of an answer that were described without an error."""
    return [
        Described(name, [len(one[4]) for one in partitions], [len(one[5]) for one in partitions], operations)
        for error, name, _internal, partitions, operations in answer.topics
        if not error
    ]
