"""The envelope of the format `debezium`: golden records per operation, keys, tombstones, source block."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from tailrace import __version__
from tailrace.abc import Record
from tailrace.errors import Malformed
from tailrace.events import (
    ABSENT,
    UNCHANGED,
    Column,
    Event,
    Op,
    Origin,
    Row,
    SchemaChange,
    SourceField,
    Table,
    Transaction,
    Verbatim,
)
from tailrace.formats.connect_types import Mapping
from tailrace.formats.debezium import DebeziumFormat
from tailrace.formats.held_rows import HeldRows
from tailrace.formats.rows import GeneratedRows, ReferenceRows, Rows
from tailrace.plugins import load
from tailrace.topics import TopicTemplate
from tailrace.types import Kind, LogicalType
from tests.unit.debezium_samples import ID, ORIGIN, TRANSACTION, change, encode, table, text_column, value

CUSTOMERS = table(ID, text_column("first_name", optional=False), text_column("email"))
ANNE = [b"1", b"Anne", b"annek@noanswer.org"]
MARIE = [b"1", b"Anne Marie", None]

SOURCE = (
    '"source":{"version":"' + __version__ + '","connector":"postgresql","name":"orders",'
    '"ts_ms":1559033904863,"snapshot":"false","db":"shop","sequence":"[\\"24023119\\",\\"24023128\\"]",'
    '"ts_us":1559033904863123,"ts_ns":1559033904863123000,"schema":"public","table":"customers",'
    '"txId":555,"lsn":24023128,"xmin":null},"transaction":null'
)
SOURCE_NAMES = ("version", "connector", "name", "ts_ms", "snapshot", "db", "sequence", "ts_us", "ts_ns")
TIMES = '"ts_ms":1559033904863,"ts_us":1559033904863123,"ts_ns":1559033904863123000'


def told(records: Sequence[Record]) -> list[tuple[int, str | None, str | None]]:
    return [(record.index, _text(record.key), _text(record.value)) for record in records]


def _text(data: bytes | None) -> str | None:
    return None if data is None else data.decode()


def test_create() -> None:
    assert told(encode(change("c", CUSTOMERS, None, ANNE))) == [
        (
            0,
            '{"id":1}',
            '{"before":null,"after":{"id":1,"first_name":"Anne","email":"annek@noanswer.org"},'
            f'{SOURCE},"op":"c",{TIMES}}}',
        )
    ]


def test_update_without_an_old_row() -> None:
    assert told(encode(change("u", CUSTOMERS, None, MARIE))) == [
        (
            0,
            '{"id":1}',
            '{"before":null,"after":{"id":1,"first_name":"Anne Marie","email":null},'
            f'{SOURCE},"op":"u",{TIMES}}}',
        )
    ]


def test_update_with_an_old_row() -> None:
    assert told(encode(change("u", CUSTOMERS, ANNE, MARIE))) == [
        (
            0,
            '{"id":1}',
            '{"before":{"id":1,"first_name":"Anne","email":"annek@noanswer.org"},'
            f'"after":{{"id":1,"first_name":"Anne Marie","email":null}},{SOURCE},"op":"u",{TIMES}}}',
        )
    ]


def test_delete_and_its_tombstone() -> None:
    """What is not in the old row is null: nothing is invented for columns that cannot be NULL."""
    assert told(encode(change("d", CUSTOMERS, [b"1", ABSENT, ABSENT]))) == [
        (
            0,
            '{"id":1}',
            '{"before":{"id":1,"first_name":null,"email":null},"after":null,'
            + f'{SOURCE},"op":"d",{TIMES}}}',
        ),
        (1, '{"id":1}', None),
    ]


def test_change_of_the_key() -> None:
    """The source gives two changes with one raw form: each takes the row it needs."""
    old, new = [b"1", ABSENT, ABSENT], [b"2", b"Anne", None]
    records = encode(
        change("d", CUSTOMERS, old, new, index=0), change("c", CUSTOMERS, old, new, index=2), schemas=False
    )
    assert [(record.index, record.key) for record in records] == [
        (0, b'{"id":1}'),
        (1, b'{"id":1}'),
        (2, b'{"id":2}'),
    ]
    assert records[1].value is None
    new_key, old_key = (("__debezium.newkey", b'{"id":2}'),), (("__debezium.oldkey", b'{"id":1}'),)
    assert [record.headers for record in records] == [new_key, new_key, old_key]
    deleted, created = value(records[0]), value(records[2])
    assert (deleted["before"]["id"], deleted["after"]) == (1, None)
    assert (created["before"], created["after"]["id"]) == (None, 2)


def test_truncate() -> None:
    assert told(encode(change("t", CUSTOMERS, index=3))) == [
        (3, None, f'{{"before":null,"after":null,{SOURCE},"op":"t",{TIMES}}}')
    ]


def test_read() -> None:
    [record] = encode(change("r", CUSTOMERS, None, ANNE))
    assert record.key == b'{"id":1}'
    read = value(record)
    assert (read["op"], read["source"]["snapshot"], read["after"]["id"]) == ("r", "true", 1)


def messages(origin: Origin = ORIGIN) -> Table:
    content = Column("content", LogicalType(Kind.BYTES, "bytea"), False, bytes, text=False)
    prefix = text_column("prefix", optional=False)
    return Table(origin, "", "message", (prefix, content), (0,), lambda raw: raw)


def test_logical_message() -> None:
    source = SOURCE.replace('"public"', '""').replace('"customers"', '""')
    assert told(encode(change("m", messages(), None, [b"foo", b"bar"]))) == [
        (
            0,
            '{"prefix":"foo"}',
            f'{{"op":"m","ts_ms":1559033904863,{source},"message":{{"prefix":"foo","content":"YmFy"}}}}',
        )
    ]


def test_a_table_without_a_key_has_no_keys_and_no_tombstones() -> None:
    keyless = table(ID, text_column("email"), key=())
    records = encode(
        change("c", keyless, None, [b"1", None]),
        change("u", keyless, [b"1", None], [b"1", b"x"]),
        change("d", keyless, [b"1", b"x"]),
    )
    assert [(record.index, record.key, record.value is None) for record in records] == [(0, None, False)] * 3


def test_the_key_has_its_own_order() -> None:
    two = table(ID, text_column("a"), text_column("b"), key=(2, 0))
    [record] = encode(change("c", two, None, [b"1", None, b'"q"']))
    assert record.key == b'{"b":"\\"q\\"","id":1}'
    whole = table(ID, text_column("a"), key=(1, 0))
    [record] = encode(change("c", whole, None, [b"1", b"x"]))
    assert record.key == b'{"a":"x","id":1}'


def test_a_table_without_columns() -> None:
    [record] = encode(change("c", table(key=()), None, []))
    assert value(record)["after"] == {}


@pytest.mark.parametrize("field", [None, ABSENT])
def test_a_key_that_is_not_in_the_log_is_refused(field: Any) -> None:
    with pytest.raises(Malformed, match=r"public\.customers at 00000000016B3748:1:0: TR-FMT-002 .*column id"):
        encode(change("c", CUSTOMERS, None, [field, b"x", b"y"]))


@pytest.mark.parametrize("schemas", [False, True])
def test_a_row_from_before_its_table_had_a_key_has_none(schemas: bool) -> None:
    later = dataclasses.replace(CUSTOMERS, key_is_newer=True)
    old = [None, b"x", b"y"]
    records = encode(
        change("c", later, None, old),
        change("u", later, old, old),
        change("d", later, old, ANNE),
        change("c", later, old, ANNE, index=2),
        schemas=schemas,
    )
    assert [(record.index, record.key is None) for record in records] == [
        (0, True),
        (0, True),
        (0, True),  # no tombstone: there is no key for it
        (2, False),
    ]
    assert all(record.value for record in records)
    with pytest.raises(Malformed, match=r"TR-FMT-002 .*column id"):
        encode(change("d", later, [ABSENT, b"x", b"y"]))


@pytest.mark.parametrize("op", ["c", "u", "d"])
def test_a_row_that_is_not_in_the_log_is_refused(op: Op) -> None:
    with pytest.raises(Malformed, match="TR-FMT-002"):
        encode(change(op, CUSTOMERS))


def test_an_absent_value_of_a_new_row_is_refused() -> None:
    with pytest.raises(Malformed, match=r"TR-FMT-002 .*column email \(text\) is absent"):
        encode(change("c", CUSTOMERS, None, [b"1", b"x", ABSENT]))


@pytest.mark.parametrize("fast", [True, False])
def test_what_is_not_in_the_log_can_be_left_out(fast: bool) -> None:
    """Of new rows and old ones alike, by both kinds of encoders; never of the key."""
    settings = DebeziumFormat.Settings(unavailable_values="omit")
    people = table(text_column("first"), ID, text_column("email"), key=(1,))
    odd = [text_column("odd", optional=False)] if not fast else []  # NULL in it takes the careful way
    people = dataclasses.replace(people, columns=(*people.columns, *odd))
    rest = [None] * len(odd)
    records = DebeziumFormat(settings).encode(
        [
            change("u", people, [ABSENT, b"1", ABSENT, *rest], [UNCHANGED, b"1", b"x", *rest]),
            change("u", people, None, [ABSENT, b"1", None, *rest]),
            change("d", people, [ABSENT, b"1", b"x", *rest]),
        ]
    )
    null = {"odd": None} if odd else {}
    assert [(value(one)["before"], value(one)["after"]) for one in records if one.value] == [
        ({"id": 1, **null}, {"id": 1, "email": "x", **null}),
        (None, {"id": 1, "email": None, **null}),
        ({"id": 1, "email": "x", **null}, None),
    ]
    bare = table(text_column("first"), key=())
    [record] = DebeziumFormat(settings).encode([change("c", bare, None, [ABSENT])])
    assert value(record)["after"] == {}
    with pytest.raises(Malformed):
        DebeziumFormat(settings).encode([change("c", people, None, [b"a", ABSENT, b"x", *rest])])
    with pytest.raises(ValueError, match="schemas: false"):
        DebeziumFormat.Settings(unavailable_values="omit", schemas=True)


@pytest.mark.parametrize("fast", [True, False])
def test_rows_that_lack_ever_other_columns(fast: bool) -> None:
    """Functions are made for a few sets, and for those that come often: to make them takes a thousand rows'
    time."""
    of = table(*[text_column(f"c{i}", optional=fast) for i in range(8)], key=())
    made: list[int] = []

    def make(table: Table) -> Rows:
        made.append(len(table.columns))
        mapping = Mapping()
        return GeneratedRows(table, mapping) if fast else ReferenceRows(table, "there", mapping)

    encoders = HeldRows(of, make)

    def written(row: Row, part: str) -> Any:
        return msgspec.json.decode(getattr(encoders, part)(row, b"[", b"]"))[0]

    for number in range(1 << 8):
        row = [(None if i == 3 else b"%d" % i) if number >> i & 1 else ABSENT for i in range(8)]
        told = {
            f"c{i}": None if field is None else str(i) for i, field in enumerate(row) if field is not ABSENT
        }
        assert written(row, "after") == written(row, "before") == told
    assert len(made) <= 1 + 32 + 8  # of the whole row, of the first sets, of each column
    before = len(made)
    row = [b"0", *[ABSENT] * 5, b"6", b"7"]
    assert all(written(row, "after") == {"c0": "0", "c6": "6", "c7": "7"} for _ in range(40))
    assert made[before:] == [3]


def test_a_defect_of_the_source_is_not_taken_for_a_bad_value() -> None:
    with pytest.raises(AssertionError, match="2 fields, 3 columns"):
        encode(change("c", CUSTOMERS, None, [b"1", b"x"]))


def test_a_column_that_became_not_null_after_the_change() -> None:
    [record] = encode(change("c", CUSTOMERS, None, [b"1", None, None]))
    assert value(record)["after"] == {"id": 1, "first_name": None, "email": None}


def test_placeholders_stand_only_in_the_sources_own_fields() -> None:
    transaction = Transaction(
        "7",
        "1",
        0,
        {"sequence": "{index}/{offset}/{offset}", "txId": "{index}", "lsn": "{offset}", "xmin": "x{index}"},
    )
    odd = table(ID, text_column("{offset}"), name="{index}{offset}%s%d%%")
    events = [
        change("c", odd, None, [b"1", b"{offset}{index}"], transaction=transaction, index=i, offset=100 + i)
        for i in range(3)
    ]
    for i, record in enumerate(encode(*events)):
        read = value(record)
        assert read["after"] == {"id": 1, "{offset}": "{offset}{index}"}
        source = read["source"]
        assert source["sequence"] == f"{i}/{100 + i}/{100 + i}"
        assert (source["txId"], source["lsn"], source["xmin"]) == (i, 100 + i, f"x{i}")
        assert source["table"] == "{index}{offset}%s%d%%"
        assert (read["ts_ms"], read["ts_us"], read["ts_ns"]) == (0, 0, 0)


def test_nothing_is_a_placeholder_in_what_others_have_written() -> None:
    for text in ("{offset} {index}", "{row}", "{offset}", 'ü "\\\0\1'):
        source = {**TRANSACTION.source, "sequence": Verbatim(text)}
        transaction = msgspec.structs.replace(TRANSACTION, source=source)
        [record] = encode(change("c", CUSTOMERS, None, ANNE, transaction=transaction))
        assert value(record)["source"]["sequence"] == text


def test_a_source_without_fields_of_its_own() -> None:
    bare = Origin("mysql", "p", "d", ())
    [record] = encode(
        change("c", table(ID, origin=bare), None, [b"1"], transaction=Transaction("1", "1", -1, {}))
    )
    source = value(record)["source"]
    assert source == {
        "version": __version__,
        "connector": "mysql",
        "name": "p",
        "ts_ms": -1,
        "snapshot": "false",
        "db": "d",
        "sequence": None,
        "ts_us": -1,
        "ts_ns": -1000,
        "schema": "public",
        "table": "customers",
    }


def test_a_source_whose_tables_have_a_database_and_no_schema() -> None:
    """The block as Debezium's MySQL connector has it; rows of one message have numbers."""
    number = LogicalType(Kind.INT64, "bigint")
    origin = Origin(
        "mysql", "p", None, (SourceField("pos", number, False), SourceField("row", number, False))
    )
    transaction = Transaction("u:7", "7", 0, {"pos": "{offset}", "row": "{row}"})
    customers = table(ID, text_column("note"), origin=origin)
    third = change("c", customers, None, [b"1", None], transaction=transaction, index=8, offset=4711)
    [record] = encode(third, schemas=True)
    assert record.value is not None
    document = msgspec.json.decode(record.value)
    names = [*SOURCE_NAMES, "table", "pos", "row"]
    [schema] = [field for field in document["schema"]["fields"] if field["field"] == "source"]
    assert [field["field"] for field in schema["fields"]] == names
    source = document["payload"]["source"]
    assert list(source) == names
    assert (source["db"], source["table"], source["pos"], source["row"]) == ("public", "customers", 4711, 2)
    assert TopicTemplate("{database}.{table}").fill(customers) == "public.customers"


