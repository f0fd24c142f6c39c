"""The transform `filter`: its language, its rules for rows that are not there, what it refuses."""

from __future__ import annotations

import os
from decimal import Decimal
from typing import Any

import pytest

from tailrace.errors import Malformed, Stop
from tailrace.events import ABSENT, UNCHANGED, Column, Op
from tailrace.transforms.expression import Expression
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, change, table, text_column
from tests.unit.shaping import shape, transform

AMOUNT = Column("amount", LogicalType(Kind.INT64, "int8"), True, int, text=True)
FLAG = Column("flag", LogicalType(Kind.BOOLEAN, "bool"), True, lambda raw: raw == b"t", text=True)
DAY = Column("day", LogicalType(Kind.DATE, "date"), True, int, text=False)
ORDERS = table(ID, text_column("state"), AMOUNT, FLAG, DAY, text_column("the note"), name="orders")
PAID = [b"7", b"paid", b"100", b"t", b"20000", "é".encode()]


def passes(where: str, *, op: Op = "c", before: Any = None, after: Any = PAID) -> bool:
    raw = (before, None if op in "dt" else after)
    kept = shape([change(op, ORDERS, *raw)], transform("filter", where=where))
    return bool(kept)


@pytest.mark.parametrize(
    "where",
    [
        "after.state == 'paid'",
        "row.state != 'void' and row.amount >= 100",
        "row['the note'] == 'é'",
        "not row.amount < 100",
        "op == 'c' and table == 'orders' and schema == 'public'",
        "op in ('c', 'u') and op not in ['d']",
        "row.state.startswith('pa') or row.state.lower() == 'x'",
        "row.state.upper().endswith('ID')",
        "100 <= row.amount <= 100 + 2 * 3 - 6",
        "row.amount % 7 == 2 and row.amount // 7 == 14 and row.amount / 8 == 12.5",
        "abs(-row.amount) == 100 and len(row.state) == 4 and int('100') == row.amount",
        "str(row.id) == '7' and float(row.amount) == 100.0",
        "row.flag is True",
        "row.flag",
        "before is None and after is not None",
        "row.day == date('2024-10-04') and timestamp('1970-01-01 00:00:01') == 1000000",
        "timestamp('1970-01-01T01:00:00+01:00') == 0",
        "'ai' in row.state",
        "(row.state == 'paid') if op == 'c' else False",
        "row.state in {'paid', 'sent'}",
        "row.amount\n  == 100",
    ],
)
def test_what_is_true_of_the_row(where: str) -> None:
    assert passes(where)
    assert not passes(f"not ({where})")


@pytest.mark.parametrize(
    "where",
    [
        "row.price == 12.1",
        "12.1 == row.price",
        "not row.price != 12.1",
        "row.price >= 12.1 and row.price <= 12.1 and 12.1 <= row.price <= 12.1",
        "not row.price < 12.1 and not row.price > 12.1",
        "row.price in (0.1, 12.1) and row.price not in [12.2, None]",
        "row.price > 12.05 and 12.15 > row.price and row.price < 13",
        "float(row.price) == 12.1 and row.price * 2 == 24.2",
    ],
)
def test_a_decimal_is_compared_with_the_digits_that_are_written(where: str) -> None:
    """And not with the nearest number of floating point, which is a little more than 12.1."""
    price = Column(
        "price", LogicalType(Kind.DECIMAL, "numeric"), True, lambda raw: Decimal(raw.decode()), True
    )
    of = table(ID, price, name="items")
    for text, kept in ((b"12.10", 1), (b"99.99", 0)):
        event = change("c", of, None, [b"7", text])
        assert len(shape([event], transform("filter", where=where))) == kept


def test_days_are_not_compared_with_microseconds() -> None:
    at = Column("at", LogicalType(Kind.TIMESTAMPTZ, "timestamptz"), True, int, text=False)
    of = table(ID, at, DAY, name="items")

    def kept(where: str) -> int:
        row = [b"7", 1_769_904_000_000_000, 20_000]
        return len(shape([change("c", of, None, row)], transform("filter", where=where)))

    assert kept("row.at >= timestamp('2026-01-31') and row.day < date('2026-01-31')") == 1
    for where in (
        "row.at >= date('2026-01-31')",
        "date('2026-01-01') <= row['at'] < 5",
        "row.at in (1, date('2026-01-31'))",
        "op == 'd' or row.day != timestamp('2026-01-31')",
    ):
        with pytest.raises(Stop) as caught:
            kept(where)
        assert caught.value.code.id == "TR-SHAPE-011"


