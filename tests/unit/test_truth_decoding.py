"""The reader of test_decoding's text, on lines as PostgreSQL 16 writes them."""

from __future__ import annotations

import pytest

from tests.truth.decoding import UNCHANGED, LogicalMessage, RowChange, Transaction, Truncate, parse_message
from tests.truth.decoding import transactions as read

INSERT = b"table public.a: INSERT: id[integer]:1 name[text]:'x'"
COMMIT = b"COMMIT 7 (at 2026-01-31 10:00:00.5+00)"


def test_insert_with_every_form_of_value() -> None:
    line = (
        'table "ünï s"."T ""x"": y": INSERT: "a b"[bigint]:-5 "c"":"[timestamp without time zone]:null '
        "d[text[]]:'{1,\"]: \"}' e[text]:'it''s \\ \n new-tuple: ' f[boolean]:true g[\"My Type\"]:'' "
        "h[numeric]:1.50 i[bytea]:unchanged-toast-datum"
    )
    assert parse_message(9, line.encode()) == RowChange(
        9,
        "INSERT",
        ("ünï s", 'T "x": y'),
        None,
        {
            "a b": "-5",
            'c":': None,
            "d": '{1,"]: "}',
            "e": "it's \\ \n new-tuple: ",
            "f": "true",
            "g": "",
            "h": "1.50",
            "i": UNCHANGED,
        },
    )


def test_a_text_that_reads_like_no_value_is_a_text() -> None:
    found = parse_message(1, b"table a.b: INSERT: x[text]:'null' y[text]:'unchanged-toast-datum'")
    assert isinstance(found, RowChange)
    assert found.new == {"x": "null", "y": "unchanged-toast-datum"}


def test_update_with_and_without_its_old_row() -> None:
    assert parse_message(1, b"table public.a: UPDATE: id[integer]:1 name[text]:'y'") == RowChange(
        1, "UPDATE", ("public", "a"), None, {"id": "1", "name": "y"}
    )
    line = b"table public.a: UPDATE: old-key: id[integer]:1 s[text]:' new-tuple: ' new-tuple: id[integer]:2"
    assert parse_message(1, line) == RowChange(
        1, "UPDATE", ("public", "a"), {"id": "1", "s": " new-tuple: "}, {"id": "2"}
    )


def test_delete() -> None:
    assert parse_message(1, b"table public.a: DELETE: id[integer]:1") == RowChange(
        1, "DELETE", ("public", "a"), {"id": "1"}, None
    )


@pytest.mark.parametrize("options", ["(no-flags)", "restart_seqs", "restart_seqs cascade"])
def test_truncate_of_several_tables(options: str) -> None:
    line = f'table public.a, s."B, c", x.y: TRUNCATE: {options}'
    assert parse_message(4, line.encode()) == Truncate(4, (("public", "a"), ("s", "B, c"), ("x", "y")))


def test_messages_hold_any_bytes() -> None:
    content = b"\x00\xff, sz: 3 content:\n"
    line = b"message: transactional: 1 prefix: p q, sz: %d content:%b" % (len(content), content)
    assert parse_message(4, line) == LogicalMessage(4, True, "p q", content)
    with pytest.raises(ValueError, match="2 bytes, announced 3"):
        parse_message(4, b"message: transactional: 0 prefix: p, sz: 3 content:ab")


def test_transactions_and_what_stands_between_them() -> None:
    outside = b"message: transactional: 0 prefix: p, sz: 1 content:x"
    rows = [("0/10", b"BEGIN 7"), ("0/18", INSERT), ("1/20", COMMIT), ("1/30", outside)]
    transaction, message = read(rows)
    assert isinstance(transaction, Transaction)
    assert (transaction.xid, transaction.end, transaction.committed) == (7, 0x1_0000_0020, 1769853600_500_000)
    assert [found.lsn for found in transaction.messages] == [0x18]
    assert message == LogicalMessage(0x1_0000_0030, False, "p", b"x")


@pytest.mark.parametrize(
    "lines",
    [
        [INSERT],
        [b"BEGIN 7", b"BEGIN 8"],
        [b"BEGIN 8", COMMIT],
        [b"BEGIN 7", INSERT],
        [b"BEGIN 7", b"message: transactional: 0 prefix: p, sz: 0 content:"],
        [b"message: transactional: 1 prefix: p, sz: 0 content:"],
        [b"BEGIN 7", b"table public.a: INSERT: (no-tuple-data)", COMMIT],
        [b"BEGIN 7", b"table public.a: INSERT: id[integer]:1 ", COMMIT],
        [b"BEGIN 7", b"table public.a: MERGE: id[integer]:1", COMMIT],
        [b"BEGIN 7", b"table public.a: INSERT: id[text]:'open", COMMIT],
    ],
)
def test_what_is_not_understood_is_an_error(lines: list[bytes]) -> None:
    with pytest.raises(ValueError, match=r"expected|transaction|ends|has no end"):
        list(read([("0/1", line) for line in lines]))
