"""The binary logs of real servers, against what the servers themselves say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from connectors.mysql.binlog.event import EventType
from connectors.mysql.binlog.framing import Framing
from connectors.mysql.binlog.messages import (
    Format,
    Gtid,
    Heartbeat,
    Ignorable,
    KnownGtids,
    Message,
    PayloadEnd,
    Query,
    Rotate,
    Rows,
    RowsQuery,
    TableMap,
    XaPrepare,
    Xid,
)
from connectors.mysql.binlog.protocol import Decoder
from tests.unit.binlogs import FILES, FOLDER, RELEASES, cut, decode, decoded, events, flavor, told

SHOWN = 200  # characters of what the server shows of an event that are recorded

IGNORED = {
    "Intvar": EventType.INTVAR,
    "RAND": EventType.RAND,
    "User var": EventType.USER_VAR,
    "Begin_load_query": EventType.BEGIN_LOAD_QUERY,
    "Binlog_checkpoint": EventType.BINLOG_CHECKPOINT,
}
ROWS = {"Write": "c", "Update": "u", "Delete": "d"}


def shown(message: Message, mariadb: bool) -> str:
    """A message as SHOW BINLOG EVENTS shows its event."""
    match message:
        case Format():
            return f"Server ver: {message.server_version}, Binlog ver: 4"
        case KnownGtids():
            # MariaDB shows the domains in their order, and writes them as they come.
            return f"[{','.join(sorted(message.text.split(',')))}]" if mariadb else message.text
        case Gtid() if mariadb:
            begins = "BEGIN " if message.begins else ""
            if message.prepared and message.begins:
                begins = f"XA START {message.prepared.decode()} "
            return f"{begins}GTID {message.gtid}"
        case Gtid():
            return f"SET @@SESSION.GTID_NEXT= '{message.gtid or 'ANONYMOUS'}'"
        case Query():
            return message.sql
        case RowsQuery():
            return message.sql if mariadb else f"# {message.sql}"
        case TableMap():
            return f"table_id: {message.id} ({message.schema}.{message.table})"
        case Rows():
            return f"table_id: {message.table_id}" + " flags: STMT_END_F" * message.ends_statement
        case Xid():
            return f"COMMIT /* xid={message.xid} */"
        case XaPrepare():
            name = message.xid.decode()
            return f"XA COMMIT {name} ONE PHASE" if message.one_phase else f"XA PREPARE {name}"
        case Rotate():
            return f"{message.file};pos={message.position}"
        case _:
            return ""


def plain(info: str) -> str:
    """What the server shows, without what it adds of its own."""
    info = re.sub(r" /\* xid=\d+ \*/$", "", info) if not info.startswith("COMMIT") else info
    return re.sub(r"^use `\w+`; | ;file_id=\d+$| USE_SQL_FOREIGN_KEY_F", "", info).removesuffix(" flags:")


@pytest.mark.parametrize("file", FILES)
def test_a_file_says_what_the_server_says_it_does(file: str) -> None:
    release, _, scenario = file.partition("-")
    mariadb = flavor(release) == "mariadb"
    rows = iter(told(release)[scenario.replace("-", " ")])
    for message in decoded(file):
        if isinstance(message, PayloadEnd):
            continue
        _, type, server_id, end, info = next(rows)
        if type == "Transaction_payload":
            _, type, server_id, end, info = next(rows)
            end = 0
        inside = file == "mysql9-compressed" and not message.place.end
        assert message.place.server_id == server_id
        assert inside or message.place.end == end
        if isinstance(message, Ignorable):
            assert message.type == IGNORED[type]
            continue
        if isinstance(message, Rows):
            assert message.op == ROWS[type.partition("_")[0]]
            assert message.partial is (type == "Update_rows_partial")
        expected, found = plain(info), shown(message, mariadb)
        if isinstance(message, KnownGtids):
            expected = expected.replace(",\n", ",")
        if len(info) < SHOWN:
            assert found == expected
        else:
            assert found.startswith(expected)
    assert list(rows) == []


@pytest.mark.parametrize("release", RELEASES)
class TestTables:
    def test_a_table_is_described_as_the_catalogue_does(self, release: str) -> None:
        tables = told(release)["tables"]
        messages = [
            message
            for scenario in ("rows", "partitioned", "hidden")
            for message in decoded(f"{release}-{scenario}")
        ]
        maps = [message for message in messages if isinstance(message, TableMap)]
        assert {table.table for table in maps} == set(tables)
        for table in maps:
            catalogue = tables[table.table]
            names = [column.name for column in table.columns]
            # What MariaDB keeps of the times of a versioned row is in the log alone.
            implied = ["row_start", "row_end"] if table.table == "versioned" else []
            assert names == [column[0] for column in catalogue["columns"]] + implied
            assert table.key is not None
            assert [names[i] for i in table.key] == catalogue["key"] + implied[1:]
            for column, (_, type, nullable, collation, extra) in zip(
                table.columns, catalogue["columns"], strict=not implied
            ):
                assert column.nullable is (nullable == "YES")
                assert column.labels == labels(type, collation)
                if number(type):
                    assert column.unsigned is ("unsigned" in type or type.startswith("year"))
                else:
                    assert column.unsigned is None
                if collation and "compressed" not in type.lower():
                    assert column.collation == collation
                elif "binary" in type or "blob" in type:
                    assert column.collation == 63
                if release == "mysql9":  # MariaDB does not tell
                    assert column.visible is ("INVISIBLE" not in extra)

    def test_types_and_their_metadata_are_those_of_the_columns(self, release: str) -> None:
        kinds = next(message for message in decoded(f"{release}-rows") if isinstance(message, TableMap))
        found = {column.name: (column.type, column.metadata) for column in kinds.columns}
        expected = {
            "id": (3, 0), "tiny": (1, 0), "small": (2, 0), "medium": (9, 0), "big": (8, 0),
            "num": (246, 12 | 3 << 8), "unum": (246, 5), "f": (4, 4), "d": (5, 8), "y": (13, 0),
            "b": (16, 5 | 1 << 8), "dt": (10, 0), "t": (19, 3), "dtm": (18, 6), "ts": (17, 2),
            "c": (254, 40), "clatin": (254, 20), "cwide": (254, 1020), "bin": (254, 16), "vbin": (15, 300),
            "v": (15, 160), "vlatin": (15, 40), "tx": (252, 2), "txlatin": (252, 4), "tbl": (252, 1),
            "e": (247, 1), "elatin": (247, 1), "s": (248, 1), "g": (255, 4), "gen": (3, 0),
        }  # fmt: skip
        expected |= (
            {"j": (245, 4), "vec": (242, 4)}
            if release == "mysql9"
            else {"j": (252, 4), "i6": (254, 16), "i4": (254, 4), "u": (254, 16), "vcomp": (141, 2001)}
        )
        assert {name: kind for name, kind in found.items() if name in expected} == expected
        assert found.get("tcomp", (140, 2)) == (140, 2)

    def test_shapes_are_told(self, release: str) -> None:
        kinds = next(message for message in decoded(f"{release}-rows") if isinstance(message, TableMap))
        columns = {column.name: column for column in kinds.columns}
        assert {name: column.geometry for name, column in columns.items() if column.geometry is not None} == {
            "g": 0,
            "p": 1,
        }
        dimensions = {name: column.dimensions for name, column in columns.items() if column.dimensions}
        assert dimensions == ({"vec": 3} if release == "mysql9" else {})

    def test_with_less_metadata_less_is_told_and_nothing_else(self, release: str) -> None:
        full = next(message for message in decoded(f"{release}-rows") if isinstance(message, TableMap))
        less = next(message for message in decoded(f"{release}-minimal") if isinstance(message, TableMap))
        assert less.key is None
        for column, known in zip(less.columns, full.columns, strict=True):
            assert (column.name, column.labels, column.visible) == (None, None, True)
            assert (column.type, column.metadata, column.nullable) == (
                known.type,
                known.metadata,
                known.nullable,
            )
            assert (column.unsigned, column.geometry) == (known.unsigned, known.geometry)
            assert column.collation == (None if known.type in (247, 248) else known.collation)

    def test_rows_say_of_which_columns_they_are(self, release: str) -> None:
        rows = [message for message in decoded(f"{release}-minimal") if isinstance(message, Rows)]
        kinds = next(message for message in decoded(f"{release}-rows") if isinstance(message, TableMap))
        names = [column.name for column in kinds.columns]

        def columns(bits: bytes | None) -> list[str | None]:
            assert bits is not None
            return [name for i, name in enumerate(names) if bits[i >> 3] >> (i & 7) & 1]

        insert, minimal, _, delete = rows
        assert insert.before is None
        named = [name for name in columns(insert.after) if name != "gen"]
        assert named == ["id", "tiny", "v", "tx", "e", "s", "j", "g", "hidden"]
        assert columns(minimal.before) == ["id", "v"]
        assert columns(minimal.after)[0] == "tiny"
        assert delete.after is None
        assert not {"tx", "txlatin", "bl", "tbl"} & set(columns(delete.before))
        assert all(row.width == len(names) for row in rows)


def number(type: str) -> bool:
    words = ("int", "tinyint", "smallint", "mediumint", "bigint", "decimal", "float", "double", "year")
    return re.match(r"[a-z]+", type)[0] in words  # type: ignore[index]


def labels(type: str, collation: int) -> tuple[bytes, ...] | None:
    if not type.startswith(("enum", "set")):
        return None
    encoding = "latin1" if collation == 8 else "utf-8"
    return tuple(label.encode(encoding) for label in re.findall(r"'([^']*)'", type))


@pytest.mark.parametrize("release", RELEASES)
class TestConnections:
    """What a server sent, asked for the file of the scenario `rows`."""

    def stream(self, release: str) -> Iterator[bytes]:
        framing = Framing()
        yield from framing.feed((FOLDER / f"{release}.packets").read_bytes())
        assert framing.end is None

    def test_the_stream_says_where_it_begins(self, release: str) -> None:
        first = decode(flavor(release), *self.stream(release))[0]
        assert isinstance(first, Rotate)
        assert first.place.timestamp == 0
        assert (first.file, first.position) == ("binlog.000002", 4)

    def test_the_file_comes_as_it_stands_on_the_disk(self, release: str) -> None:
        found = decode(flavor(release), *self.stream(release))
        file = decoded(f"{release}-rows")
        assert found[2 : len(file) + 1] == list(file[1:])

    def test_behind_the_end_of_the_log_there_are_heartbeats(self, release: str) -> None:
        found = decode(flavor(release), *self.stream(release))
        beats = [message for message in found if isinstance(message, Heartbeat)]
        assert len(beats) > 2
        assert {beat.file for beat in beats} == {"binlog.000003"}
        assert beats[-1].position == beats[-2].position > 4

    def test_what_comes_first_has_a_checksum_only_where_one_was_announced(self, release: str) -> None:
        first = next(self.stream(release))
        plain = first[:9] + (len(first) - 4).to_bytes(4, "little") + first[13:-4]
        (message,) = Decoder(flavor(release)).feed(plain)
        assert message == decode(flavor(release), first)[0]


def test_a_compressed_transaction_is_what_it_was() -> None:
    messages = decoded("mysql9-compressed")
    ends = [i for i, message in enumerate(messages) if isinstance(message, PayloadEnd)]
    assert [type(message).__name__ for message in messages[2 : ends[0] + 1]] == (
        ["Gtid", "Query", "TableMap", "Rows", "TableMap", "Rows", "Xid", "PayloadEnd"]
    )
    assert messages[ends[0]].place.end == messages[ends[0] + 1].place.end - len(
        events("mysql9-compressed")[4]
    )
    rows = messages[5]
    assert isinstance(rows, Rows)
    assert rows.data == b"".join(
        b"\x02" + number.to_bytes(4, "little") + b"\x28" + letter * 40
        for number, letter in ((300, b"x"), (301, b"y"))
    )


@pytest.mark.parametrize("release", [release for release in RELEASES if release.startswith("mariadb")])
def test_compressed_rows_and_statements_are_what_they_were(release: str) -> None:
    rows = [message for message in decoded(f"{release}-compressed") if isinstance(message, Rows)]
    assert rows[0].data == b"".join(
        b"\xfa" + number.to_bytes(4, "little") + b"\x28" + letter * 40
        for number, letter in ((300, b"x"), (301, b"y"))
    )
    (query,) = [message for message in decoded(f"{release}-compressed") if isinstance(message, Query)]
    assert query.sql == f"CREATE TABLE o (id int) COMMENT '{'so that it is long, ' * 20}'"
    types = {event[4] for event in events(f"{release}-compressed")}
    assert {EventType.QUERY_COMPRESSED, EventType.UPDATE_ROWS_COMPRESSED_V1} <= types


def test_times_of_commits_are_told_in_microseconds() -> None:
    for file in ("mysql9-rows", "mysql9-tagged", "mysql9-anonymous"):
        for message in decoded(file):
            if isinstance(message, Gtid):
                assert message.committed is not None
                assert 0 <= message.committed // 1_000_000 - message.place.timestamp <= 2


def test_equal_tables_have_equal_bytes() -> None:
    maps = [message for message in decoded("mysql9-rows") if isinstance(message, TableMap)]
    assert len({table.raw for table in maps if table.table == "kinds"}) == 1
    assert len({table.raw for table in maps}) == 2


def test_a_file_that_is_being_written_is_read() -> None:
    first = events("mysql9-rows")[0]
    (message,) = decode("mysql", first[:17] + b"\x01\x00" + first[19:])
    assert message.place.flags == 1


def test_events_without_checksums_are_read_as_they_are() -> None:
    assert len(list(cut(b"".join(events("mysql9-plain"))))) == len(events("mysql9-plain"))
    (first, *_) = decoded("mysql9-plain")
    assert isinstance(first, Format)
    assert not first.checksum
