"""Packets, events and GTIDs as real servers send and understand them."""

from __future__ import annotations

import random
import struct
import time
from collections.abc import Iterator
from typing import Any

from connectors.mysql.binlog import payload
from connectors.mysql.binlog.event import EventType
from connectors.mysql.binlog.framing import Framing
from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.messages import Format, Gtid, Heartbeat, Message, PayloadEnd, Rotate, Rows, Xid
from connectors.mysql.binlog.protocol import Decoder
from tests.integration.mysql_following import Follower, told
from tests.servers import MySql

BINLOG_DUMP, BINLOG_DUMP_GTID = 0x12, 0x1E
STATUS = {"mysql": "BINARY LOG", "mariadb": "MASTER"}
OTHER = "ffffffff-0000-1111-2222-333333333333"


def events(server: MySql, command: int, request: bytes) -> Iterator[bytes]:
    """What the server sends from a place on, up to where its log ends now: there it has nothing to say but
    heartbeats. Single ones come while it passes over what is known."""
    connection: Any = server.connect()
    with connection.cursor() as cursor:
        cursor.execute("SET @master_binlog_checksum = 'CRC32', @source_binlog_checksum = 'CRC32'")
        cursor.execute("SET @master_heartbeat_period = 200000000, @source_heartbeat_period = 200000000")
        cursor.execute("SET @mariadb_slave_capability = 4, net_write_timeout = 60")
    connection._execute_command(command, request)
    connection._sock.settimeout(10)
    framing = Framing()
    deadline = time.monotonic() + 30
    idle = 0
    try:
        while time.monotonic() < deadline:
            for event in framing.feed(connection._sock.recv(1 << 18)):
                if event[4] == EventType.HEARTBEAT:
                    idle += 1
                    continue
                idle = 0
                yield event
            if idle > 1:
                return
            assert framing.end is None, framing.end
        raise TimeoutError
    finally:
        connection._force_close()


def from_file(server: MySql, file: str) -> Iterator[bytes]:
    return events(server, BINLOG_DUMP, struct.pack("<IHI", 4, 0, 4242) + file.encode())


def behind(server: MySql, known: GtidSet) -> Iterator[bytes]:
    data = known.encode()
    return events(server, BINLOG_DUMP_GTID, struct.pack("<HIIQI", 4, 4243, 0, 4, len(data)) + data)


def decode(server: MySql, sent: Iterator[bytes]) -> Iterator[Message]:
    decoder = Decoder(server.flavor)
    for event in sent:
        yield from decoder.feed(event)


def current(server: MySql) -> str:
    return str(server.execute(f"SHOW {STATUS[server.flavor]} STATUS")[0][0])


class TestGtids:
    def text(self, seed: random.Random) -> str:
        parts = []
        for uuid in (OTHER, OTHER.replace("f", "E"), OTHER.replace("0", "a")):
            for tag in ("", ":east", ":W_2"):
                if seed.random() < 0.6:
                    first = seed.randrange(1, 20)
                    numbers = f":{first}-{first + seed.randrange(9)}:{seed.randrange(1, 40)}"
                    parts.append(uuid + tag + numbers)
        seed.shuffle(parts)
        return ", ".join(parts)

    def test_sets_are_those_of_the_server(self, mysql: MySql) -> None:
        seed = random.Random(7)
        pairs = [(self.text(seed), self.text(seed)) for _ in range(60)]
        query = ",".join(
            f"GTID_SUBTRACT('{one}', ''), GTID_SUBTRACT('{one}', '{two}'), GTID_SUBSET('{two}', '{one}')"
            for one, two in pairs
        )
        (row,) = mysql.execute(f"SELECT {query}")
        for i, (one, two) in enumerate(pairs):
            canonical, difference, subset = row[3 * i : 3 * i + 3]
            first, second = GtidSet.parse(one), GtidSet.parse(two)
            assert str(first) == canonical.replace("\n", "")
            assert str(first - second) == difference.replace("\n", "")
            assert first.covers(second) is bool(subset)
            assert ((first | second) - second).covers(first - second)

    def test_the_server_sends_what_a_set_lacks_and_nothing_else(
        self, mysql: MySql, mysql_database: str
    ) -> None:
        mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=mysql_database)
        before = GtidSet.parse(mysql.gtids())
        with mysql.connect(mysql_database) as connection, connection.cursor() as cursor:
            for i, next in enumerate(
                ("AUTOMATIC", "AUTOMATIC:east", "AUTOMATIC", "AUTOMATIC:east", f"{OTHER}:x:77")
            ):
                cursor.execute(f"SET gtid_next = '{next}'")
                cursor.execute(f"INSERT INTO t VALUES ({i})")
            cursor.execute("SET gtid_next = 'AUTOMATIC'")
        after = GtidSet.parse(mysql.gtids())
        missing = [
            f"{name}:{last}" for name, intervals in (after - before).sources() for _, last in intervals
        ]
        assert len(missing) == 3
        known = after - GtidSet.parse(",".join(missing))
        found = [message.gtid for message in decode(mysql, behind(mysql, known)) if isinstance(message, Gtid)]
        assert sorted(gtid or "" for gtid in found) == missing

    def test_what_stands_before_a_file_is_what_was_executed(self, mysql: MySql) -> None:
        executed = mysql.gtids()
        mysql.execute("FLUSH BINARY LOGS")
        texts = [
            message.text
            for message in decode(mysql, from_file(mysql, current(mysql)))
            if hasattr(message, "text")
        ]
        assert texts == [str(GtidSet.parse(executed))]


