"""The format `flat`: the row alone, what becomes of deletes, added fields and headers."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace import __version__
from tailrace.errors import ConfigurationError, Malformed, Stop
from tailrace.events import ABSENT, UNCHANGED, Change, Column
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.flat import FlatFormat
from tailrace.formats.metadata import refuse_headers
from tailrace.plugins import load
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, change, table, text_column

PEOPLE = table(ID, text_column("name"), name="people")
ANN = [b"1", b"Ann"]
DELETE = change("d", PEOPLE, [b"1", ABSENT])


def format(**settings: Any) -> FlatFormat:
    return FlatFormat(FlatFormat.Settings(**settings))


def encode(*changes: Change, **settings: Any) -> list[tuple[int, bytes | None, bytes | None]]:
    return [(one.index, one.key, one.value) for one in format(**settings).encode(changes)]


def test_rows() -> None:
    assert encode(change("c", PEOPLE, None, ANN)) == [(0, b'{"id":1}', b'{"id":1,"name":"Ann"}')]
    assert encode(change("u", PEOPLE, ANN, [b"1", None])) == [(0, b'{"id":1}', b'{"id":1,"name":null}')]
    [(_, _, value)] = encode(change("u", PEOPLE, None, [b"1", UNCHANGED]))
    assert value == b'{"id":1,"name":"__debezium_unavailable_value"}'


@pytest.mark.parametrize(
    ("deletes", "expected"),
    [
        ("tombstone", [(1, None)]),
        ("rewrite", [(0, b'{"id":1,"name":null,"__deleted":"true"}')]),
        (
            "rewrite_with_tombstone",
            [(0, b'{"id":1,"name":null,"__deleted":"true"}'), (1, None)],
        ),
        ("drop", []),
    ],
)
def test_deletes(deletes: str, expected: list[Any]) -> None:
    assert encode(DELETE, deletes=deletes) == [(index, b'{"id":1}', value) for index, value in expected]
    [(_, _, value)] = encode(change("c", PEOPLE, None, ANN), deletes=deletes)
    assert value is not None
    assert json.loads(value).get("__deleted") == ("false" if "rewrite" in deletes else None)


def test_values_are_written_as_the_settings_of_debezium_say() -> None:
    price = LogicalType(Kind.DECIMAL, "numeric", precision=12, scale=2)
    made = table(ID, Column("price", price, True, lambda text: Decimal(text.decode()), text=True))
    event = change("c", made, None, [b"1", b"12.50"])
    for mode, expected in (("precise", b'"BOI="'), ("string", b'"12.50"'), ("double", b"12.5")):
        [(_, _, value)] = encode(event, decimal_handling_mode=mode)
        assert value == b'{"id":1,"price":%b}' % expected


def test_what_has_no_row_is_not_left_out_unsaid() -> None:
    with pytest.raises(Malformed) as caught:
        encode(change("t", PEOPLE))
    assert caught.value.code.id == "TR-FMT-004"
    assert "skip" in caught.value.remedy
    keyless = table(ID, name="people", key=())
    with pytest.raises(Malformed) as caught:
        encode(change("d", keyless, [b"1"]))
    assert "rewrite" in caught.value.remedy
    assert len(encode(change("d", keyless, [b"1"]), deletes="rewrite_with_tombstone")) == 1
    assert encode(change("d", keyless, [b"1"]), deletes="drop") == []


def test_fields_are_added_in_their_order_under_debezium_s_names() -> None:
    fields = ["op", "table", "lsn", "source.ts_ms", "txId", "xmin", "schema", "version", "sequence", "ts_ns"]
    [(_, _, value)] = encode(change("c", PEOPLE, None, ANN, offset=77), add_fields=fields, deletes="rewrite")
    assert value is not None
    assert list(json.loads(value).items()) == [
        ("id", 1),
        ("name", "Ann"),
        ("__op", "c"),
        ("__table", "people"),
        ("__lsn", 77),
        ("__source_ts_ms", 1559033904863),
        ("__txId", 555),
        ("__xmin", None),
        ("__schema", "public"),
        ("__version", __version__),
        ("__sequence", '["24023119","77"]'),
        ("__ts_ns", 1559033904863123000),
        ("__deleted", "false"),
    ]


def test_headers_are_added_to_tombstones_too() -> None:
    settings: dict[str, Any] = {"add_headers": ["op", "lsn", "xmin"], "add_headers_prefix": ""}
    records = format(**settings, deletes="rewrite_with_tombstone").encode([DELETE])
    assert [record.headers for record in records] == [(("op", b"d"), ("lsn", b"24023128"), ("xmin", b""))] * 2


def test_a_field_that_the_source_does_not_have_is_refused() -> None:
    with pytest.raises(Stop) as caught:
        encode(DELETE, add_fields=["gtid"])
    assert caught.value.code.id == "TR-FMT-003"
    assert "txId" in caught.value.remedy


def test_a_name_that_a_column_has_is_refused() -> None:
    bare = {"add_fields": ["op"], "add_fields_prefix": ""}
    assert encode(change("c", table(ID, name="people"), None, [b"1"]), **bare)
    with pytest.raises(Stop) as caught:
        encode(change("c", PEOPLE, None, ANN), add_fields=["name"], add_fields_prefix="")
    assert caught.value.code.id == "TR-FMT-005"


def test_what_the_fast_way_cannot_encode_is_encoded_with_care_or_named() -> None:
    of = table(ID, text_column("name", optional=False), name="people")
    assert encode(change("c", of, None, [b"1", None])) == [(0, b'{"id":1}', b'{"id":1,"name":null}')]
    with pytest.raises(Malformed) as caught:
        encode(change("c", PEOPLE, None, [b"1", b"\xff"]))
    assert "column name" in caught.value.found


def test_settings() -> None:
    assert load("formats", "flat") is FlatFormat
    assert format(add_fields=["op"]) == format(add_fields=["op"])
    assert hash(format(add_fields=["op"])) == hash(format(add_fields=["op"]))
    assert format(add_fields=["op"]) != format()
    for wrong in ({"add_fields": ["a b"]}, {"add_headers": ["op", "op"]}, {"deletes": "none"}):
        with pytest.raises(ValueError, match="validation error"):
            format(**wrong)


def test_sinks_without_headers_refuse_a_format_that_adds_some() -> None:
    refuse_headers(format(add_fields=["op"]))
    with pytest.raises(ConfigurationError) as caught:
        refuse_headers(format(add_headers=["op"]))
    assert "add_fields" in caught.value.remedy


FIELDS = st.one_of(st.none(), st.just(UNCHANGED), st.text(max_size=5).map(str.encode))


@given(name=FIELDS, old=FIELDS)
def test_rows_and_keys_are_those_of_the_envelope(name: Any, old: Any) -> None:
    of = DebeziumFormat(DebeziumFormat.Settings())
    update, delete = change("u", PEOPLE, [b"1", old], [b"1", name]), change("d", PEOPLE, [b"1", old])
    for one, row in ((update, "after"), (delete, "before")):
        envelope, *_ = of.encode([one])
        flat, *_ = format(deletes="rewrite").encode([one])
        assert flat.key == envelope.key
        assert json.loads(flat.value or b"") == {
            **json.loads(envelope.value or b"")[row],
            "__deleted": "true" if one is delete else "false",
        }
