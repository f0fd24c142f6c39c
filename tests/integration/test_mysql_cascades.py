"""Which rows that a foreign key changes are in the log, as docs/mysql.md says."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from connectors.mysql.checks import SETTING
from tests.integration.mysql_following import Follower
from tests.servers import MySql, MySqlServer

PAGE = (Path(__file__).parents[2] / "docs" / "mysql.md").read_text()
TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, code int UNIQUE);
CREATE TABLE items (
    id int PRIMARY KEY, order_id int, code int,
    FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE ON UPDATE CASCADE,
    FOREIGN KEY (code) REFERENCES orders (code) ON DELETE SET NULL ON UPDATE SET NULL
);
INSERT INTO orders VALUES (1, 1), (2, 2), (3, 3);
INSERT INTO items VALUES (10, 1, 3), (20, 2, 3), (30, 2, NULL)
"""
DELETED = [("Delete_rows", "items"), ("Delete_rows", "orders")]
UPDATED = [("Update_rows", "items"), ("Update_rows", "orders")]


def block(beginning: str) -> str:
    """The block of the page that begins so."""
    [found] = re.findall(rf"^```sql\n({beginning} .*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def logged(server: MySql, statement: str, database: str) -> list[tuple[str, str]]:
    """The kinds and tables of the row events that a statement leaves in the log, by name."""
    status = {"mysql": "BINARY LOG", "mariadb": "MASTER"}[server.flavor]
    [(file, begin, *_)] = server.execute(f"SHOW {status} STATUS")
    server.execute(statement, database=database)
    tables: dict[str, str] = {}
    found = []
    for row in server.execute(f"SHOW BINLOG EVENTS IN '{file}' FROM {begin}"):
        kind, text = row[2].removesuffix("_v1"), row[5]
        if kind == "Table_map":
            [(number, table)] = re.findall(r"table_id: (\d+) \(\w+\.(\w+)\)", text)
            tables[number] = table
        elif kind.endswith("_rows") and kind != "Annotate_rows":
            found.append((kind, tables[text.split()[1]]))
    return sorted(found)


def changed_by_keys(server: MySql, database: str) -> list[list[tuple[str, str]]]:
    """What is in the log of a delete, an update and a row that loses its reference."""
    server.script(TABLES, database=database)
    statements = (
        "DELETE FROM orders WHERE id = 1", "UPDATE orders SET id = 22 WHERE id = 2",
        "UPDATE orders SET code = 33 WHERE code = 3",
    )  # fmt: skip
    found = [logged(server, statement, database) for statement in statements]
    assert server.execute("SELECT * FROM items ORDER BY id", database=database) == [
        (20, 22, None),
        (30, 22, None),
    ]
    return found


def test_rows_that_a_foreign_key_changes(every_mysql: MySql, every_mysql_database: str) -> None:
    whole = [DELETED, UPDATED, UPDATED]
    only_the_parent = [[("Delete_rows", "orders")], [("Update_rows", "orders")], [("Update_rows", "orders")]]
    expected = whole if every_mysql.flavor == "mysql" else only_the_parent
    assert changed_by_keys(every_mysql, every_mysql_database) == expected


def test_the_tables_that_are_concerned_are_found(every_mysql: MySql, every_mysql_database: str) -> None:
    every_mysql.script(TABLES, database=every_mysql_database)
    every_mysql.script(
        "CREATE TABLE notes (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES orders (id))",
        database=every_mysql_database,
    )
    question = block("SELECT").replace("'shop'", f"'{every_mysql_database}'")
    found = every_mysql.execute(question, database=every_mysql_database)
    assert sorted(found) == [
        ("items", "orders", "CASCADE", "CASCADE"),
        ("items", "orders", "SET NULL", "SET NULL"),
    ]


def test_a_trigger_before_the_delete_is_in_the_log(every_mysql: MySql, every_mysql_database: str) -> None:
    every_mysql.script(TABLES, database=every_mysql_database)
    every_mysql.script(block("CREATE TRIGGER").replace("shop.", ""), database=every_mysql_database)
    assert logged(every_mysql, "DELETE FROM orders WHERE id = 1", every_mysql_database) == DELETED


async def test_what_is_kept_out_of_the_log(make_mysql: Callable[..., MySqlServer]) -> None:
    server = make_mysql("mysql9", {"innodb_native_foreign_keys": "ON", "binlog_ignore_db": "hidden"})
    server.script("CREATE DATABASE shop;\nCREATE DATABASE hidden;\nCREATE TABLE hidden.t (i int PRIMARY KEY)")
    assert changed_by_keys(server, "shop") == [
        [("Delete_rows", "orders")], [("Update_rows", "orders")], [("Update_rows", "orders")],
    ]  # fmt: skip
    assert logged(server, "INSERT INTO t VALUES (1)", "hidden") == []
    async with Follower(server, "shop") as follower:
        warned = {one.title: one.found for one in await follower.source.check() if one.warning}
    assert warned["foreign keys"].rpartition(" in ")[2] == "shop.items"
    assert warned["logged databases"].startswith("binlog_ignore_db = hidden: ")
    server.execute("CREATE TABLE shop.t (i int PRIMARY KEY)")
    prepared = "XA START 'a';\nINSERT INTO shop.t VALUES (1);\nXA END 'a';\nXA PREPARE 'a'"
    async with Follower(server, "shop") as follower:
        await follower.start()
        server.script(prepared, database="shop")
        server.script("XA COMMIT 'a';\nTRUNCATE shop.t", database="hidden")
        assert await follower.told() == []  # as the warning says
        server.execute("TRUNCATE shop.t")
        assert await follower.told() == [("t", "t", None, None)]
    async with Follower(server, "hidden") as follower:
        [error] = [one.error for one in await follower.source.check() if one.error is not None]
    assert error.code is SETTING
    assert "database hidden" in error.found
    server.execute("DROP TABLE hidden.t")  # a database that is named may be without tables yet
    async with Follower(server, "hidden") as follower:
        assert [one.error.code for one in await follower.source.check() if one.error] == [SETTING]


def test_what_a_session_keeps_out_of_the_log(every_mysql: MySql, every_mysql_database: str) -> None:
    every_mysql.script("CREATE TABLE t (i int PRIMARY KEY)", database=every_mysql_database)
    gtids = every_mysql.gtids()
    every_mysql.script("SET sql_log_bin = 0;\nINSERT INTO t VALUES (1)", database=every_mysql_database)
    assert every_mysql.gtids() == gtids
    assert every_mysql.execute("SELECT * FROM t", database=every_mysql_database) == [(1,)]
