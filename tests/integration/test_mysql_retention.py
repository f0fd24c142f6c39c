"""What of the log behind the acknowledged position a MySQL or MariaDB server still has, and until when."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from connectors.mysql import source
from tailrace.abc import Retention
from tests.integration.commandline import tailrace
from tests.integration.mysql_following import Follower
from tests.pipelines import Pipeline
from tests.servers import MySql
from tests.waiting import wait_until

LIMIT = 1000  # seconds
SIZE = 2**30


@pytest.fixture
def limited(every_mysql: MySql, monkeypatch: pytest.MonkeyPatch) -> Iterator[MySql]:
    """A server that removes files of its log once they are as old, which none becomes here."""
    monkeypatch.setattr(source, "_OBSERVE_SECONDS", 0.05)
    [(before,)] = every_mysql.execute("SELECT @@GLOBAL.binlog_expire_logs_seconds")
    every_mysql.execute(f"SET GLOBAL binlog_expire_logs_seconds = {LIMIT}")
    yield every_mysql
    every_mysql.execute(f"SET GLOBAL binlog_expire_logs_seconds = {before}")


async def until(follower: Follower, holds: Callable[[Retention], bool]) -> Retention:
    """What is told as soon as it `holds`."""
    async with asyncio.timeout(20):
        while True:
            found = await follower.source.retention()
            assert found is not None
            if holds(found):
                return found
            await asyncio.sleep(0.05)


async def purge(server: MySql) -> None:
    """Remove all files but the newest: none that a reader is in, and in MariaDB none that a crash would still
    need, which takes a moment."""
    async with asyncio.timeout(20):
        while len(files := server.execute("SHOW BINARY LOGS")) > 1:
            server.execute(f"PURGE BINARY LOGS TO '{files[-1][0]}'")
            await asyncio.sleep(0.05)


async def test_from_the_file_that_is_written_to_one_that_is_removed(
    limited: MySql, make_database: Callable[[MySql], str]
) -> None:
    """The age of a file is looked up while the pipeline's own reader goes on."""
    database = make_database(limited)
    limited.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    async with Follower(limited, database) as follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        delivered = (await follower.until())[-1].end
        await follower.source.acknowledge(delivered)
        fresh = await until(follower, lambda found: found.kept == 0)
        assert (fresh.level, fresh.seconds, fresh.free) == ("ok", None, None)

        follower.sql("INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (3)")
        assert len(await follower.told()) == 2
        aging = await until(follower, lambda found: found.seconds is not None)
        assert aging.level == "ok"
        assert aging.kept > 500
        assert LIMIT - 60 < (aging.seconds or 0) <= LIMIT
        follower.sql("INSERT INTO t VALUES (4)")
        assert len(await follower.told()) == 1

        await purge(limited)
        lost = await until(follower, lambda found: found.level != "ok")
        assert (lost.level, lost.free, lost.seconds) == ("lost", 0, None)
        assert "TR-MY-330" in lost.remedy

        follower.sql("INSERT INTO t VALUES (5)")
        await follower.source.acknowledge((await follower.until())[-1].end)
        assert (await until(follower, lambda found: found.kept == 0)).level == "ok"


async def test_a_limit_of_all_files_together(limited: MySql, make_database: Callable[[MySql], str]) -> None:
    """Of MariaDB, from 11.4 on."""
    if not limited.execute("SHOW GLOBAL VARIABLES LIKE 'max_binlog_total_size'"):
        return
    limited.execute(f"SET GLOBAL max_binlog_total_size = {SIZE}")
    try:
        database = make_database(limited)
        limited.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
        async with Follower(limited, database) as follower:
            begin = await follower.start()
            await follower.source.acknowledge(begin)
            follower.sql("INSERT INTO t VALUES (1)", "FLUSH BINARY LOGS", "INSERT INTO t VALUES (2)")
            assert len(await follower.told()) == 2
            found = await until(follower, lambda found: found.free is not None)
            assert found.level == "ok"
            assert SIZE // 2 < (found.free or 0) < SIZE - found.kept
    finally:
        limited.execute("SET GLOBAL max_binlog_total_size = 0")


async def test_a_file_that_is_read_to_its_end_is_not_missed(
    limited: MySql, make_database: Callable[[MySql], str]
) -> None:
    database = make_database(limited)
    limited.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    async with Follower(limited, database) as follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        await follower.source.acknowledge((await follower.until())[-1].end)
        await until(follower, lambda found: found.kept == 0)
        follower.sql("FLUSH BINARY LOGS")
        [*_, (newest, *_)] = limited.execute("SHOW BINARY LOGS")
        moved = await until(follower, lambda found: newest in found.found)
        assert (moved.level, moved.seconds) == ("ok", None)
        await purge(limited)
        gone = await until(follower, lambda _: len(follower.source._extent.files) == 1)
        assert (gone.level, gone.seconds) == ("ok", None)


async def test_no_figure_of_another_server(limited: MySql, make_database: Callable[[MySql], str]) -> None:
    """A place is one of the server that it was read from: behind a failover none is told until something of
    the new one was delivered."""
    database = make_database(limited)
    limited.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    async with Follower(limited, database) as follower:
        begin = await follower.start()
        await follower.source.acknowledge({**begin, "proof": "binlog.000001:4 of another"})
        assert await follower.source.retention() is None


def test_a_pipeline_shows_it(
    mysql: MySql,
    make_database: Callable[[MySql], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database(mysql)
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    source = {"type": "mysql", "url": mysql.url(), "tables": [f"{database}.*"]}
    pipeline = Pipeline(tmp_path, database, source, [{"type": "log", "path": "log.db"}])
    with tempfile.TemporaryDirectory() as folder:  # pytest's own has too long a path for a socket
        monkeypatch.setenv("XDG_RUNTIME_DIR", folder)
        with pipeline.start() as process:

            def shown() -> dict[str, Any]:
                assert process.running, process.stderr
                said = tailrace("status", pipeline.file, "--json")
                return dict(json.loads(said.out)["source"]["retention"] or {}) if not said.code else {}

            wait_until(lambda: shown().get("level") == "ok", "a look", 30)
            assert "binlog." in shown()["found"]
            assert "acknowledged position" in tailrace("status", pipeline.file).out
