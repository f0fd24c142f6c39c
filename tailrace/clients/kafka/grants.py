"""What a pipeline's user must be allowed, as the commands that allow it."""

from __future__ import annotations

from typing import Final

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.errors import NOT_AUTHORISED
from tailrace.errors import NotReady

OF_TOPICS: Final = ("Read", "Write", "Create", "DescribeConfigs")
OF_OFFSETS: Final = ("Read", "Write", "Create", "DescribeConfigs")
OF_TRANSACTIONS: Final = ("Write",)
"""Describe is part of Read and Write in Kafka's own authorizer."""


def grant(access: Access, operations: tuple[str, ...], resource: str, *, prefixed: bool = False) -> str:
    """The command. `resource` is an option of kafka-acls.sh with its value, such as "--topic orders"."""
    user = access.username if access.protocol.startswith("SASL") else None
    allowed = " ".join(f"--operation {operation}" for operation in operations)
    pattern = " --resource-pattern-type prefixed" if prefixed else ""
    return (
        f"kafka-acls.sh --bootstrap-server {access.servers[0]} --add --allow-principal "
        f"User:{user or 'NAME'} {allowed} {resource}{pattern}"
    )


def not_authorised(found: str, command: str) -> NotReady:
    """The error of a right that is missing, with the command that gives it."""
    return NotReady(NOT_AUTHORISED, found, command)
