"""What a server leaves in its log that crashed while it wrote a transaction."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import pymysql
import pytest

from connectors.mysql.assembly.refusals import CUT_OFF
from tailrace.errors import Retry
from tests.integration.mysql_following import Follower, told
from tests.servers import MySqlServer

_ROWS = 5
_ROW = 14_000_000  # bytes


def killed_while_it_writes(server: MySqlServer, database: str) -> bool:
    """Commit a large transaction, and kill the server when a part of it stands in its log. Whether the
    transaction is lost."""
    [(name, *_)] = server.execute("SHOW BINARY LOGS")
    file = server.data / str(name)
    begin = file.stat().st_size
    with contextlib.suppress(pymysql.MySQLError), server.connect(database, autocommit=False) as writing:
        with writing.cursor() as cursor:
            for id in range(_ROWS):
                cursor.execute(f"INSERT INTO t VALUES ({100 + id}, repeat('x', {_ROW}))")

        def commit() -> None:
            with contextlib.suppress(pymysql.MySQLError):
                writing.commit()

        committing = threading.Thread(target=commit)
        committing.start()
        deadline = time.monotonic() + 30
        while file.stat().st_size < begin + _ROWS * _ROW // 2:
            assert time.monotonic() < deadline
        server.kill()
        committing.join()
    server.start()
    return server.execute("SELECT COUNT(*) FROM t WHERE id >= 100", database=database) == [(0,)]


async def test_a_transaction_that_is_cut_off(make_mysql: Callable[..., MySqlServer]) -> None:
    """By MariaDB 10, which leaves it in its log: a new connection goes on behind it."""
    server = make_mysql("mariadb10", {"max_allowed_packet": "64M"})
    server.execute("CREATE DATABASE shop")
    server.execute("CREATE TABLE shop.t (id int PRIMARY KEY, x longtext)")
    async with Follower(server, "shop") as follower:
        begin = await follower.source.anchor()
        follower.sql("INSERT INTO t VALUES (1, NULL)")
        if not killed_while_it_writes(server, "shop"):
            pytest.skip("the server was faster")
        follower.sql("INSERT INTO t VALUES (2, NULL)")
    async with Follower(server, "shop") as again:
        await again.resume(begin)
        batches = [await again.batch()]
        with pytest.raises(Retry) as raised:
            await again.until()
        assert raised.value.code is CUT_OFF
        await again.resume(batches[-1].end)
        batches += await again.until()
    assert [(op, row["id"]) for op, _, _, row in told(batches) if row] == [("c", 1), ("c", 2)]
