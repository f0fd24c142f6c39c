"""Lines on which nothing comes back although what is sent is acknowledged, as behind some firewalls."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest
from psycopg.sql import SQL

from connectors.postgres.catalogue import SESSION_SETTINGS
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import Session
from tailrace.errors import Retry
from tests.integration.commandline import Pipeline
from tests.integration.following import following
from tests.integration.relay import Relay
from tests.servers import Postgres

_ONE = SQL("SELECT 1")


@pytest.fixture
def relay(postgres18: Postgres) -> Iterator[Relay]:
    with Relay(postgres18) as relay:
        yield relay


async def test_a_statement_has_a_deadline(
    relay: Relay, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("tailrace.clients.postgres.connection._ANSWER_SECONDS", 0.5)
    session = Session(Address.parse(relay.url("postgres")), "tailrace", SESSION_SETTINGS)
    try:
        assert await session.query(_ONE) == [(1,)]
        relay.hold_all()
        with pytest.raises(Retry, match=r"no answer has come from the server for 0\.5 s") as lost:
            await asyncio.wait_for(session.query(_ONE), 3)
        assert lost.value.code.id == "TR-PG-004"
        relay.release_all()
        assert await session.query(_ONE) == [(1,)]  # on a new connection
    finally:
        await session.close()
    assert not caplog.records  # of the library's


async def test_a_stop_does_not_wait_for_a_dead_line(relay: Relay, postgres18: Postgres) -> None:
    database = postgres18.create_database()
    postgres18.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    try:
        async with following(postgres18, database, url=relay.url(database), status_interval=0.1) as follower:
            await follower.until()
            relay.hold_all()
            asked = [asyncio.create_task(follower.source.current()), asyncio.create_task(follower.batch())]
            assert (await asyncio.wait(asked, timeout=0.5))[0] == set()
            for task in asked:
                task.cancel()
            async with asyncio.timeout(6):  # a pipeline's stop has 8 seconds in all
                await asyncio.gather(*asked, return_exceptions=True)
                await follower.close()
    finally:
        relay.cut()
        postgres18.drop_database(database)


def test_a_pipeline_on_a_dead_line_stops_in_time(pipeline: Pipeline) -> None:
    with Relay(pipeline.server) as relay:
        pipeline.source["url"] = relay.url(pipeline.database)
        pipeline.source["status_interval"] = 0.1  # so that a statement is always under way
        with pipeline.running() as process:
            pipeline.insert(1)
            pipeline.wait_for(1)
            relay.hold_all()
            pipeline.insert(2)
            begun = time.monotonic()
            pipeline.stop(process)
            assert time.monotonic() - begun < 9.5  # a container has 10 seconds
            assert "query cancellation" not in process.stderr  # the library's own words
        relay.cut()


async def test_an_answer_that_comes_late_is_waited_for(relay: Relay) -> None:
    session = Session(Address.parse(relay.url("postgres")), "tailrace", SESSION_SETTINGS)
    try:
        await session.query(_ONE)
        relay.hold_all()
        asked = asyncio.create_task(session.query(_ONE))
        await asyncio.wait({asked}, timeout=0.3)
        relay.release_all()
        assert await asked == [(1,)]
    finally:
        await session.close()