def test_checksums_that_come_and_go_are_followed(every_mysql: MySql, every_mysql_database: str) -> None:
    server = every_mysql
    server.execute("CREATE TABLE t (id int PRIMARY KEY)", database=every_mysql_database)
    server.execute("FLUSH BINARY LOGS")
    file = current(server)
    try:
        for i, algorithm in enumerate(("NONE", "CRC32", "NONE", "CRC32")):
            server.execute(f"INSERT INTO t VALUES ({i})", database=every_mysql_database)
            server.execute(f"SET GLOBAL binlog_checksum = {algorithm}")
    finally:
        server.execute("SET GLOBAL binlog_checksum = CRC32")
    found = list(decode(server, from_file(server, file)))
    formats = [message.checksum for message in found if isinstance(message, Format)]
    assert formats[:5] == [True, False, True, False, True]
    assert sum(isinstance(message, Rows) for message in found) == 4
    rotations = [message for message in found if isinstance(message, Rotate)]
    assert len({message.file for message in rotations}) == len(formats)


def test_rows_of_many_megabytes_arrive_whole(every_mysql: MySql, every_mysql_database: str) -> None:
    server = every_mysql
    size = (1 << 24) - 100  # with what stands around it, a little more or less than what a packet holds
    server.execute("CREATE TABLE t (id int PRIMARY KEY, b longblob)", database=every_mysql_database)
    kept = server.execute("SELECT @@GLOBAL.max_allowed_packet")[0][0]
    server.execute(f"SET GLOBAL max_allowed_packet = {64 << 20}")
    server.execute("FLUSH BINARY LOGS")
    file = current(server)
    try:
        for n in (0, 1000):
            server.execute(
                f"INSERT INTO t VALUES ({n}, REPEAT('x', {size + n}))", database=every_mysql_database
            )
        rows = [message for message in decode(server, from_file(server, file)) if isinstance(message, Rows)]
    finally:
        server.execute("FLUSH BINARY LOGS")  # the server's own statements do not read the file any more
        server.execute(f"SET GLOBAL max_allowed_packet = {kept}")
    assert [len(row.data) for row in rows] == [1 + 4 + 4 + size, 1 + 4 + 4 + size + 1000]
    assert all(row.data.endswith(b"x" * size) for row in rows)


def test_a_compressed_transaction_larger_than_is_held_in_memory(mysql: MySql, mysql_database: str) -> None:
    size = payload.IN_MEMORY // 3 * 2
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY, b longblob)", database=mysql_database)
    mysql.execute("FLUSH BINARY LOGS")
    file = current(mysql)
    with mysql.connect(mysql_database, autocommit=False) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_transaction_compression = ON")
        for n in range(2):
            cursor.execute(f"INSERT INTO t VALUES ({n}, REPEAT('x', {size}))")
        connection.commit()
    sent = list(from_file(mysql, file))
    assert max(map(len, sent)) < 1 << 20
    found = [message for message in decode(mysql, iter(sent)) if not isinstance(message, Rotate | Heartbeat)]
    assert [type(message) for message in found[-8:]][-3:] == [Rows, Xid, PayloadEnd]
    assert [len(message.data) for message in found if isinstance(message, Rows)] == [size + 9] * 2


async def test_a_log_without_checksums_is_read_from_anywhere(
    every_mysql: MySql, every_mysql_database: str
) -> None:
    """The server changes the description of a file for a reader that begins inside of it, or by GTIDs, and
    leaves the checksum which that has all the same as it was."""
    server, database = every_mysql, every_mysql_database
    server.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    try:
        server.execute("SET GLOBAL binlog_checksum = NONE")
        async with Follower(server, database) as follower:
            await follower.start()
            for id in (1, 2):
                follower.sql(f"INSERT INTO t VALUES ({id})")
                batches = await follower.until()
                assert told(batches) == [("c", "t", None, {"id": id})]
                await follower.resume(batches[-1].end)
        place = server.execute(f"SHOW {STATUS[server.flavor]} STATUS")[0]
        server.execute("INSERT INTO t VALUES (3)", database=database)
        inside = struct.pack("<IHI", int(place[1]), 0, 4242) + str(place[0]).encode()
        found = list(decode(server, events(server, BINLOG_DUMP, inside)))
    finally:
        server.execute("SET GLOBAL binlog_checksum = CRC32")
    formats = [message for message in found if isinstance(message, Format)]
    assert [(message.checksum, message.place.end) for message in formats] == [(False, 0)]
    assert sum(isinstance(message, Rows) for message in found) == 1
