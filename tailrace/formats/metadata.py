"""What formats add to a row about its event: `op`, `table`, `lsn`, `source.ts_ms` and the like.

The names are those of Debezium's envelope: `op`, `ts_ms`, `ts_us`, `ts_ns` of the envelope, all else of its
source block; `source.ts_ms` says that the latter is meant, and becomes `source_ts_ms`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

import msgspec
from pydantic import Field

from tailrace import __version__
from tailrace.abc import Format
from tailrace.errors import ConfigurationError, Stop, code
from tailrace.events import ROW_INDEXES, Change, Op, Table, Transaction
from tailrace.formats.connect_values import json_number, json_string
from tailrace.formats.envelope import INDEX, OFFSET, ROW, source_value

UNKNOWN_FIELD = code(
    "TR-FMT-003",
    "no such field",
    "A format is to add a field that events of this source do not have.",
)

NO_HEADERS = code(
    "TR-FMT-006",
    "the sink has no headers",
    "A format is to add headers, for a sink whose target has none: what they say would be missing, unsaid.",
)

FieldName: TypeAlias = Annotated[str, Field(pattern=r"^(source\.)?[A-Za-z][A-Za-z0-9_]*$")]

_Value: TypeAlias = Callable[[Transaction, Op], bytes]
"""The JSON of a field, `OFFSET`, `INDEX` and `ROW` where the change's own go."""

_TIMES: Final[Mapping[str, Callable[[int], int]]] = {
    "ts_ms": lambda microseconds: microseconds // 1000,
    "ts_us": lambda microseconds: microseconds,
    "ts_ns": lambda microseconds: microseconds * 1000,
}


@dataclass(frozen=True, slots=True)
class MetadataField:
    """A field of one table version."""

    name: str  # as it is added, with its prefix
    value: _Value

    def template(self, transaction: Transaction, op: Op) -> bytes:
        """Its JSON for a transaction's changes of one kind, to be `filled`."""
        return self.value(transaction, op)

    def text(self, change: Change) -> bytes:
        """Its text for one change: of a string what stands between the quotes, of null nothing."""
        made = filled(self.template(change.transaction, change.op), change)
        if made == b"null":
            return b""
        return str(msgspec.json.decode(made)).encode() if made[:1] == b'"' else made


def filled(template: bytes, change: Change) -> bytes:
    """A template with a change's own numbers in it."""
    row = b"%d" % (change.index // ROW_INDEXES)
    return (
        template.replace(OFFSET, b"%d" % change.offset).replace(INDEX, b"%d" % change.index).replace(ROW, row)
    )


def metadata_fields(names: Sequence[str], prefix: str, table: Table) -> list[MetadataField]:
    """The fields of these names. Stop for one that the source does not have."""
    return [MetadataField(prefix + name.replace(".", "_"), _value(name, table)) for name in names]


def refuse_headers(format: Format) -> None:
    """For sinks whose targets have no headers. ConfigurationError where the format is told to add some. Those
    that mark a change of the key may be left out: the delete and the create beside it say the same."""
    if names := getattr(format, "headers", ()):
        raise ConfigurationError(
            NO_HEADERS, f"headers: {', '.join(names)}", "Write add_fields: in place of add_headers:."
        )


def _value(name: str, table: Table) -> _Value:
    if name == "op":
        return lambda transaction, op: b'"%b"' % op.encode()
    inner = name.removeprefix("source.")
    if inner in _TIMES:  # the same moment in both blocks: when it was committed
        of = _TIMES[inner]
        return lambda transaction, op: json_number(of(transaction.timestamp))
    if inner == "snapshot":
        return lambda transaction, op: b'"true"' if op == "r" else b'"false"'
    constants = {
        "version": __version__,
        "connector": table.origin.connector,
        "name": table.origin.pipeline,
        "db": table.database,
        "schema": table.schema,
        "table": table.name,
    }
    if table.origin.database is None:
        del constants["schema"]
    if inner in constants:
        constant = json_string(constants[inner])
        return lambda transaction, op: constant
    own = [field.name for field in table.origin.fields]
    if inner in own:
        return lambda transaction, op: source_value(transaction.source.get(inner))
    raise Stop(
        UNKNOWN_FIELD,
        f"{name} is no field of events of {table.origin.connector}",
        f"Known are op, {', '.join(_TIMES)}, snapshot, {', '.join(constants)}, {', '.join(own)}.",
        where=str(table),
    )
