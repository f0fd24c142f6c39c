"""The converter that tests compare with: known pairs of PostgreSQL's text and Debezium's JSON."""

from __future__ import annotations

import base64
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.truth.decoding import UNCHANGED
from tests.truth.values import to_json

ENUMS = frozenset({"mood"})


def bytes64(*data: int) -> str:
    return base64.b64encode(bytes(data)).decode()


@pytest.mark.parametrize(
    ("type", "text", "json"),
    [
        ("bigint", "-9223372036854775808", -(2**63)),
        ("boolean", "true", True),
        ("boolean", "f", False),
        ("real", "1.1", 1.1),
        ("double precision", "-Infinity", "-Infinity"),
        ("numeric(5,2)", "1.00", bytes64(100)),
        ("numeric(5,2)", "-1.28", bytes64(0x80)),
        ("numeric(5,2)", "1.28", bytes64(0, 0x80)),
        ("numeric(6,0)", "0", bytes64(0)),
        ("numeric", "0.000", {"scale": 0, "value": bytes64(0)}),
        ("numeric", "-12.3400", {"scale": 2, "value": bytes64(0xFB, 0x2E)}),
        ("numeric", "1200", {"scale": 0, "value": bytes64(0x04, 0xB0)}),
        ("text", "", ""),
        ("mood", "sad", "sad"),
        ("character(9)", "ab       ", "ab       "),
        ("bytea", "\\x00ff", "AP8="),
        ("date", "1970-01-01", 0),
        ("date", "2000-03-01", 11017),
        ("date", "0001-01-01 BC", -719528),
        ("time without time zone", "23:59:59.999999", 86_399_999_999),
        ("time(3) without time zone", "00:00:01.5", 1500),
        ("time without time zone", "24:00:00", 86_400_000_000),
        ("time with time zone", "01:30:00.5+02", "23:30:00.5Z"),
        ("timestamp without time zone", "1969-12-31 23:59:59.999999", -1),
        ("timestamp(3) without time zone", "1970-01-01 00:00:01", 1000),
        ("timestamp with time zone", "2024-02-29 23:30:00.5-01:30", "2024-03-01T01:00:00.500000Z"),
        ("timestamp with time zone", "0001-12-31 22:00:00+00 BC", "0000-12-31T22:00:00.000000Z"),
        ("timestamp with time zone", "0002-01-01 00:00:00+00 BC", "-0001-01-01T00:00:00.000000Z"),
        ("timestamp with time zone", "10000-01-01 00:00:00+00", "+10000-01-01T00:00:00.000000Z"),
        ("timestamp with time zone", "infinity", "infinity"),
        ("integer[]", "{}", []),
        ("integer[]", "{{1,NULL},{3,4}}", [[1, None], [3, 4]]),
        ("text[]", '{NULL,"NULL",a b,"q\\"\\\\,{}"}', [None, "NULL", "a b", 'q"\\,{}']),
        ("numeric(6,2)[]", "{-1.50,NULL}", [bytes64(0xFF, 0x6A), None]),
        ("mood[]", "{sad,so-so}", ["sad", "so-so"]),
    ],
)
def test_known_pairs(type: str, text: str, json: Any) -> None:
    assert to_json(type, text, ENUMS) == json


def test_null_is_null() -> None:
    assert to_json("bigint", None) is None


@pytest.mark.parametrize(
    ("type", "json"),
    [
        ("text", "__debezium_unavailable_value"),
        ("bytea", "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="),
        ("text[]", ["__debezium_unavailable_value"]),
        ("integer[]", list(b"__debezium_unavailable_value")),
    ],
)
def test_unchanged_values_have_a_placeholder(type: str, json: Any) -> None:
    assert to_json(type, UNCHANGED) == json


@pytest.mark.parametrize(
    ("type", "text"),
    [("point", "(1,2)"), ("bytea", "abc"), ("date", "yesterday"), ("integer[]", "{1"), ("numeric", "NaN")],
)
def test_what_is_not_known_is_an_error(type: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"type|hexadecimal|not a|without|no JSON"):
        to_json(type, text)


@given(st.dates())
def test_days_are_those_of_the_calendar(day: date) -> None:
    since = (day - date(1970, 1, 1)).days
    assert to_json("date", day.isoformat()) == since
    assert to_json("timestamp with time zone", f"{day} 00:00:00+00") == f"{day}T00:00:00.000000Z"


@given(st.integers())
def test_decimals_are_javas_big_integers(number: int) -> None:
    data = base64.b64decode(to_json("numeric(1000,0)", str(number)))
    assert int.from_bytes(data, "big", signed=True) == number
    assert len(data) == (number if number >= 0 else ~number).bit_length() // 8 + 1
