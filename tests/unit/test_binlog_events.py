"""Events that recordings do not hold: other versions of servers, rare kinds, and what is refused by name."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog.event import EventType, Reader
from connectors.mysql.binlog.messages import (
    Flavor,
    Format,
    Gtid,
    Heartbeat,
    Ignorable,
    Incident,
    KnownGtids,
    Place,
    Query,
    Rotate,
    RowsQuery,
    XaPrepare,
    Xid,
)
from connectors.mysql.binlog.protocol import Decoder
from connectors.mysql.binlog.transactions import _Fields
from tailrace.errors import Malformed
from tests.unit.binlogs import PLACE, begin, decode, decoded, event, events, lenenc, query_body, read, refused

UUID = bytes(range(16))
NAME = "00010203-0405-0607-0809-0a0b0c0d0e0f"


class TestForm:
    def body(self, **changed: int) -> bytes:
        fields = {"version": 4, "header": 19, "checksum": 1, "types": 42, "query": 13, "rows": 10, **changed}
        lengths = bytearray(fields["types"])
        for type, length in ((2, fields["query"]), (4, 8), (19, 8), (30, fields["rows"])):
            lengths[type - 1 : type] = bytes((length,))
        start = struct.pack("<H50sIB", fields["version"], b"8.0.99-log", 0, fields["header"])
        return start + bytes(lengths) + bytes((fields["checksum"],))

    def test_a_description_tells_version_and_checksums(self) -> None:
        assert decode("mysql", event(15, self.body())) == [Format(PLACE, "8.0.99-log", True)]

    @pytest.mark.parametrize(
        "changed",
        [
            {"version": 3},
            {"header": 27},
            {"checksum": 2},
            {"checksum": 255},
            {"types": 34},
            {"query": 11},
            {"rows": 9},
        ],
    )
    def test_another_form_of_the_log_is_refused(self, changed: dict[str, int]) -> None:
        with pytest.raises(Malformed, match="TR-MY-102"):
            decode("mysql", event(15, self.body(**changed)))

    def test_without_checksums_the_description_has_room_for_one_all_the_same(self) -> None:
        plain = event(15, self.body(checksum=0))
        stream = (plain[:-4] + bytes(4), event(16, bytes(8), crc=False))
        decoder = Decoder("mysql")
        assert [message for sent in stream for message in decoder.feed(sent)][1] == Xid(PLACE, 0)

    def test_nothing_comes_before_the_description_but_where_the_stream_begins(self) -> None:
        with pytest.raises(Malformed, match="before FORMAT_DESCRIPTION"):
            decode("mysql", event(16, bytes(8)))

    def test_where_the_stream_begins_is_told_with_a_checksum_or_without(self) -> None:
        body = struct.pack("<Q", 4) + b"binlog.000001"
        for crc in (True, False):
            assert decode("mysql", event(4, body, crc=crc)) == [Rotate(PLACE, "binlog.000001", 4)]
        sealed = event(4, body)
        for offset in range(19, len(sealed)):
            with pytest.raises(Malformed, match="TR-MY-103"):
                decode("mysql", sealed[:offset] + bytes((sealed[offset] ^ 4,)) + sealed[offset + 1 :])

    @pytest.mark.parametrize(
        "name", [b"", b"binlog.000001\0", b"\xff\xfe", b"binlog", b"b.1x", b"a/b.000001"]
    )
    def test_a_file_without_a_name_is_refused(self, name: bytes) -> None:
        assert "ROTATE (4)" in refused("mysql", 4, bytes(8) + name)

    def test_a_rotation_says_where_the_log_goes_on(self) -> None:
        assert read("mysql", 4, struct.pack("<Q", 1 << 33) + b"b.000002") == Rotate(
            PLACE, "b.000002", 1 << 33
        )

    @pytest.mark.parametrize("type", [3, 28, 36, 37])
    def test_what_changes_nothing_is_ignorable(self, type: int) -> None:
        assert read("mysql", type, b"") == Ignorable(PLACE, type)

    def test_places_go_on_where_a_header_has_no_room_for_them(self) -> None:
        """In a file that a large transaction has made longer than 2^32 bytes."""
        full = 1 << 32
        ends = [full - 50, full - 10, 21, 10, 0, 5 << 28, 11 << 28, 5, 36]
        _, *found = decode("mysql", begin("mysql"), *(event(16, bytes(8), end=end) for end in ends))
        far = [full + 21, full + 10, 0, full + (5 << 28), full + (11 << 28), 2 * full + 5, 2 * full + 36]
        expected = [full - 50, full - 10, *far]
        assert [message.place.end for message in found] == expected
        rotated = event(4, bytes((4,)) + bytes(7) + b"b.000002", end=67)
        *_, last = decode("mysql", begin("mysql"), event(16, bytes(8), end=full - 9), rotated, begin("mysql"))
        assert last.place.end == decoded("mysql9-rows")[0].place.end


class TestGtids:
    def test_servers_without_times_of_commits(self) -> None:
        body = b"\1" + UUID + struct.pack("<Q", 5)
        for more in (b"", b"\2" + bytes(16)):  # MySQL 5.6 and 5.7
            assert read("mysql", 33, body + more) == Gtid(PLACE, f"{NAME}:5", None)

    def test_the_time_is_that_of_the_first_server(self) -> None:
        body = b"\1" + UUID + struct.pack("<Q", 5) + b"\2" + bytes(16)
        here = (1_000_000 | 1 << 55).to_bytes(7, "little")
        assert read("mysql", 33, body + here + (77).to_bytes(7, "little")) == Gtid(PLACE, f"{NAME}:5", 77)
        assert read("mysql", 33, body + (88).to_bytes(7, "little")) == Gtid(PLACE, f"{NAME}:5", 88)
        assert read("mysql", 33, body + bytes(7)) == Gtid(PLACE, f"{NAME}:5", None)
        assert "cut off in its times" in refused("mysql", 33, body + here)

    def test_a_transaction_without_a_gtid(self) -> None:
        assert read("mysql", 34, b"\1" + UUID + bytes(8)) == Gtid(PLACE, None, None)
        for number in (255 << 56, (1 << 63) - 1):  # no server gives these out
            assert "number" in refused("mysql", 33, b"\1" + UUID + struct.pack("<Q", number))

    def test_fields_of_later_servers_may_be_unknown_unless_they_are_needed(self) -> None:
        recorded = next(sent for sent in events("mysql9-tagged") if sent[4] == EventType.GTID_TAGGED)
        body = bytearray(recorded[19:-4])
        body[1] += 2 * 2  # two bytes more; a length stands above a zero bit
        assert read("mysql", 42, bytes(body) + b"\x18\x55") == read("mysql", 42, recorded[19:-4])
        needed = bytes(body[:2]) + bytes((13 << 1,)) + bytes(body[3:])
        assert "up to number 13" in refused("mysql", 42, needed + b"\x18\x55")
        assert "version 2" in refused("mysql", 42, b"\x04" + recorded[20:-4])

    @given(st.integers(-(1 << 63), (1 << 63) - 1))
    def test_integers_of_tagged_gtids(self, number: int) -> None:
        raised = (number << 1) if number >= 0 else (~number << 1 | 1)
        bits = raised.bit_length()
        more = min(8, max(0, (bits - 1) // 7))
        head = (1 << more) - 1
        encoded = (
            b"\xff" + raised.to_bytes(8, "little")
            if more == 8
            else (raised << more + 1 | head).to_bytes(more + 1, "little")
        )
        reader = _Fields(encoded + b"rest")
        assert reader.signed() == number
        assert reader.rest() == b"rest"

    def test_mariadb_names_a_transaction_by_domain_and_server(self) -> None:
        body = struct.pack("<QIB", 9, 3, 0)
        assert read("mariadb", 162, body + bytes(6)) == Gtid(PLACE, "3-11-9", None, begins=True)
        alone = struct.pack("<QIB", 9, 3, 0x21) + bytes(6)
        assert read("mariadb", 162, alone) == Gtid(PLACE, "3-11-9", None, standalone=True)

    def test_the_name_of_an_xa_transaction_stands_behind_that_of_a_group(self) -> None:
        xa = struct.pack("<IBB", 5, 1, 2) + b"gbq"
        body = struct.pack("<QIBQ", 9, 0, 0x42, 77) + xa
        message = read("mariadb", 162, body)
        assert isinstance(message, Gtid)
        assert message.prepared == b"X'67',X'6271',5"
        assert "bytes" in refused("mariadb", 162, body[:-1])

    def test_what_stands_before_a_file(self) -> None:
        known = read("mysql", 35, struct.pack("<Q", 1) + UUID + struct.pack("<QQQ", 1, 1, 6))
        assert known == KnownGtids(PLACE, f"{NAME}:1-5")
        assert "cut off" in refused("mysql", 35, bytes(7))
        pairs = struct.pack("<IIQIIQ", 0, 1, 7, 0, 2, 9)
        assert read("mariadb", 163, struct.pack("<I", 2 | 1 << 28) + pairs) == KnownGtids(
            PLACE, "0-1-7,0-2-9"
        )
        assert "behind 1 of 2" in refused("mariadb", 163, struct.pack("<I", 2) + pairs[:-1])
        assert "too many" in refused("mariadb", 163, struct.pack("<I", 1) + pairs)

    def test_the_end_of_a_transaction_has_its_number(self) -> None:
        assert read("mysql", 16, struct.pack("<Q", 1 << 63)) == Xid(PLACE, 1 << 63)
        assert "8 bytes" in refused("mysql", 16, bytes(7))

    def test_a_prepared_xa_transaction(self) -> None:
        body = struct.pack("<BIII", 1, 1, 2, 0) + b"\x00a"
        assert read("mysql", 38, body) == XaPrepare(PLACE, b"X'0061',X'',1", True)
        assert "too many" in refused("mysql", 38, body + b"x")
        assert "65" in refused("mysql", 38, struct.pack("<BIII", 0, 1, 65, 0) + bytes(65))

    @pytest.mark.parametrize(
        ("flavor", "type", "body"),
        [
            ("mysql", 33, b"\1" + UUID + struct.pack("<Q", 5)),
            ("mysql", 16, struct.pack("<Q", 5)),
            ("mysql", 2, query_body(sql=b"")),
            ("mysql", 18, query_body(sql=b"").ljust(26)),
            ("mysql", 19, struct.pack("<IHH", 42, 0, 0)),
            ("mariadb", 162, struct.pack("<QIB", 9, 3, 0)),
        ],
    )
    def test_a_checksum_is_no_part_of_a_body(self, flavor: Flavor, type: int, body: bytes) -> None:
        """Bodies are read where they stand, and one that is short has four bytes behind it."""
        for lacking in range(1, 5):
            assert "TR-MY-102" in refused(flavor, type, body[:-lacking])


class TestStatements:
    def test_what_a_session_had_set_is_left_out(self) -> None:
        assert read("mysql", 2, query_body()) == Query(PLACE, "shop", "BEGIN", 3, 1062)

    def test_bytes_of_another_character_set_are_shown(self) -> None:
        message = read("mysql", 2, query_body(sql=b"SELECT 'caf\xe9'"))
        assert isinstance(message, Query)
        assert message.sql == r"SELECT 'caf\xe9'"
        assert read("mysql", 29, b"\7caf\xc3\xa9") == RowsQuery(PLACE, "café")

    def test_a_statement_whose_parts_do_not_fit_is_refused(self) -> None:
        assert "zero byte" in refused("mysql", 2, query_body().replace(b"shop\0", b"shops"))
        assert "QUERY" in refused("mysql", 2, query_body(sql=b"")[:-1])
        assert "QUERY" in refused("mysql", 2, bytes(12))

    def test_a_file_that_was_loaded_is_a_statement(self) -> None:
        whole = query_body(sql=b"LOAD DATA")
        assert read("mysql", 18, whole[:13] + bytes(13) + whole[13:]) == Query(
            PLACE, "shop", "LOAD DATA", 3, 1062
        )
        assert "cut off" in refused("mysql", 18, bytes(25))

    def record(self, data: bytes, length: int | None = None) -> bytes:
        size = len(data) if length is None else length
        return b"\x82" + size.to_bytes(2, "big") + zlib.compress(data)

    def test_a_compressed_statement(self) -> None:
        body = query_body(sql=self.record(b"CREATE TABLE t (id int)"))
        assert read("mariadb", 165, body) == Query(PLACE, "shop", "CREATE TABLE t (id int)", 3, 1062)

    @pytest.mark.parametrize("length", [0, 4, 6, 65535])
    def test_a_record_of_another_length_than_it_says_is_refused(self, length: int) -> None:
        assert "compressed record" in refused("mariadb", 165, query_body(sql=self.record(b"BEGIN", length)))

    def test_a_record_that_is_none_is_refused(self) -> None:
        whole = self.record(b"BEGIN")
        for record in (b"", b"\x80", b"\x92" + whole[1:], b"\x85" + whole[1:], whole[:-1], whole + b"x"):
            assert "compressed record" in refused("mariadb", 165, query_body(sql=record))


class TestHeartbeats:
    def test_the_place_stands_in_the_header(self) -> None:
        assert read("mysql", 27, b"b.000001", end=99) == Heartbeat(Place(99, 7, 11, 0), "b.000001", 99)

    def test_a_place_beyond_four_bytes(self) -> None:
        far = 1 << 33
        body = struct.pack("<Q", far) + b"b.000001"
        assert read("mariadb", 27, body, end=0) == Heartbeat(Place(0, 7, 11, 0), "b.000001", far)
        fields = b"\1\x08b.000001" + b"\2\x09\xfe" + struct.pack("<Q", far) + b"\0"
        assert read("mysql", 41, fields) == Heartbeat(PLACE, "b.000001", far)

    def test_fields_that_are_not_known_are_skipped(self) -> None:
        fields = b"\1\x08b.000001" + b"\x07\x02ab" + b"\2\x01\x04" + b"\0"
        assert read("mysql", 41, fields) == Heartbeat(PLACE, "b.000001", 4)

    def test_half_a_heartbeat_is_refused(self) -> None:
        assert "both" in refused("mysql", 41, b"\1\x08b.000001\0")
        assert "both" in refused("mysql", 41, b"\2\x01\x04\0")
        assert "cut off" in refused("mysql", 41, b"\1\x08b.000001")

    def test_an_incident_has_a_number_and_a_message(self) -> None:
        assert read("mysql", 26, b"\1\0\x05gone!") == Incident(PLACE, 1, "gone!")


@pytest.mark.parametrize(("flavor", "type"), [("mysql", 162), ("mysql", 0), ("mariadb", 33), ("mariadb", 40)])
def test_an_unknown_type_stops_unless_the_server_says_that_it_may_be_left_out(
    flavor: Flavor, type: int
) -> None:
    assert refused(flavor, type, bytes(30)).startswith("TR-MY-104")
    assert read(flavor, type, bytes(30), flags=0x80) == Ignorable(Place(1000, 7, 11, 0x80), type)


@given(st.integers(0, (1 << 64) - 1))
def test_length_encoded_integers(number: int) -> None:
    reader = Reader(lenenc(number))
    assert reader.number() == number
    reader.finish()


def test_two_columns_of_one_name_are_refused() -> None:
    names = b"\4\4\1a\1a"
    body = bytes(6) + b"\1\0" + b"\1s\0\1t\0" + b"\2\3\3" + b"\0" + b"\3" + names
    assert "two columns of one name: a, a" in refused("mysql", 19, body)


def test_a_decoder_begins_anew_with_each_description() -> None:
    """Files one behind the other, with checksums and without."""
    stream = [*events("mysql9-rows"), *events("mysql9-plain"), *events("mysql9-wide")]
    expected = [*decoded("mysql9-rows"), *decoded("mysql9-plain"), *decoded("mysql9-wide")]
    assert decode("mysql", *stream) == expected
