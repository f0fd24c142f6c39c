"""The transform `columns`: left out, masked, hashed, cut; keys stay keys; the derived encoders agree."""

from __future__ import annotations

import hashlib
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tailrace.errors import Malformed, Stop
from tailrace.events import ABSENT, UNCHANGED, Column
from tailrace.formats.connect_types import Mapping
from tailrace.formats.rows import GeneratedRows, ReferenceRows
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, change, encode, table, text_column, value
from tests.unit.shaping import names, rows, shape, transform

EMAIL = text_column("email")
NOTE = text_column("note")
AGE = Column("age", LogicalType(Kind.INT32, "int4"), False, int, text=True)
SPAN = Column("span", LogicalType(Kind.INTERVAL, "interval"), True, bytes, text=False)
PEOPLE = table(ID, EMAIL, NOTE, AGE, name="people")
ANN = [b"1", b"ann@example.org", "ünïcode".encode(), b"40"]


def shaped(row: list[Any], *, op: Any = "c", of: Any = PEOPLE, **settings: Any) -> Any:
    """The one row of a change that has one, after the transform."""
    raw = (row, None) if op == "d" else (None, row)
    [event] = shape([change(op, of, *raw)], transform("columns", **settings))
    before, after = rows(event)
    return after if op != "d" else before


def refused(code: str, of: Any = PEOPLE, **settings: Any) -> Stop:
    with pytest.raises(Stop) as caught:
        shape([change("c", of, None, ANN)], transform("columns", **settings))
    assert caught.value.code.id == code
    assert caught.value.where == str(of)
    return caught.value


def test_columns_are_left_out() -> None:
    [event] = shape([change("c", PEOPLE, None, ANN)], transform("columns", exclude=["e*", "age"]))
    assert (names(event), rows(event)) == (["id", "note"], (None, [ANN[0], ANN[2]]))
    [event] = shape([change("c", PEOPLE, None, ANN)], transform("columns", include=["id", "*a*"]))
    assert names(event) == ["id", "email", "age"]


def test_the_key_moves_with_its_column() -> None:
    of = table(NOTE, EMAIL, ID, name="people", key=(2,))
    [event] = shape([change("c", of, None, [b"n", b"e", b"7"])], transform("columns", exclude=["note"]))
    assert event.table.key == (1,)
    [record] = encode(event)  # type: ignore[arg-type]  # a change
    assert record.key == b'{"id":7}'


def test_a_mask_stands_for_every_value() -> None:
    """A number becomes a text then; NULL is no exception, or it would be told apart from the others."""
    settings = {"mask": {"email": "hidden", "note": 4, "age": ""}}
    assert shaped(ANN, **settings) == [b"1", b"hidden", b"****", b""]
    assert shaped([b"1", None, UNCHANGED, b"40"], **settings) == [b"1", b"hidden", b"****", b""]
    assert shaped([b"1", ABSENT, ABSENT, ABSENT], op="d", **settings) == [b"1", ABSENT, ABSENT, ABSENT]
    [event] = shape([change("c", PEOPLE, None, ANN)], transform("columns", mask={"age": 2}))
    assert value(encode(event)[0])["after"]["age"] == "**"  # type: ignore[arg-type]  # a change


def test_a_mask_of_null_keeps_the_type() -> None:
    [event] = shape([change("c", PEOPLE, None, ANN)], transform("columns", mask={"age": None}))
    assert rows(event)[1][3] is None
    assert (event.table.columns[3].type, event.table.columns[3].optional) == (AGE.type, True)


@pytest.mark.parametrize("settings", [{"hash": ["age"], "salt": "x"}, {"truncate": {"note": 3}}])
def test_what_is_no_value_of_its_type_stops_and_is_not_shown(settings: dict[str, Any]) -> None:
    def refuse(field: bytes) -> Any:
        raise ValueError(f"{field!r} is no number")

    age = Column("age", LogicalType(Kind.INT32, "int4"), False, refuse, text=False)
    note = Column("note", LogicalType(Kind.STRING, "text"), True, refuse, text=False)
    of = table(ID, EMAIL, note, age, name="people")
    with pytest.raises(Malformed) as caught:
        shaped([b"1", b"ann", b"secret", b"secret"], of=of, **settings)
    assert (caught.value.code.id, caught.value.where) == ("TR-SHAPE-008", str(of))
    assert "holds no value of that type (ValueError)" in str(caught.value)
    assert "secret" not in f"{caught.value} {caught.value.__cause__}"


def test_a_hash_is_debezium_s() -> None:
    """SHA-256 over the salt and the value's text, in lower-case hexadecimal digits."""
    digest = hashlib.sha256(b"pepper" + b"ann@example.org").hexdigest().encode()
    assert shaped(ANN, hash=["email"], salt="pepper")[1] == digest
    assert shaped([b"1", None, UNCHANGED, b"40"], hash=["email", "note"], salt="x")[1:3] == [None, UNCHANGED]


def test_a_hashed_key_is_the_same_in_key_and_row() -> None:
    [event] = shape([change("c", PEOPLE, None, ANN)], transform("columns", hash=["id"], salt="s"))
    [record] = encode(event)  # type: ignore[arg-type]  # a change
    digest = hashlib.sha256(b"s1").hexdigest()
    assert record.key == b'{"id":"%b"}' % digest.encode()
    assert value(record)["after"]["id"] == digest


