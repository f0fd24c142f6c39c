"""What stands around the rows: whatever a source tells of a transaction, the bytes are those of the same
document as a JSON encoder writes it."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from tailrace import __version__
from tailrace.events import Change, Op, Origin, SourceField, Table, Transaction, Verbatim
from tailrace.formats.debezium import DebeziumFormat
from tests.unit.debezium_samples import ID, NUMBER

TEXTS = st.text(st.one_of(st.characters(codec="utf-8"), st.sampled_from('{}%\\"\0\1\2\3\4')), max_size=8)
PLACEHOLDERS = st.sampled_from(
    ["{offset}", "{index}", "{row}", '["1","{offset}"]', "{index}-{offset}{index}"]
)
VALUES = st.one_of(
    st.none(), st.integers(), TEXTS, TEXTS.map(Verbatim), PLACEHOLDERS, PLACEHOLDERS.map(Verbatim)
)
NAMES = TEXTS.filter(lambda text: "\0" not in text)  # which no database has in a name
BLOCK = ("version", "connector", "name", "ts_ms", "snapshot", "db", "ts_us", "ts_ns", "schema", "table")
FORMAT = DebeziumFormat(DebeziumFormat.Settings())


@st.composite
def transactions(draw: st.DrawFn) -> tuple[Table, list[Change]]:
    """A table, and changes of a few transactions, some of which stand at one place."""
    names = draw(st.lists(NAMES.filter(lambda name: name not in BLOCK), max_size=5, unique=True))
    if draw(st.booleans()):
        names = ["sequence", *names]
    fields = tuple(SourceField(name, NUMBER, optional=True) for name in names)
    origin = Origin(draw(NAMES), draw(NAMES), draw(st.none() | NAMES), fields)
    table = Table(origin, draw(NAMES), draw(NAMES), (ID,), (0,), lambda raw: raw)
    changes = []
    for _ in range(draw(st.integers(1, 3))):
        source = {name: draw(VALUES) for name in names if draw(st.integers(0, 9))}
        told = draw(st.booleans())
        block = draw(TEXTS | PLACEHOLDERS.filter(lambda text: text != "{row}")) if told else None
        transaction = Transaction("", "", draw(st.integers(-(2**62), 2**62)), source, block)
        for _ in range(draw(st.integers(1, 3))):
            op: Op = draw(st.sampled_from("cudr"))
            index, offset = draw(st.integers(0, 12)), draw(st.sampled_from([0, 7, 2**63]))
            order = (draw(st.integers(1, 99)), draw(st.integers(1, 9))) if told else None
            changes.append(Change(op, table, transaction, 1, index, offset, ([b"1"], [b"2"]), order))
    return table, changes


def written(value: int | str | None, change: Change) -> Any:
    if not isinstance(value, str):
        return value
    if isinstance(value, Verbatim):
        return str(value)
    own = {"{offset}": change.offset, "{index}": change.index, "{row}": change.index // 3}
    if value in own:
        return own[value]
    return value.replace("{offset}", str(change.offset)).replace("{index}", str(change.index))


def document(change: Change) -> dict[str, Any]:
    table, transaction = change.table, change.transaction
    origin, us = table.origin, transaction.timestamp
    own = {field.name: written(transaction.source.get(field.name), change) for field in origin.fields}
    source = {
        "version": __version__,
        "connector": origin.connector,
        "name": origin.pipeline,
        "ts_ms": us // 1000,
        "snapshot": "true" if change.op == "r" else "false",
        "db": table.database,
        "sequence": own.pop("sequence", None),
        "ts_us": us,
        "ts_ns": us * 1000,
        **({} if origin.database is None else {"schema": table.schema}),
        "table": table.name,
    }
    told = None
    if transaction.block is not None and change.order is not None:
        total, collection = change.order
        id = written(transaction.block, change)
        told = {"id": id, "total_order": total, "data_collection_order": collection}
    return {"source": source | own, "transaction": told}


@settings(max_examples=60)
@given(transactions())
def test_they_are_the_bytes_of_the_document(drawn: tuple[Table, list[Change]]) -> None:
    _, changes = drawn
    records = [record for record in FORMAT.encode(changes) if record.value is not None]
    assert len(records) == len(changes)
    for record, change in zip(records, changes, strict=True):
        assert record.value is not None
        expected = document(change)
        assert msgspec.json.encode(expected)[1:-1] in record.value
