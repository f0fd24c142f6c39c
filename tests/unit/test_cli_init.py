"""`tailrace init` where no server is needed: URLs, names, and a text that is valid whatever stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.postgres.discovery import _settings
from connectors.postgres.tables import Pattern
from tailrace.abc import Finding
from tailrace.cli.main import main
from tailrace.cli.starting_file import pipeline_name, render
from tailrace.clients.postgres.address import Address
from tailrace.config import loads
from tailrace.errors import NotReady, code
from tailrace.hooks import DiscoveredTable, Discovery
from tailrace.patterns import exactly

FAULT = code("TR-TEST-050", "a fault", "A fault that a test made up.")
# What PostgreSQL takes as a name: anything but a NUL.
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=12)


def refusal(*words: str) -> str:
    result = CliRunner().invoke(main, ["init", *words])
    assert result.exit_code == 2 or "TR-CLI-041" in result.stderr
    assert result.stdout == ""
    return result.stderr


def test_a_url_that_no_source_knows(tmp_path: Path) -> None:
    assert "TR-CLI-040" in refusal("oracle://db")
    assert "postgresql://" in refusal("shop")
    assert "TR-PG-230" in refusal("postgresql://a%zz@b/c")
    assert "TR-PG-230" in refusal("postgresql://a@b/c?replication=database")


def test_no_file_is_replaced(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("mine")
    assert "TR-CLI-041" in refusal("postgresql://a@127.0.0.1:1/b", "-o", str(file))
    assert file.read_text() == "mine"


@settings(max_examples=60)
@given(schema=NAMES, table=NAMES, facts=NAMES)
def test_every_name_makes_a_valid_file_that_means_it(schema: str, table: str, facts: str) -> None:
    error = NotReady(FAULT, facts, table)
    discovery = Discovery(
        server=facts,
        name=schema,
        settings={"url": "postgresql://app@127.0.0.1:5432/shop", "snapshot": "never"},
        tables=[
            DiscoveredTable(exactly(schema, table), facts),
            DiscoveredTable(exactly(table, schema), facts, error),
        ],
        others=[facts],
    )
    text = render("postgres", pipeline_name(schema), discovery, facts, [Finding(table, facts, error)])
    config = loads(text, "shop.yaml", {})
    (written,) = config.source.settings.tables  # type: ignore[attr-defined]  # of PostgreSQL's settings
    assert Pattern.parse(written).literal == (schema, table)


def test_the_events_of_a_starting_file_are_for_people() -> None:
    """By Debezium's default a decimal is the Base64 of its digits, which nobody can read in a log."""
    discovery = Discovery(
        server="",
        name="shop",
        settings={"url": "postgresql://app@127.0.0.1:5432/shop", "snapshot": "never"},
        tables=[DiscoveredTable(exactly("public", "orders"), "")],
        others=[],
    )
    (sink,) = loads(render("postgres", "shop", discovery, "shop.yaml", []), "shop.yaml", {}).sinks
    assert (sink.block.type, sink.format.type) == ("log", "plain")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app@127.0.0.1:5432/shop",
        "postgres://app:geh%2Feim@[::1]:5432/shop?sslmode=verify-full&sslrootcert=/etc/ssl/a%20b.pem",
        "postgresql://one:5432,two:5433/shop?target_session_attrs=primary",
        "postgresql://one,two:5433/shop",
        "postgresql:///shop?host=/var/run/postgresql&user=b%40c",
        "postgresql://a@/db%20%24%7BHOME%7D?password=geheim",
        "postgresql://",
    ],
)
def test_a_url_keeps_its_meaning_and_loses_its_password(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PGPASSWORD", raising=False)
    address = Address.parse(url)
    made, variables = _settings(address)
    assert Address.parse(made["url"].replace("$${", "${")).parameters == address.parameters
    assert variables == ({} if address.password is None else {"PGPASSWORD": address.password})
    assert "geheim" not in str(made)


def test_other_secrets_leave_the_url_too() -> None:
    made, variables = _settings(Address.parse("postgresql://a@b/c?sslmode=require&sslpassword=x%26y"))
    assert made["url"] == "postgresql://a@b/c?sslmode=require&sslpassword=${PGSSLPASSWORD}"
    filled = made["url"].replace("${PGSSLPASSWORD}", variables["PGSSLPASSWORD"])
    assert Address.parse(filled).parameters["sslpassword"] == "x&y"


@pytest.mark.parametrize(
    ("database", "name"), [("Shop-2", "shop_2"), ("1st", "db_1st"), ("Größe", "gr_e"), ("…", "pipeline")]
)
def test_the_pipeline_is_called_like_the_database(database: str, name: str) -> None:
    assert pipeline_name(database) == name
