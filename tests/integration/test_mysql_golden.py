"""The format `debezium` writes of MySQL and MariaDB what Debezium wrote of the same statements, but where it
is meant to differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tailrace.events import Change, Position
from tests.golden.binlog import corpus
from tests.golden.binlog.differences import differences
from tests.golden.binlog.files import FILES, whole
from tests.integration.mysql_following import Follower, changes
from tests.integration.test_golden import check, record
from tests.servers import MySql


async def test_records_differ_from_debezium_s_where_they_are_meant_to(
    every_mysql: MySql, every_mysql_database: str
) -> None:
    database = every_mysql_database
    release = f"{every_mysql.flavor}{every_mysql.version.partition('.')[0]}"
    origin = await written(every_mysql, release, database)
    for name, of in FILES.items():
        if of.release == release:
            events = await logged(every_mysql, database, origin, **of.options.source)
            check(whole(name), record(events, database, of.options.format), differences(name), name)


async def written(server: MySql, release: str, database: str) -> Position:
    """Where the changes of the corpus begin."""
    corpus.prepare(server, release, database)
    async with Follower(server, database) as follower:
        origin = await follower.start()
    corpus.execute(server, release, database)
    return origin


async def logged(server: MySql, database: str, origin: Position, **settings: Any) -> Sequence[Change]:
    """The changes behind a position, as the source tells them under some settings."""
    async with Follower(server, database, **settings) as follower:
        await follower.resume(origin)
        return changes(await follower.until())
