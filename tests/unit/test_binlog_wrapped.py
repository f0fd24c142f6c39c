"""Events that wrap others: compressed transactions of MySQL, rows that MariaDB cuts into fragments."""

from __future__ import annotations

import os
import struct
from pathlib import Path

import cramjam
import pytest

from connectors.mysql.binlog import payload
from connectors.mysql.binlog.messages import (
    Message,
    PayloadEnd,
    Place,
    Query,
    Rows,
    Xid,
)
from connectors.mysql.binlog.protocol import Decoder
from tailrace.errors import Malformed
from tests.unit.binlogs import PLACE, begin, decode, event, lenenc, query_body


class TestPayloads:
    INSIDE = (event(2, query_body(), end=0, crc=False), event(16, bytes(8), end=0, crc=False))
    EXPECTED = (
        Query(Place(0, 7, 11, 0), "shop", "BEGIN", 3, 1062),
        Xid(Place(0, 7, 11, 0), 0),
        PayloadEnd(PLACE),
    )

    def body(
        self, data: bytes, *, kind: int = 0, size: int | None = None, announced: int | None = None
    ) -> bytes:
        packed = data if kind == 255 else bytes(cramjam.zstd.compress(data))
        fields = [(2, lenenc(kind)), (1, lenenc(len(packed) if size is None else size)), (9, b"later")]
        if announced != -1:
            fields.append((3, lenenc(len(data) if announced is None else announced)))
        return (
            b"".join(lenenc(field) + lenenc(len(value)) + value for field, value in fields) + b"\0" + packed
        )

    def messages(self, body: bytes) -> tuple[Message, ...]:
        return tuple(decode("mysql", begin("mysql"), event(40, body))[1:])

    def test_compressed_or_not_it_is_the_same(self) -> None:
        data = b"".join(self.INSIDE)
        for body in (self.body(data), self.body(data, kind=255), self.body(data, announced=-1)):
            assert self.messages(body) == self.EXPECTED

    def test_a_large_one_goes_through_a_file_that_does_not_stay(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(payload, "IN_MEMORY", 10)
        decoder = Decoder("mysql", folder=tmp_path)
        list(decoder.feed(begin("mysql")))
        found = iter(decoder.feed(event(40, self.body(b"".join(self.INSIDE) * 1000))))
        assert next(found) == self.EXPECTED[0]
        # Without a name: nothing is left of it, whatever happens.
        opened = [os.readlink(path) for path in Path("/proc/self/fd").iterdir() if path.is_file()]
        assert [path for path in opened if path.startswith(str(tmp_path))]
        assert list(tmp_path.iterdir()) == []
        assert len(list(found)) == 2000
        for damaged in (self.body(b"".join(self.INSIDE))[:-1], self.body(b"".join(self.INSIDE)[:-1])):
            with pytest.raises(Malformed):
                self.messages(damaged)
        with pytest.raises(Malformed, match="says it has 99"):
            self.messages(self.body(b"".join(self.INSIDE), announced=99))

    @pytest.mark.parametrize("announced", [0, 10, 99])
    def test_one_of_another_size_than_it_says_is_refused(self, announced: int) -> None:
        with pytest.raises(Malformed, match="TR-MY-102"):
            self.messages(self.body(b"".join(self.INSIDE), announced=announced))

    @pytest.mark.parametrize("announced", [100, 40 << 20, -1])
    def test_one_that_would_fill_memory_or_disk_takes_what_it_says_at_most(
        self, tmp_path: Path, announced: int
    ) -> None:
        """A quarter of a gigabyte in 25 kB."""
        packed = bytes(cramjam.zstd.compress(bytes(64 << 20))) * 4
        fields = [(2, lenenc(0)), (1, lenenc(len(packed)))]
        if announced >= 0:
            fields.append((3, lenenc(announced)))
        body = (
            b"".join(lenenc(field) + lenenc(len(value)) + value for field, value in fields) + b"\0" + packed
        )
        decoder = Decoder("mysql", folder=tmp_path)
        list(decoder.feed(begin("mysql")))
        with pytest.raises(Malformed, match="damaged, or longer than"):
            list(decoder.feed(event(40, body)))
        assert list(tmp_path.iterdir()) == []

    def test_one_that_cannot_hold_what_it_says_is_refused(self) -> None:
        with pytest.raises(Malformed, match="cannot hold the 1099511627776 it says"):
            self.messages(self.body(b"".join(self.INSIDE), announced=1 << 40))

    def test_one_that_is_none_is_refused(self) -> None:
        data = b"".join(self.INSIDE)
        for body in (
            self.body(data, kind=7),
            self.body(data, size=5),
            self.body(data, kind=255)[:-1],
            self.body(data[:-1], kind=255),
            self.body(data + bytes(5), kind=255),
            self.body(self.INSIDE[0] + bytes(19), kind=255),
            b"\0" + data,
            data[:3],
        ):
            with pytest.raises(Malformed, match=r"TR-MY-102 .* TRANSACTION_PAYLOAD \(40\)"):
                self.messages(body)

    @pytest.mark.parametrize("type", [4, 15, 33, 40, 41, 77])
    def test_what_belongs_into_none_is_refused(self, type: int) -> None:
        with pytest.raises(Malformed, match="it holds an event of"):
            self.messages(self.body(event(type, bytes(40), end=0, crc=False)))

    def test_an_error_inside_says_the_place_of_the_whole(self) -> None:
        body = self.body(event(16, bytes(7), end=0, crc=False))
        with pytest.raises(Malformed) as error:
            self.messages(body)
        assert error.value.where == "binary log:127"
        assert "TRANSACTION_PAYLOAD (40)" in error.value.found


class TestFragments:
    """Of rows that MariaDB cuts into pieces. No recording holds any: they come from 12.3 on."""

    def pieces(self, count_first: bool, *, crc: bool = True) -> list[bytes]:
        body = struct.pack("<IHH", 42, 0, 1) + b"\3\x07" + b"DATA" * 20
        whole = event(23, body, end=0, crc=crc)
        parts = [whole[:30], whole[30:60], whole[60:]]
        made = []
        for number, part in enumerate(parts, 1):
            numbers = (3, number) if count_first else (number, 3)
            size = b"\1" + struct.pack("<Q", len(whole)) if number == 1 else b"\0"
            made.append(event(172, struct.pack("<II", *numbers) + size + part))
        return made

    @pytest.mark.parametrize("count_first", [True, False])
    @pytest.mark.parametrize("crc", [True, False])
    def test_they_are_joined(self, count_first: bool, crc: bool) -> None:
        _, *found = decode("mariadb", begin("mariadb"), *self.pieces(count_first, crc=crc))
        assert found == [Rows(PLACE, "c", 42, None, b"\7", 3, b"DATA" * 20, False, True)]

    @pytest.mark.parametrize("order", [(1,), (0, 2), (0, 0), (0, 1, 1)])
    def test_one_that_is_missing_is_an_error(self, order: tuple[int, ...]) -> None:
        pieces = self.pieces(count_first=True)
        with pytest.raises(Malformed, match="fragment"):
            decode("mariadb", begin("mariadb"), *(pieces[i] for i in order))

    def test_nothing_may_stand_between(self) -> None:
        with pytest.raises(Malformed, match="between fragments"):
            decode("mariadb", begin("mariadb"), self.pieces(count_first=True)[0], event(16, bytes(8)))

    def test_what_is_no_event_when_joined_is_refused(self) -> None:
        def pieces(whole: bytes) -> list[bytes]:
            heads = struct.pack("<IIB", 2, 1, 0), struct.pack("<IIB", 2, 2, 0)
            return [event(172, heads[0] + whole[:5]), event(172, heads[1] + whole[5:])]

        for whole in (b"DATA" * 20, event(16, bytes(8))):
            with pytest.raises(Malformed, match="TR-MY-102"):
                decode("mariadb", begin("mariadb"), *pieces(whole))
