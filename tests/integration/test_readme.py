"""What README.md says, done word for word."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.commandline import tailrace
from tests.pipelines import PipelineProcess
from tests.servers import MySql, Postgres
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def _commands(program: str) -> list[list[str]]:
    """Every command of a program in the blocks for a terminal, as words."""
    lines = [line for block in _blocks("console") for line in block.splitlines()]
    return [shlex.split(line)[2:] for line in lines if line.startswith(f"$ {program} ")]


def test_the_two_commands_are_targets_of_make() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    wanted = [*_commands("make"), *(shlex.split(words) for words in re.findall(r"`make ([^`]*)`", README))]
    assert ["demo"] in wanted
    assert {words[0] for words in wanted} <= {*targets}


def test_every_link_leads_somewhere() -> None:
    for link in re.findall(r"\]\(([^)#]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_command_is_one_of_tailrace() -> None:
    for words in re.findall(r"`tailrace ([^`]*)`", README):
        command = [word for word in shlex.split(words) if word.islower() and not word.startswith("-")]
        said = tailrace(*command, "--help")
        assert said.code == 0, said.err
        assert all(option in said.out for option in re.findall(r"--[a-z-]+", words)), words


def test_the_first_pipeline(
    postgres18: Postgres,
    make_database: Callable[[Postgres], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """With another database, role and port, and with the folder that the commands are typed in."""
    database = make_database(postgres18)
    role, owner = f"app_{database}", f"owner_{database}"
    postgres18.execute(f"CREATE ROLE {owner}")
    try:
        postgres18.execute(
            f"GRANT CREATE ON SCHEMA public TO {owner}; SET ROLE {owner};"
            "CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2))",
            database=database,
        )
        statements, _ = _blocks("sql")
        for statement in statements.replace("'…'", "'geheim'").splitlines():
            said = re.sub(r"\bapp\b", role, statement.partition("  --")[0])
            said = said.replace("DATABASE shop", f"DATABASE {database}").replace("owner_of_the_tables", owner)
            if "ALTER SYSTEM" not in said:  # so it is already
                postgres18.execute(said, database=database)
        text, _ = _blocks("yaml")
        url = postgres18.url(database, role)
        (tmp_path / "shop.yaml").write_text(text.replace("postgresql://app@127.0.0.1:5432/shop", url))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("PGPASSWORD", "geheim")
        _type_the_commands(postgres18, database, tmp_path, "public")
    finally:
        postgres18.execute(f"DROP OWNED BY {role}, {owner}", database=database)
        postgres18.execute(f"DROP OWNED BY {role}, {owner}; DROP ROLE {role}, {owner}")


def test_the_same_of_mysql_and_mariadb(
    every_mysql: MySql,
    make_database: Callable[[MySql], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The account of the page, and its file with the other source."""
    database = make_database(every_mysql)
    every_mysql.execute("CREATE TABLE orders (id int PRIMARY KEY, total decimal(10,2))", database=database)
    account = f"app_{database.rpartition('_')[2]}"
    _, statements = _blocks("sql")
    try:
        for statement in statements.replace("'…'", "'geheim'").splitlines():
            if "SET PERSIST" not in statement:  # so it is already
                said = re.sub(r"\bapp\b", account, statement).replace("shop.", f"{database}.")
                every_mysql.execute(said)
        whole, source = _blocks("yaml")
        text = re.sub(r"^source:\n(?:  .*\n)+", lambda _: source, whole, flags=re.MULTILINE)
        text = text.replace("mysql://app@127.0.0.1:3306/", every_mysql.url(user=account))
        text = text.replace("type: mysql", f"type: {every_mysql.flavor}")
        (tmp_path / "shop.yaml").write_text(text.replace("[shop.*]", f"[{database}.*]"))
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("MYSQL_PWD", "geheim")
        _type_the_commands(every_mysql, database, tmp_path, database)
    finally:
        every_mysql.execute(f"DROP USER {account}")


def _type_the_commands(server: Postgres | MySql, database: str, folder: Path, schema: str) -> None:
    """With the schema that a table of the server is in."""
    validate, doctor, run, topics, read = _commands("tailrace")
    assert read[2] == "shop.public.orders"
    topic = read[2] = f"shop.{schema}.orders"
    for words in (validate, doctor):
        said = tailrace(*words)
        assert said.code == 0, said.out + said.err
    running = PipelineProcess(
        [sys.executable, "-m", "tailrace", *run],
        output=folder / "out",
        errors=folder / "errors",
        failpoints="",
    )
    with running:
        wait_until(lambda: "pipeline streaming" in running.stderr, "the pipeline to stream")
        server.execute("INSERT INTO orders VALUES (1, 12.50)", database=database)
        wait_until(lambda: topic in tailrace(*topics).out, "the row to arrive")
        assert read[-1] == "--follow"
        assert "id=1" in tailrace(*read[:-1]).out