@pytest.mark.parametrize(
    ("where", "column", "words"),
    [
        ("after.amount >", 15, "invalid syntax"),
        ("a.amount > 3", 1, "'a'"),
        ("op == 'c' and amount > 3", 15, "'amount'"),
        ("__import__('os').system('x')", 1, "not to be called"),
        ("row.state.__class__ == 1", 1, "'__class__'"),
        ("'é' == 'é' and row.state.format('x')", 16, "not to be called"),
        ("row.state.encode", 1, "'encode'"),
        ("(lambda: True)()", 1, "not to be called"),
        ("[x for x in row.state]", 1, "no such thing"),
        ("row.amount ** 9 > 3", None, "Pow"),
        ("row.amount << 9 > 3", None, "LShift"),
        ("row", 1, "name a column of it"),
        ("before == after", 1, "name a column of it"),
        ("row.lower()", 1, "row['lower']"),
        ("row[0] == 1", 1, "no such thing"),
        ("row.state.startswith(prefix='x')", 1, "plain arguments"),
        ("date('2024-13-04') == row.day", 1, "month"),
        ("date(row.state) == row.day", 1, "takes one text"),
        ("op == b'c'", 7, "a constant is"),
        ("f'{op}' == 'c'", 1, "no such thing"),
        ("(x := op) == 'c'", 2, "no such thing"),
        ("", 1, "invalid syntax"),
        ("op == 'c' && row.amount > 3", 12, "; write and for &&"),
        ("row.state = 'x || y' AND op == 'c'", None, "; write and for AND; write == for ="),
        pytest.param("not " * 2000 + "True", None, "nested too deep", id="deep"),
    ],
)
def test_what_does_not_belong_to_the_language(where: str, column: int | None, words: str) -> None:
    with pytest.raises(ValueError, match=words if column is None else f"^column {column}: ") as caught:
        Expression(where)
    assert words in str(caught.value)


def test_nothing_of_python_is_within_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Even what the checks let pass is run without Python's own functions."""
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("reached"))
    test = Expression("op == 'c'").test("s", "t", {})
    assert test.__globals__["__builtins__"] == {}


def undecided(where: str, **row: Any) -> Malformed:
    with pytest.raises(Malformed) as caught:
        passes(where, **row)
    assert caught.value.code.id == "TR-SHAPE-010"
    assert "00000000016B3748:1:0" in caught.value.found  # the event
    assert where in caught.value.found
    return caught.value


def test_a_filter_never_guesses() -> None:
    """An expression that fails, that asks for what is not there, or that says neither yes nor no."""
    nulls = [b"7", None, None, None, None, None]
    assert "NoneType" in undecided("row.amount < 3", after=nulls).found
    assert "says None" in undecided("row.flag", after=nulls).found
    assert "says 'paid'" in undecided("row.state").found
    assert "'paid' is compared with 1" in undecided("row.state == 1").found
    assert "'paid' is compared with 1" in undecided("op == 'c' != row.state != 1").found
    assert "100 is no True or False" in undecided("row.amount is True").found
    assert "100 is no True or False" in undecided("row.amount is not False").found
    assert "never is 300: compare them with ==" in undecided("row.amount is 300").found
    assert passes("row.amount is not True", after=nulls)
    assert "'paid' is sought in (1, 2)" in undecided("row.state not in (1, 2)").found
    assert passes("row.state in (1, 'paid', None)")
    assert "ZeroDivisionError" in undecided("row.amount / 0 > 3").found
    assert passes("row.amount is None or row.amount < 3", after=nulls)
    assert not passes("row.state == 'paid'", after=nulls)


def test_an_unchanged_value_that_the_log_leaves_out_is_no_value() -> None:
    row = [b"7", UNCHANGED, b"100", b"t", b"0", b""]
    error = undecided("after.state == 'paid'", op="u", after=row)
    assert "after.state (unchanged)" in error.found
    assert "REPLICA IDENTITY FULL" in error.remedy
    assert "MySQL: binlog_row_image=FULL" in error.remedy
    assert passes("after.amount == 100", op="u", after=row)
    undecided("after.state is None", op="u", after=row)


def test_rows_that_an_event_does_not_have() -> None:
    assert "no row 'after'" in undecided("after.state == 'paid'", op="d", before=PAID).found
    assert passes("op == 'd' or after.state == 'paid'", op="d", before=PAID)
    assert passes("row.state == 'paid'", op="d", before=PAID)
    assert passes("after is None", op="d", before=PAID)
    key_alone = [b"7", ABSENT, ABSENT, ABSENT, ABSENT, ABSENT]
    assert "REPLICA IDENTITY FULL" in undecided("row.state == 'paid'", op="d", before=key_alone).remedy
    assert passes("row.id == 7", op="d", before=key_alone)
    assert "REPLICA IDENTITY FULL" in undecided("before.state == 'paid'", op="u").remedy
    assert passes("op == 'u' and before is None", op="u")
    assert passes("before.state == after.state", op="u", before=PAID)


def test_a_change_of_the_key_is_decided_by_each_row() -> None:
    old = [b"6", b"void", b"1", b"f", b"0", b""]
    events = [change("d", ORDERS, old, PAID, index=0), change("c", ORDERS, old, PAID, index=2)]
    [kept] = shape(events, transform("filter", where="row.state == 'paid'"))
    assert kept is events[1]
    [kept] = shape(events, transform("filter", where="before is not None"))
    assert kept is events[0]


def test_a_truncate_passes_where_the_expression_asks_for_a_row() -> None:
    assert passes("row.state == 'never'", op="t")
    assert not passes("op != 't'", op="t")


def test_a_column_that_the_table_lacks_stops_at_its_first_version() -> None:
    with pytest.raises(Stop) as caught:
        passes("op == 'c' or row.stat == 'x'")
    assert caught.value.code.id == "TR-SHAPE-002"
    assert "Did you mean state?" in caught.value.remedy


def test_only_columns_that_are_named_are_read() -> None:
    assert passes("row.amount == 100", after=[b"7", b"paid", b"100", b"t", "no day", b""])
