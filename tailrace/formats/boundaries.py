"""The begin and the end of a transaction as Debezium's connectors write them, the same in every format.

    {"status":"END","id":"755:28904152","event_count":2,"data_collections":[…],"ts_ms":1795808520786}

The key is {id}. As Debezium's, the id of each boundary and of each change ends with its own place in the log.
"""

from __future__ import annotations

from typing import Final

import msgspec

from tailrace.abc import Record
from tailrace.events import OFFSET_PLACEHOLDER, Change
from tailrace.formats.connect_types import Schema, field, primitive

_NAME: Final = "io.debezium.connector.common.TransactionMetadata"


def _struct(name: str, fields: list[Schema], *, optional: bool = False) -> Schema:
    return {"type": "struct", "fields": fields, "optional": optional, "name": name, "version": 1}


_COLLECTION: Final = _struct(
    "event.collection",
    [field(primitive("string"), "data_collection"), field(primitive("int64"), "event_count")],
    optional=True,
)
_KEY_SCHEMA: Final = _struct(f"{_NAME}Key", [field(primitive("string"), "id")])
_VALUE_SCHEMA: Final = _struct(
    f"{_NAME}Value",
    [
        field(primitive("string"), "status"),
        field(primitive("string"), "id"),
        field(primitive("int64", optional=True), "event_count"),
        field({"type": "array", "items": _COLLECTION, "optional": True}, "data_collections"),
        field(primitive("int64"), "ts_ms"),
    ],
)


def boundary(change: Change, *, schemas: bool = False) -> Record:
    """The record of a `b` or `e`. `schemas`: with Kafka Connect's schemas around key and value."""
    transaction = change.transaction
    assert transaction.block is not None
    id = transaction.block.replace(OFFSET_PLACEHOLDER, str(change.offset))
    ended = change.op == "e"
    value = {
        "status": "END" if ended else "BEGIN",
        "id": id,
        "event_count": sum(count for _, count in change.raw) if ended else None,
        "data_collections": [{"data_collection": name, "event_count": count} for name, count in change.raw]
        if ended
        else None,
        "ts_ms": transaction.timestamp // 1000,
    }
    parts = [(_KEY_SCHEMA, {"id": id}), (_VALUE_SCHEMA, value)]
    key, told = (
        msgspec.json.encode({"schema": schema, "payload": payload} if schemas else payload)
        for schema, payload in parts
    )
    return Record(change, change.index, key, told)
