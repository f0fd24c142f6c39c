"""What is fixed for a session stands, whatever else has an opinion."""

import pytest
from psycopg.sql import SQL, Literal

from connectors.postgres.catalogue import REPLICATION_SETTINGS, SESSION_SETTINGS
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import connected, rows
from tests.servers import Postgres


@pytest.mark.parametrize("replication", [False, True])
async def test_the_sessions_settings_win_over_url_database_and_environment(
    postgres: Postgres, postgres_database: str, replication: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    postgres.execute(
        f"ALTER DATABASE {postgres_database} SET search_path = 'public';"
        f"ALTER DATABASE {postgres_database} SET bytea_output = 'escape';"
        f"ALTER DATABASE {postgres_database} SET statement_timeout = '1ms'"
    )
    monkeypatch.setenv("PGTZ", "CET")
    monkeypatch.setenv("PGDATESTYLE", "German")
    address = Address.parse(
        postgres.url(postgres_database) + "?options=-c%20IntervalStyle%3Diso_8601%20-c%20TimeZone%3DJapan"
    )
    settings = REPLICATION_SETTINGS if replication else SESSION_SETTINGS
    async with connected(address, "tailrace", settings=settings, replication=replication) as connection:
        for name, value in {**settings, "statement_timeout": "0"}.items():
            shown = SQL("SELECT current_setting({}, true)").format(Literal(name))
            [(found,)] = await rows(connection, address, shown)
            if found is None:  # a server that is too old for it
                assert name == "transaction_timeout"
                assert postgres.major < 17
            else:
                assert found == value, name