def test_records_keep_the_order_of_tables_transactions_and_operations() -> None:
    orders = table(ID, name="orders")
    later = Transaction("556", "00000000016B3749", 1_559_033_905_000_000, {**TRANSACTION.source, "txId": 556})
    customers = table(ID)
    happened: list[tuple[Op, Table, Transaction]] = [
        ("c", customers, TRANSACTION),
        ("c", orders, TRANSACTION),
        ("u", customers, TRANSACTION),
        ("u", customers, later),
        ("c", orders, later),
        ("t", orders, later),
        ("u", customers, later),
    ]
    events = [
        change(op, which, [b"%d" % i], [b"%d" % i], transaction=transaction, index=i, offset=i)
        for i, (op, which, transaction) in enumerate(happened)
    ]
    read = [value(record) for record in encode(*events)]
    assert [(v["op"], v["source"]["table"], v["source"]["txId"], v["source"]["lsn"]) for v in read] == [
        ("c", "customers", 555, 0),
        ("c", "orders", 555, 1),
        ("u", "customers", 555, 2),
        ("u", "customers", 556, 3),
        ("c", "orders", 556, 4),
        ("t", "orders", 556, 5),
        ("u", "customers", 556, 6),
    ]
    assert [v["ts_us"] for v in read] == [TRANSACTION.timestamp] * 3 + [later.timestamp] * 4


