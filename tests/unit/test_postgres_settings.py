"""The declaration of a PostgreSQL source: what it takes, what it refuses, what it never shows."""

from typing import Any

import pytest
from pydantic import ValidationError

from connectors.postgres.config import PostgresSettings
from tailrace.clients.postgres.address import Address

_URL = "postgresql://app@db.example:6432/shop"


def _settings(**given: Any) -> PostgresSettings:
    return PostgresSettings(**{"url": _URL, "tables": ["public.*"], "snapshot": "never", **given})


def _refusal(**given: Any) -> str:
    with pytest.raises(ValidationError) as refused:
        _settings(**given)
    return "; ".join(error["msg"] for error in refused.value.errors(include_input=False))


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"url": "mysql://app@db/shop"}, "postgresql://user@host:5432/database"),
        ({"url": "postgresql://app@db/shop?no_such=1"}, "libpq cannot read the URL"),
        ({"url": f"{_URL}?sslmode=verify_full"}, "sslmode in it is one of disable, allow"),
        ({"url": f"{_URL}?sslnegotiation=tls"}, "sslnegotiation in it is one of postgres, direct"),
        ({"url": f"{_URL}?target_session_attrs=rw"}, "target_session_attrs in it is one of any, read-write"),
        ({"password": {"file": "secrets/password"}}, "begins with / or ~"),
        ({"password": {"path": "/run/secrets/password"}}, "Field required"),
        ({"url": f"{_URL}?replication=true"}, "replication is set by the source"),
        ({"url": "postgresql://app:one@db/shop", "password": "two"}, "inside the URL and beside it"),
        ({"tables": []}, "at least 1"),
        ({"tables": ["orders"]}, "'orders' is not schema.table"),
        ({"exclude": ["a.b.c"]}, "double quotes"),
        ({"snapshot": "initial"}, "snapshot: initial is not available in this version"),
        ({"snapshot": "schema_only"}, "snapshot: schema_only is not available in this version"),
        ({"snapshot": "nonsense"}, "Input should be 'never'"),
        ({"streaming": "parallel"}, "streaming: parallel is not available in this version"),
        ({"streaming": "maybe"}, "Input should be 'off' or 'on'"),
        ({"transaction_topic": "{topic}"}, "fields are {pipeline}"),
        ({"columns": {"t": ["id"]}}, "'t' is not schema.table"),
        ({"columns": {"public.t": []}}, "at least 1 item"),
        ({"columns": {"public.t": [""]}}, "no name and no pattern"),
        ({"where": {"public": "id > 0"}}, "'public' is not schema.table"),
        ({"where": {"public.t": " \n"}}, "at least 1 character"),
        ({"keyless": "inserts"}, "Input should be 'refuse' or 'inserts_only'"),
        ({"partitions": "both"}, "Input should be 'root' or 'leaves'"),
        ({"slot": {"starts_at": "0/1"}}, "create: false"),
        ({"slot": {"create": False, "starts_at": "soon"}}, "a log position looks like 0/16B3748"),
        ({"slot": {"create": False, "failover": True}}, "failover is up to whoever makes the slot"),
        ({"slot": {"name": "Mine"}}, "pattern"),
        ({"status_interval": 0}, "greater than or equal"),
        ({"slots": "mine"}, "Extra inputs are not permitted"),
        ({"slot": "mine"}, "valid dictionary"),
        ({"slot": {"failover": "perhaps"}}, "valid boolean"),
        ({"slot": {"fail_over": True}}, "Extra inputs are not permitted"),
    ],
)
def test_refused(given: dict[str, Any], told: str) -> None:
    assert told in _refusal(**given)


def test_snapshot_must_be_written() -> None:
    with pytest.raises(ValidationError, match="snapshot"):
        PostgresSettings(url=_URL, tables=("a.b",))  # type: ignore[call-arg]  # what is tested


def test_every_key_is_described() -> None:
    for name, field in PostgresSettings.model_fields.items():
        assert field.description, name
        assert field.description.endswith("."), name


@pytest.mark.parametrize(
    "given",
    [
        {"password": "geheim"},
        {"url": "postgresql://app:geheim@db/shop"},
        {"url": "postgresql://db/shop?password=geheim"},
    ],
)
def test_a_password_is_never_shown(given: dict[str, Any]) -> None:
    settings = _settings(**given)
    assert settings.address.password == "geheim"
    assert "geheim" not in f"{settings!r} {settings} {settings.address!r} {settings.address}"


@pytest.mark.parametrize(
    "given",
    [
        {"url": "postgresql://app:geheim wort@db/shop"},
        {"url": "postgresql://app:geheim%zz@db/shop"},
        {"url": "app:geheim@db"},
        {"url": "postgresql://app:geheim@db/shop", "password": "geheim"},
        {"url": "postgresql://app:geheim@db/shop", "tables": ["x"]},
    ],
)
def test_a_password_is_not_shown_by_an_error(given: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as refused:
        _settings(**given)
    assert "geheim" not in str(refused.value)


def test_an_address_says_where_it_is() -> None:
    assert str(Address.parse(_URL)) == "db.example:6432/shop"
    assert str(Address.parse("postgresql://app@db")) == "db:5432/app"
    assert str(Address.parse("postgresql://app@a,b:6/x")) == "a:5432,b:6/x"
    assert str(Address.parse("postgresql:///x?host=/run/pg")) == "/run/pg:5432/x"


def test_the_connection_string_keeps_what_the_url_says() -> None:
    address = Address.parse("postgresql://app@db/shop?options=-c%20TimeZone%3DCET&connect_timeout=3")
    conninfo = address.conninfo("tailrace x", replication=True)
    assert "options='-c TimeZone=CET -c statement_timeout=0'" in conninfo
    assert "connect_timeout=3" in conninfo
    assert "replication=database" in conninfo
    assert "application_name='tailrace x'" in conninfo


@pytest.mark.parametrize(
    ("url", "servers"),
    [
        ("postgresql://db/shop", ["db:5432/shop"]),
        ("postgresql://a,b/shop?target_session_attrs=primary", ["a:5432/shop", "b:5432/shop"]),
        ("postgresql://a:1,b:2/shop", ["a:1/shop", "b:2/shop"]),
        ("postgresql://a:6432,b:6432/shop", ["a:6432/shop", "b:6432/shop"]),
        ("postgresql:///shop?host=a,b&port=7", ["a:7/shop", "b:7/shop"]),
        ("postgresql:///shop", ["localhost:5432/shop"]),
    ],
)
def test_each_server_of_a_url(url: str, servers: list[str]) -> None:
    each = Address.parse(url, "geheim").each()
    assert [str(address) for address in each] == servers
    assert {address.password for address in each} == {"geheim"}
    assert not any("target_session_attrs" in address.parameters for address in each)
