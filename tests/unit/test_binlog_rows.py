"""Row events and the descriptions of their tables, made by hand: what recordings do not hold."""

from __future__ import annotations

import struct
import zlib

import pytest

from connectors.mysql.binlog.messages import (
    Ignorable,
    Rows,
    TableMap,
)
from tests.unit.binlogs import PLACE, begin, decode, event, lenenc, read, refused


class TestRows:
    def test_what_a_partitioned_table_adds_is_skipped(self) -> None:
        extra = struct.pack("<HBH", 5, 1, 3)
        body = struct.pack("<IHH", 42, 1, 1) + extra + b"\3\x07DATA"
        assert read("mysql", 30, body) == Rows(PLACE, "c", 1 << 32 | 42, None, b"\7", 3, b"DATA", False, True)

    def test_the_first_version_has_no_room_for_it(self) -> None:
        body = struct.pack("<IHH", 42, 0, 0) + b"\3\x07\x05DATA"
        assert read("mariadb", 24, body) == Rows(PLACE, "u", 42, b"\7", b"\5", 3, b"DATA", False, False)
        assert read("mariadb", 25, body) == Rows(PLACE, "d", 42, b"\7", None, 3, b"\5DATA", False, False)

    def test_bits_of_no_column_are_left_out(self) -> None:
        body = struct.pack("<IHH", 42, 0, 0) + b"\x09\xff\xff\x01\xfe"
        assert read("mariadb", 24, body) == Rows(PLACE, "u", 42, b"\xff\1", b"\1\0", 9, b"", False, False)
        body = struct.pack("<IHH", 42, 0, 0) + b"\x08\xff\x80"
        assert read("mariadb", 24, body) == Rows(PLACE, "u", 42, b"\xff", b"\x80", 8, b"", False, False)

    def test_an_event_that_only_ends_a_statement_is_ignorable(self) -> None:
        body = struct.pack("<IHHH", 0xFFFFFFFF, 0xFFFF, 1, 2) + b"\1\0"
        assert read("mysql", 32, body) == Ignorable(PLACE, 32)
        assert isinstance(read("mysql", 32, body + b"\0"), Rows)

    @pytest.mark.parametrize(
        "body",
        [
            struct.pack("<IHHH", 1, 0, 0, 1) + b"\1\1",  # information of less than its own length
            struct.pack("<IHHH", 1, 0, 0, 9) + b"\1\1",  # … beyond the end
            struct.pack("<IHHH", 1, 0, 0, 2) + b"\0",  # no columns
            struct.pack("<IHHH", 1, 0, 0, 2) + b"\x11\xff\xff",  # half a bitmap
            struct.pack("<IHHH", 1, 0, 0, 2),
            struct.pack("<IHH", 1, 0, 0),
        ],
    )
    def test_what_does_not_fit_is_refused(self, body: bytes) -> None:
        assert refused("mysql", 30, body).startswith("TR-MY-102 WRITE_ROWS (30)")

    def test_rows_of_mariadb_in_compressed_records(self) -> None:
        record = b"\x81\x04" + zlib.compress(b"DATA")
        body = struct.pack("<IHH", 42, 0, 1) + b"\3\x07" + record
        assert read("mariadb", 166, body) == Rows(PLACE, "c", 42, None, b"\7", 3, b"DATA", False, True)


class TestTables:
    def body(self, types: bytes, metadata: bytes, *fields: tuple[int, bytes]) -> bytes:
        start = struct.pack("<IHH", 5, 0, 1) + b"\1s\0\1t\0"
        columns = lenenc(len(types)) + types + lenenc(len(metadata)) + metadata + bytes((len(types) + 7) // 8)
        return start + columns + b"".join(bytes((kind,)) + lenenc(len(data)) + data for kind, data in fields)

    def table(self, types: bytes, metadata: bytes, *fields: tuple[int, bytes]) -> TableMap:
        message = read("mysql", 19, self.body(types, metadata, *fields))
        assert isinstance(message, TableMap)
        return message

    def test_a_server_without_metadata_tells_types_alone(self) -> None:
        table = self.table(b"\x03\x0f", b"\x0a\0")
        assert (table.schema, table.table, table.id, table.key) == ("s", "t", 5, None)
        assert [column.unsigned for column in table.columns] == [None, None]

    def test_collations_by_default_and_by_column(self) -> None:
        table = self.table(b"\x0f\x03\x0f\x0f", b"\x0a\0" * 3, (2, b"\x2d\x01\xfc\x04\x01"))
        assert [column.collation for column in table.columns] == [0x2D, None, 0x104, 0x2D]
        assert "text column 3" in refused(
            "mysql", 19, self.body(b"\x0f\x0f", b"\x0a\0" * 2, (2, b"\x2d\x03\x08"))
        )

    def test_a_key_of_whole_columns_in_its_order(self) -> None:
        names = (4, b"\1a\1b\1c")
        table = self.table(b"\x03\x03\x03", b"", names, (8, b"\2\0"))
        assert table.key == (2, 0)
        assert self.table(b"\x03\x03\x03", b"", names).key == ()
        assert "primary key" in refused("mysql", 19, self.body(b"\x03\x03", b"", (8, b"\2")))
        assert "primary key" in refused("mysql", 19, self.body(b"\x03\x03", b"", (8, b"\1\1")))

    def test_metadata_of_kinds_to_come_is_skipped(self) -> None:
        assert self.table(b"\x03", b"", (99, b"what ever"), (4, b"\1a")).columns[0].name == "a"

    @pytest.mark.parametrize(
        ("types", "metadata", "fields"),
        [
            (b"\x63", b"", ()),  # an unknown type
            (b"\xfe", b"\x03\x01", ()),  # … in a string
            (b"\x0f", b"\x0a", ()),
            (b"\x0f", b"\x0a\0\0", ()),
            (b"\x03", b"", ((4, b""),)),  # too few names
            (b"\x03", b"", ((4, b"\1a\1b"),)),
            (b"\x03", b"", ((4, b"\1a"), (4, b"\1a"))),
            (b"\x03", b"", ((1, b""),)),
            (b"\x03", b"", ((1, b"\0\0"),)),
            (b"\xfe", b"\xf7\1", ((6, b"\2\1a"),)),  # too few labels
            (b"\xff", b"\4", ((7, b""),)),
            (b"\xf2", b"\4", ((13, b""),)),
        ],
    )
    def test_what_does_not_fit_is_refused(
        self, types: bytes, metadata: bytes, fields: tuple[tuple[int, bytes], ...]
    ) -> None:
        assert refused("mysql", 19, self.body(types, metadata, *fields)).startswith("TR-MY-102 TABLE_MAP")

    def test_a_description_that_was_seen_is_not_read_again(self) -> None:
        body = self.body(b"\x03", b"", (4, b"\1a"))
        other = struct.pack("<IHH", 6, 0, 1) + body[8:]
        _, one, two = decode("mysql", begin("mysql"), event(19, body), event(19, other))
        assert isinstance(one, TableMap)
        assert isinstance(two, TableMap)
        assert (one.id, two.id) == (5, 6)
        assert one.columns is two.columns
