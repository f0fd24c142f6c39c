"""The MySQL and MariaDB servers do what the other tests lean on."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pymysql
import pytest

from tests.servers import MySql, MySqlServer, ServerError
from tests.servers.mysql_releases import RELEASES


def test_rows_are_in_the_log_with_their_names(every_mysql: MySql, every_mysql_database: str) -> None:
    every_mysql.execute("CREATE TABLE t (id int PRIMARY KEY, name text)", database=every_mysql_database)
    before = every_mysql.gtids()
    every_mysql.execute("INSERT INTO t VALUES (1, 'ünï')", database=every_mysql_database)
    assert every_mysql.gtids() != before
    status = {"mysql": "BINARY LOG", "mariadb": "MASTER"}[every_mysql.flavor]
    [(file, *_)] = every_mysql.execute(f"SHOW {status} STATUS")
    kinds = [row[2] for row in every_mysql.execute(f"SHOW BINLOG EVENTS IN '{file}'")][-4:]
    assert [kind.removesuffix("_v1") for kind in kinds[-3:]] == ["Table_map", "Write_rows", "Xid"]
    assert every_mysql.execute("SELECT @@binlog_format, @@binlog_row_metadata, @@time_zone") == [
        ("ROW", "FULL", "+00:00")
    ]


def test_only_root_enters_without_a_password(every_mysql: MySql, every_mysql_database: str) -> None:
    user = every_mysql_database
    every_mysql.execute(f"CREATE USER {user}@'%' IDENTIFIED BY 'right'")
    try:
        every_mysql.connect(user=user, password="right").close()
        for password in ("wrong", ""):
            with pytest.raises(pymysql.OperationalError, match="Access denied"):
                every_mysql.connect(user=user, password=password)
    finally:
        every_mysql.execute(f"DROP USER {user}@'%'")
    every_mysql.connect().close()


def test_database_is_dropped_from_under_its_users(every_mysql: MySql) -> None:
    name = every_mysql.create_database()
    every_mysql.execute("CREATE TABLE t (i int)", database=name)
    with every_mysql.connect(name, autocommit=False) as user:
        user.cursor().execute("SELECT * FROM t")  # holds the table's metadata until it is killed
        every_mysql.drop_database(name)
        with pytest.raises(pymysql.OperationalError):
            user.cursor().execute("SELECT 1")
    assert not every_mysql.execute("SHOW DATABASES LIKE %s", (name,))


@pytest.mark.parametrize("release", RELEASES)
def test_what_was_committed_is_kept_when_it_is_killed(
    make_mysql: Callable[..., MySqlServer], release: str
) -> None:
    server = make_mysql(release, {"binlog_row_metadata": "MINIMAL"})
    assert server.version.startswith(RELEASES[release].version)
    assert server.execute("SELECT @@GLOBAL.binlog_row_metadata") == [("MINIMAL",)]
    server.script("CREATE DATABASE d;\nCREATE TABLE d.t (i int PRIMARY KEY)")
    busy = server.connect()
    cut_off: list[bool] = []

    def sleep() -> None:
        with pytest.raises(pymysql.OperationalError):
            busy.cursor().execute("SELECT sleep(60)")
        cut_off.append(True)

    long = threading.Thread(target=sleep)
    long.start()
    server.execute("INSERT INTO d.t VALUES (1)")
    gtids = server.gtids()
    server.kill()
    long.join()
    assert cut_off
    assert not server.process.running
    with pytest.raises(pymysql.OperationalError):
        server.connect()
    server.settings["binlog_row_metadata"] = "FULL"
    server.start()
    assert server.gtids() == gtids
    assert server.execute("SELECT i, @@GLOBAL.binlog_row_metadata FROM d.t") == [(1, "FULL")]
    server.stop()
    assert not server.process.running
    assert "hutdown complete" in server.process.tail()  # in another case with each of the two


@pytest.mark.parametrize("release", RELEASES)
def test_a_replica_follows_and_takes_over(make_mysql: Callable[..., MySqlServer], release: str) -> None:
    primary, replica = make_mysql(release), make_mysql(release)
    if primary.flavor == "mysql":
        assert primary.execute("SELECT @@server_uuid") != replica.execute("SELECT @@server_uuid")
    replica.follow(primary)
    primary.script("CREATE DATABASE d;\nCREATE TABLE d.t (i int PRIMARY KEY);\nINSERT INTO d.t VALUES (1)")
    replica.wait_for(primary.gtids())
    assert replica.gtids() == primary.gtids()
    primary.kill()
    replica.promote()
    replica.execute("INSERT INTO d.t VALUES (2)")
    assert replica.execute("SELECT i FROM d.t") == [(1,), (2,)]


def test_a_server_that_cannot_start_says_why(make_mysql: Callable[..., MySqlServer]) -> None:
    with pytest.raises(ServerError, match="no_such_setting"):
        make_mysql("mariadb10", {"no_such_setting": 1})
