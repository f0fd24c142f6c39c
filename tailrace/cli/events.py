"""Events of the log as lines: for people, and for programs."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

import click
import msgspec

from tailrace.cli.readable import NO_SCHEMA, Schema, fields_of, readable
from tailrace.log import Entry

_COLOURS: Final = {"c": "green", "r": "green", "u": "yellow", "d": "red", "t": "red", "m": "blue"}
_PLACEHOLDER: Final = "__debezium_unavailable_value"  # stands for a value that the log did not hold
_UNAVAILABLE: Final = (_PLACEHOLDER, base64.b64encode(_PLACEHOLDER.encode()).decode())
_EMPTY: Final[Mapping[str, Any]] = {}
_FROM_JSON: Final = msgspec.json.Decoder(float_hook=Decimal)  # a number keeps its digits: 12.50
_TO_JSON: Final = msgspec.json.Encoder(decimal_format="number")


def show_time(timestamp: int) -> str:
    """µs since the epoch as `2026-01-31T13:14:15.123456Z`."""
    return datetime.fromtimestamp(timestamp // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{timestamp % 1_000_000:06}Z"
    )


def event_json(topic: str, entry: Entry) -> bytes:
    """One object: topic, offset, timestamp, position, key, value. Key and value as the format wrote them, or
    `{"base64": …}` where that is not JSON."""
    return b'{"topic":%b,"offset":%d,"timestamp":"%b","position":%b,"key":%b,"value":%b}\n' % (
        msgspec.json.encode(topic),
        entry.offset,
        show_time(entry.timestamp).encode(),
        msgspec.json.encode(entry.identity),
        _json(entry.key),
        _json(entry.value),
    )


def event_line(entry: Entry, width: int | None) -> str:
    """Offset, time, operation, table, key, and fields that changed; cut to `width` columns unless None."""
    op, table, fields = _describe(*_parts(entry.value), decoded(entry.key))
    if entry.value is None:
        op, fields = "-", "tombstone"
    begin = f"{entry.offset:>8}  {show_time(entry.timestamp)[:-4]}Z  "
    rest = "  ".join(filter(None, (table, show_key(entry.key), fields)))
    if width is not None and len(begin) + 3 + len(rest) > width:
        rest = rest[: max(0, width - len(begin) - 4)] + "…"
    return f"{click.style(begin, dim=True)}{click.style(op, fg=_COLOURS.get(op), bold=True)}  {rest}"


def show_key(key: bytes | None) -> str:
    """`id=42`, `id=42,line=3`, or the key itself where it holds no names."""
    found, schema = _parts(key)
    if isinstance(found, dict):
        of = fields_of(schema)
        return ",".join(f"{name}={_show(value, of.get(name))}" for name, value in found.items())
    return "" if key is None else _show(found)


def decoded(data: bytes | None) -> Any:
    """What a key or value holds, without the schema that may stand around it; text where it is not JSON."""
    return _parts(data)[0]


def _parts(data: bytes | None) -> tuple[Any, Schema]:
    """The same, and that schema."""
    if data is None:
        return None, NO_SCHEMA
    try:
        content = _FROM_JSON.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return data.decode(errors="replace"), NO_SCHEMA
    if isinstance(content, dict) and content.keys() == {"schema", "payload"}:
        schema = content["schema"]
        return content["payload"], schema if isinstance(schema, dict) else NO_SCHEMA
    return content, NO_SCHEMA


def _describe(event: Any, schema: Schema, key: Any) -> tuple[str, str, str]:
    """Operation, table and fields of a change in Debezium's envelope or in the format `plain`; anything else
    as it is."""
    if not isinstance(event, dict) or "op" not in event:
        return "?", "", "" if event is None else _show(event)
    source = event.get("source") or _EMPTY
    schema_name = source.get("schema") or source.get("db")  # of MySQL and MariaDB a database is the schema
    table = ".".join(filter(None, (schema_name, source.get("table")))) or event.get("table", "")
    before, after = event.get("before") or _EMPTY, event.get("after") or event.get("row") or _EMPTY
    message = event.get("message") or {name: event[name] for name in ("prefix", "content") if name in event}
    blocks = fields_of(schema)
    of = fields_of(blocks.get("after") or blocks.get("message") or NO_SCHEMA)
    if event["op"] == "u" and before:
        fields = [
            f"{name}: {_show(before.get(name), of.get(name))} → {_show(value, of.get(name))}"
            for name, value in after.items()
            if not _unavailable(value) and value != before.get(name)
        ]
    else:
        named = key if isinstance(key, dict) else _EMPTY
        fields = [
            f"{name}={_show(value, of.get(name))}"
            for name, value in (after or before or message).items()
            if not _unavailable(value) and name not in named
        ]
    return str(event["op"]), table, " ".join(fields)


def _unavailable(value: Any) -> bool:
    """Whether a field, or an array, or a number's digits, is the placeholder."""
    match value:
        case [item] | {"value": item}:
            return _unavailable(item)
        case str():
            return value in _UNAVAILABLE
    return False


def _show(value: Any, schema: Schema | None = None) -> str:
    value = readable(value, schema or NO_SCHEMA)
    if isinstance(value, str):
        return value if value and value.isprintable() and " " not in value else repr(value)
    return _TO_JSON.encode(value).decode()


def _json(data: bytes | None) -> bytes:
    if data is None:
        return b"null"
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return msgspec.json.encode({"base64": base64.b64encode(data).decode()})
    return data
