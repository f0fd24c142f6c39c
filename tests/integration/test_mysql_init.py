"""`tailrace init` on MySQL and MariaDB: a file that is right, and names what can be captured."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import yaml

from tests.servers import MySql


def init(*words: str | Path, password: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailrace", "init", *words],
        env={**os.environ, "MYSQL_PWD": password, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_a_file_to_start_with(every_mysql: MySql, every_mysql_database: str, tmp_path: Path) -> None:
    database = every_mysql_database
    for statement in (
        "CREATE TABLE orders (id int, line int, PRIMARY KEY (line, id))",
        "CREATE TABLE `odd.name` (id int PRIMARY KEY)",
        "CREATE TABLE loose (id int)",
        "CREATE VIEW seen AS SELECT * FROM orders",
    ):
        every_mysql.execute(statement, database=database)
    url = every_mysql.url(database).replace("mysql://", f"{every_mysql.flavor}://")
    file = tmp_path / "made.yaml"
    done = init(url, "-o", file)
    assert done.returncode == 0, done.stderr
    assert "2 tables can be captured, 1 cannot as it is" in done.stderr
    text = file.read_text()
    assert "key line, id" in text
    assert f"{database}.loose has no primary key" in text
    assert f"{database}.seen: a view" in text
    source = yaml.safe_load(text)["source"]
    assert source == {
        "type": every_mysql.flavor,
        "url": url,
        "snapshot": "never",
        "tables": [f'{database}."odd.name"', f"{database}.orders"],
    }


def test_the_password_is_taken_from_the_environment(mysql: MySql, mysql_database: str) -> None:
    """It must not be typed where everybody on the machine can read it, and does not stand in the file."""
    user = f"{mysql_database}@'127.0.0.1'"
    mysql.execute(f"CREATE USER {user} IDENTIFIED BY 'geheim'")
    try:
        mysql.execute(f"GRANT SELECT ON {mysql_database}.* TO {user}")
        url = mysql.url(mysql_database, user=mysql_database)
        done = init(url, password="geheim")
        refused = init(url, password="falsch")
    finally:
        mysql.execute(f"DROP USER {user}")
    assert done.returncode == 0, done.stderr
    assert yaml.safe_load(done.stdout)["source"]["password"] == "${MYSQL_PWD}"
    assert "geheim" not in done.stdout + done.stderr
    assert "TR-MY-010" in refused.stderr


def test_a_url_for_the_other_kind_of_server(every_mysql: MySql) -> None:
    other = {"mysql": "mariadb", "mariadb": "mysql"}[every_mysql.flavor]
    done = init(every_mysql.url().replace("mysql://", f"{other}://"))
    assert done.returncode == 1
    assert "TR-MY-402" in done.stderr
    assert f"{every_mysql.flavor}://" in done.stderr


def test_a_url_that_cannot_be_read() -> None:
    done = init("mysql://app@h/shop?ssl=1")
    assert done.returncode == 2
    assert "TR-MY-410" in done.stderr
