"""What docs/postgres.md says, done word for word, with the rights that it gives and no others."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.integration.commandline import Pipeline, tailrace
from tests.servers import PostgresServer
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "postgres.md").read_text()

_TABLES = """
    CREATE TABLE orders (id int PRIMARY KEY, total numeric(10,2));
    CREATE TABLE customers (id int PRIMARY KEY, name text);
    CREATE TABLE carts (id int);
    CREATE TABLE visits (id int NOT NULL);
    CREATE UNIQUE INDEX visits_key ON visits (id)
    """


def _blocks(language: str, section: str | None = None) -> list[str]:
    text = PAGE
    if section is not None:
        text = PAGE.partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def _statements(block: str) -> list[str]:
    return [statement for statement in block.split(";") if statement.strip()]


@pytest.fixture
def server(make_postgres: Callable[..., PostgresServer]) -> PostgresServer:
    """With a database that nobody has prepared."""
    server = make_postgres(18, {"wal_level": "replica"})
    server.settings.pop("wal_level")  # ALTER SYSTEM has it from here on
    server.execute("CREATE ROLE shop_owner")
    server.execute("CREATE DATABASE shop OWNER shop_owner")
    server.execute(f"SET ROLE shop_owner; {_TABLES}", database="shop")
    return server


def _do(server: PostgresServer, section: str, *numbers: int) -> None:
    """The blocks of a section, each statement by itself."""
    blocks = _blocks("sql", section)
    for block in [blocks[number] for number in numbers] if numbers else blocks:
        for statement in _statements(block):
            server.execute(statement, database="shop")


@pytest.mark.parametrize("publications", ["of the owner", "of the role"])
def test_from_scratch(server: PostgresServer, publications: str, tmp_path: Path) -> None:
    _do(server, "The server")
    server.restart()
    _do(server, "The role")
    (line,) = _blocks("text", "The role")
    hba = server.data / "pg_hba.conf"
    own = line.replace("hostssl", "host").replace("10.0.0.0/8", "127.0.0.1/32")
    hba.write_text(f"host all postgres 127.0.0.1/32 trust\n{own}")
    server.execute("SELECT pg_reload_conf()")
    _do(server, "The publications", 0 if publications == "of the owner" else 1)
    _do(server, "Replica identity")

    pipeline = Pipeline(tmp_path, server, "shop")
    (text,) = _blocks("yaml", "The file")
    pipeline.source = yaml.safe_load(text)["source"]
    pipeline.source["url"] = server.url("shop", "tailrace")
    (pipeline.source["password"],) = re.findall(r"PASSWORD '([^']*)'", PAGE)
    if publications == "of the role":
        pipeline.source["tables"] += ["public.carts", "public.visits"]
    assert pipeline.faults() == {}
    with pipeline.running() as process:
        server.execute("INSERT INTO orders VALUES (1, 12.50); UPDATE orders SET total = 13", database="shop")
        wait_until(lambda: [op for op, _ in pipeline.read(table="public.orders")] == ["c", "u"], "both")
        pipeline.stop(process)
    _do(server, "Watching")
    [(slot, *_)] = server.execute(_blocks("sql", "Watching")[0])
    assert slot == "tailrace_shop"


def test_the_statements_for_a_failover(server: PostgresServer) -> None:
    _do(server, "The server")
    server.restart()
    _do(server, "Failover")
    server.execute(
        "SELECT pg_create_logical_replication_slot('tailrace_shop', 'pgoutput', false, false, true)",
        database="shop",
    )
    assert server.execute(_statements(_blocks("sql", "Failover")[-1])[0]) == [("tailrace_shop", False)]


def test_every_statement_is_in_a_section_that_is_done() -> None:
    done = ("The server", "The role", "The publications", "Replica identity", "Failover", "Watching")
    assert sorted(_blocks("sql")) == sorted(block for name in done for block in _blocks("sql", name))


@pytest.mark.parametrize("number", range(len(_blocks("yaml"))))
def test_every_file_is_valid(number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "geheim")
    text = _blocks("yaml")[number]
    if not text.startswith("name:"):
        text = f"name: shop\n{text}sinks: [{{type: log, path: log.db}}]\n"
    file = tmp_path / "shop.yaml"
    file.write_text(text)
    said = tailrace("validate", file)
    assert said.code == 0, said.err


def test_every_code_is_in_the_table() -> None:
    codes = re.findall(r"^\| (TR-PG-\d{3}) ", (ROOT / "docs" / "errors.md").read_text(), re.MULTILINE)
    table = PAGE.partition("## What an error code asks you to do")[2]
    told = re.findall(r"TR-PG-\d{3}", table)
    assert sorted(told) == codes


def test_every_link_leads_somewhere() -> None:
    titles = re.findall(r"^## (.*)$", PAGE, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
    for link in re.findall(r"\]\(([^)]+)\)", PAGE):
        page, _, anchor = link.partition("#")
        assert not page or (ROOT / "docs" / page).exists(), link
        assert not anchor or anchor in anchors, link