def test_schema_changes_make_no_records_and_replace_what_was_made() -> None:
    old, new = table(ID), table(ID, text_column("email"))
    format = DebeziumFormat(DebeziumFormat.Settings())
    events: list[Event] = [
        SchemaChange(old, TRANSACTION, 1),
        change("c", old, None, [b"1"]),
        SchemaChange(old, TRANSACTION, 2),
        change("c", old, None, [b"2"]),
        SchemaChange(new, TRANSACTION, 3),
        change("c", new, None, [b"3", b"x"]),
    ]
    rows = [value(record)["after"] for record in format.encode(events)]
    assert rows == [{"id": 1}, {"id": 2}, {"id": 3, "email": "x"}]
    assert list(format._encoders) == [new]
    assert [record.key for record in format.encode(events[:2])] == [b'{"id":1}']
    assert list(format._encoders) == [old]


def test_equal_settings_make_equal_formats() -> None:
    plain, same, other = (
        DebeziumFormat(DebeziumFormat.Settings(schemas=schemas)) for schemas in (False, False, True)
    )
    assert plain == same
    assert hash(plain) == hash(same)
    assert plain != other
    assert plain != "debezium"


def test_it_is_found_by_its_name() -> None:
    assert load("formats", "debezium") is DebeziumFormat