def test_a_text_is_cut_by_characters() -> None:
    assert shaped(ANN, truncate={"note": 3, "email": 100}) == [b"1", ANN[1], "ünï".encode(), b"40"]
    assert shaped([b"1", None, UNCHANGED, b"40"], truncate={"note": 3, "email": 0})[1:3] == [None, UNCHANGED]


@pytest.mark.parametrize("settings", [{"exclude": ["id"]}, {"mask": {"id": 1}}, {"truncate": {"id": 1}}])
def test_a_column_of_the_key_stays_as_it_is(settings: dict[str, Any]) -> None:
    assert "key of public.people" in refused("TR-SHAPE-004", **settings).found


def test_a_column_that_was_the_key_may_go_once_another_one_is() -> None:
    [event] = shape(
        [change("c", PEOPLE, None, ANN)],
        transform("route", key=["email"]),
        transform("columns", exclude=["id"]),
    )
    assert (names(event), event.table.key) == (["email", "note", "age"], (0,))


def same(field: Any) -> Any:
    return field


RAW = [
    (Kind.BOOLEAN, same, True, b"t"),
    (Kind.INT16, same, -7, b"-7"),
    (Kind.INT64, same, 2**63 - 1, b"9223372036854775807"),
    (Kind.DECIMAL, same, Decimal("1E+2"), b"100"),
    (Kind.DECIMAL, same, Decimal("-0.50"), b"-0.50"),
    (Kind.DECIMAL, same, Decimal("NaN"), b"NaN"),
    (Kind.STRING, lambda field: field.decode("latin-1"), b"\xe4", "ä".encode()),
    (Kind.BYTES, same, b"\0\xff", b"\\x00ff"),
    (Kind.ENUM, lambda field: ("", "new")[field], 1, b"new"),
]
"""Fields that are no text, what makes values of them, and the canonical text of these."""


@pytest.mark.parametrize(("kind", "value", "field", "text"), RAW)
def test_fields_that_are_no_text_are_hashed_by_the_text_of_their_value(
    kind: Kind, value: Any, field: Any, text: bytes
) -> None:
    """So that a value has one hash, whichever database it comes from."""
    of = table(ID, Column("x", LogicalType(kind, "native"), True, value, text=False))
    digest = hashlib.sha256(b"s" + text).hexdigest().encode()
    assert shaped([b"1", field], of=of, hash=["x"], salt="s") == [b"1", digest]
    assert shaped([b"1", None], of=of, hash=["x"], salt="s") == [b"1", None]


def test_texts_of_other_character_sets_are_cut_by_characters() -> None:
    of = table(
        ID, Column("x", LogicalType(Kind.STRING, "varchar"), True, lambda f: f.decode("latin-1"), text=False)
    )
    assert shaped([b"1", b"\xe4\xf6\xfc"], of=of, truncate={"x": 2}) == [b"1", "äö".encode()]
    [event] = shape([change("c", of, None, [b"1", b"\xe4\xf6"])], transform("columns", truncate={"x": 1}))
    assert value(encode(event)[0])["after"]["x"] == "ä"  # type: ignore[arg-type]  # a change


def test_a_column_named_by_itself_must_be_there() -> None:
    error = refused("TR-SHAPE-002", mask={"emial": 3})
    assert "emial" in error.found
    assert "Did you mean email?" in error.remedy
    assert shaped(ANN, mask={"*emial": 3}) == ANN


def test_what_cannot_be_done_to_a_type_is_refused() -> None:
    assert "age (int4)" in refused("TR-SHAPE-005", truncate={"age": 1}).found
    labels = Column("s", LogicalType(Kind.STRING, "set", labels=("a", "b")), True, bytes.decode, text=False)
    assert "s (set)" in refused("TR-SHAPE-005", of=table(ID, labels), truncate={"s": 1}).found
    of = table(ID, SPAN, name="spans")
    assert "span (interval)" in refused("TR-SHAPE-005", of=of, hash=["span"], salt="s").found
    refused("TR-SHAPE-006", of=table(EMAIL, key=()), include=["x*"])


FIELDS = st.one_of(st.none(), st.just(UNCHANGED), st.text(alphabet='ab"\\ü\n', max_size=6).map(str.encode))


@given(email=FIELDS, note=FIELDS, age=st.integers(-5, 5).map(lambda n: b"%d" % n))
def test_generated_encoders_of_a_derived_table_equal_the_reference(email: Any, note: Any, age: Any) -> None:
    [event] = shape(
        [change("u", PEOPLE, [b"1", email, ABSENT, age], [b"1", email, note, age])],
        transform("columns", mask={"age": 3}, hash=["email"], salt="s", truncate={"note": 2}),
        transform("rename", columns={"note": "remark"}),
    )
    before, after = rows(event)
    fast = GeneratedRows(event.table, Mapping())
    slow = ReferenceRows(event.table, "here", Mapping())
    for generated, reference, row in (
        (fast.key, slow.key, after),
        (fast.after, slow.after, after),
        (fast.before, slow.before, [UNCHANGED if f is UNCHANGED else f for f in before]),
    ):
        expected = reference(row, b"", b"")
        try:
            found = generated(row, b"", b"")
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
            continue  # left to the reference
        assert found == expected
