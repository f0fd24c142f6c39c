"""The format `plain`: its object, and how each kind of value is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.postgres.types import TypeDetails, column
from tailrace.abc import Record
from tailrace.errors import Malformed
from tailrace.events import ABSENT, UNCHANGED, Change, Column, Op
from tailrace.formats.plain import PlainFormat, _TableEncoder
from tailrace.formats.plain_values import field_encoder, value_encoder
from tailrace.plugins import load
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, change, table, text_column

PEOPLE = table(ID, text_column("name"), text_column("note"), name="people")
ANN = [b"1", b"Ann", None]
HEAD = '"position":"00000000016B3748:1:0","ts":"2019-05-28T08:58:24.863123Z"'


def encode(*changes: Change) -> list[tuple[int, str | None, str | None]]:
    records: Sequence[Record] = PlainFormat(PlainFormat.Settings()).encode(changes)
    return [(one.index, _text(one.key), _text(one.value)) for one in records]


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def test_rows() -> None:
    ops: list[Op] = ["c", "u", "r"]
    for op in ops:
        row = '{"id":1,"name":"Ann","note":null}'
        assert encode(change(op, PEOPLE, None, ANN)) == [
            (0, '{"id":1}', f'{{"op":"{op}","table":"public.people",{HEAD},"row":{row}}}')
        ]


def test_a_delete_holds_what_the_log_knows_and_a_tombstone_follows() -> None:
    assert encode(change("d", PEOPLE, [b"1", ABSENT, ABSENT])) == [
        (0, '{"id":1}', f'{{"op":"d","table":"public.people",{HEAD},"before":{{"id":1}}}}'),
        (1, '{"id":1}', None),
    ]
    keyless = table(ID, name="people", key=())
    assert [found[0] for found in encode(change("d", keyless, [b"1"]))] == [0]


def test_what_the_log_left_out_is_left_out() -> None:
    [(_, _, value)] = encode(change("u", PEOPLE, None, [b"1", UNCHANGED, b"x"]))
    assert json.loads(value or "")["row"] == {"id": 1, "note": "x"}


def test_truncates_and_messages() -> None:
    assert encode(change("t", PEOPLE)) == [(0, None, f'{{"op":"t","table":"public.people",{HEAD}}}')]
    content = column("m", "content", 17, -1, optional=False, types={})
    messages = table(text_column("prefix", optional=False), content, name="message")
    assert encode(change("m", messages, None, [b"app", b"\\x6869"])) == [
        (0, '{"prefix":"app"}', f'{{"op":"m",{HEAD},"prefix":"app","content":"aGk="}}')
    ]


def test_equal_settings_are_equal_formats() -> None:
    assert load("formats", "plain") is PlainFormat
    assert PlainFormat(PlainFormat.Settings()) == PlainFormat(PlainFormat.Settings())
    assert hash(PlainFormat(PlainFormat.Settings())) == hash(PlainFormat(PlainFormat.Settings()))


@pytest.mark.parametrize(
    ("row", "code", "words"),
    [
        ([None, b"Ann", None], "TR-FMT-002", "column id of the key is NULL"),
        ([UNCHANGED, b"Ann", None], "TR-FMT-002", "column id of the key is unchanged"),
        ([b"1", b"\xff", None], "TR-FMT-001", "column name (text)"),
    ],
)
def test_what_cannot_be_converted_is_named(row: Any, code: str, words: str) -> None:
    with pytest.raises(Malformed) as caught:
        encode(change("c", PEOPLE, None, row))
    assert caught.value.code.id == code
    assert words in caught.value.found
    assert caught.value.where == "public.people at 00000000016B3748:1:0"


def of_type(oid: int, typmod: int = -1) -> Column:
    details = {
        9001: TypeDetails(9001, "public", "mood", "e", labels=("ok",)),
        9002: TypeDetails(9002, "public", "hstore", "b"),
        9003: TypeDetails(9003, "public", "geometry", "b"),
        9004: TypeDetails(9004, "public", "vector", "b"),
        9005: TypeDetails(9005, "public", "sparsevec", "b"),
        9006: TypeDetails(9006, "public", "_vector", "b", element=9004),
    }
    return column("t", "x", oid, typmod, optional=True, types=details)


VALUES = [
    (
        9003,
        "0101000020E610000000000000000000000000000000000000",
        '{"wkb":"AQEAACDmEAAAAAAAAAAAAAAAAAAAAAAAAA==","srid":4326}',
    ),
    (9004, "[1,-2.5]", "[1.0,-2.5]"),
    (9005, "{1:1.5,3:-2}/5", '{"dimensions":5,"vector":{"1":1.5,"3":-2.0}}'),
    (9006, '{"[1,2]",NULL}', "[[1.0,2.0],null]"),
    (16, "t", "true"),
    (21, "-7", "-7"),
    (20, "9223372036854775807", "9223372036854775807"),
    (701, "1.5", "1.5"),
    (701, "1e+20", "1e+20"),
    (701, "NaN", '"NaN"'),
    (700, "-Infinity", '"-Infinity"'),
    (1700, "12.50", "12.50"),
    (1700, "NaN", '"NaN"'),
    (25, 'a"ü\n', '"a\\"ü\\n"'),
    (9001, "ok", '"ok"'),
    (2950, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", '"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"'),
    (3802, '{"a": [1, null]}', '{"a": [1, null]}'),
    (114, '{\n "a" : 1\r\n}', '{  "a" : 1  }'),
    (17, "\\x6869", '"aGk="'),
    (1082, "2026-01-31", '"2026-01-31"'),
    (1082, "infinity", '"infinity"'),
    (1082, "0044-03-15 BC", '"-0043-03-15"'),
    (1082, "12026-01-31", '"+12026-01-31"'),
    (1083, "13:14:15.5", '"13:14:15.5"'),
    (1083, "24:00:00", '"24:00:00"'),
    (1266, "13:14:15.5+02:30", '"13:14:15.5+02:30"'),
    (1266, "13:14:15-08", '"13:14:15-08:00"'),
    (1114, "2026-01-31 13:14:15.25", '"2026-01-31T13:14:15.25"'),
    (1114, "0044-03-15 13:14:15 BC", '"-0043-03-15T13:14:15"'),
    (1184, "2026-01-31 13:14:15+00", '"2026-01-31T13:14:15Z"'),
    (1184, "-infinity", '"-infinity"'),
    (1184, "12026-01-31 13:14:15+00", '"+12026-01-31T13:14:15Z"'),
    (1186, "1 year 2 mons 3 days 04:05:06.5", '"P14M3DT14706.5S"'),
    (1186, "-00:00:01", '"PT-1S"'),
    (1186, "00:00:00", '"PT0S"'),
    (1560, "1", '"1"'),
    (1562, "0101", '"0101"'),
    (600, "(1.5,-2)", '{"x":1.5,"y":-2.0}'),
    (9002, '"a"=>"1", "b"=>NULL', '{"a":"1","b":null}'),
    (1007, "{1,NULL}", "[1,null]"),
    (1007, "{{1,2},{3,4}}", "[[1,2],[3,4]]"),
    (1231, "{1.50,NaN}", '[1.50,"NaN"]'),
    (1182, "{2026-01-31}", '["2026-01-31"]'),
    (790, "-$1,234.50", "-1234.50"),
]


@pytest.mark.parametrize(("oid", "text", "expected"), VALUES)
def test_values(oid: int, text: str, expected: str) -> None:
    made = of_type(oid)
    found = field_encoder(made)(text.encode())
    assert found.decode() == expected
    json.loads(found)


@pytest.mark.parametrize(("oid", "text", "expected"), VALUES)
def test_the_way_through_the_value_says_the_same(oid: int, text: str, expected: str) -> None:
    made = of_type(oid)
    through = value_encoder(made.type)(made.value(text.encode()))
    assert json.loads(through) == json.loads(expected)


@pytest.mark.parametrize("kind", Kind)
def test_every_kind_has_a_form(kind: Kind) -> None:
    assert callable(value_encoder(LogicalType(kind, kind.value, element=LogicalType(Kind.INT32, "int4"))))


@given(st.datetimes(), st.decimals(allow_nan=False, allow_infinity=False, places=3))
def test_texts_and_values_agree(moment: Any, number: Decimal) -> None:
    for oid, text in ((1114, str(moment)), (1082, str(moment.date())), (1083, str(moment.time()))):
        text = text.rstrip("0") if "." in text else text
        made = of_type(oid)
        assert field_encoder(made)(text.encode()) == value_encoder(made.type)(made.value(text.encode()))
    made = of_type(1700)
    text = f"{number:f}"
    assert field_encoder(made)(text.encode()) == value_encoder(made.type)(made.value(text.encode()))


ALL = table(*(of_type(oid) for oid in (20, 1700, 25, 3802, 1114, 1184, 16)), key=(0, 2), name="all")
FIELDS = [
    st.integers().map(lambda n: b"%d" % n),
    st.sampled_from([b"1.50", b"-7", b"NaN", b"Infinity"]),
    st.sampled_from([b"a", 'ü"\\'.encode(), b""]),
    st.sampled_from([b'{"a": 1}', b"[1,\n2]"]),
    st.sampled_from([b"2026-01-31 13:14:15.5", b"0044-03-15 13:14:15 BC", b"infinity"]),
    st.sampled_from([b"2026-01-31 13:14:15+00", b"12026-01-31 13:14:15+00", b"-infinity"]),
    st.sampled_from([b"t", b"f"]),
]


@given(
    st.tuples(*(st.one_of(field, st.none()) if i not in (0, 2) else field for i, field in enumerate(FIELDS)))
)
def test_the_fast_encoders_and_the_careful_ones_agree(row: Any) -> None:
    encoder = _TableEncoder(ALL)
    event = change("c", ALL, None, list(row))
    assert encoder.row(row) == encoder.careful_row(event)(row)
    assert encoder.key(row) == encoder.careful_key(event)(row)
