"""Transactions that the server streams while they are open: the same as without, on every version."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from random import Random
from typing import Any

import psycopg
import pytest

from connectors.postgres.assembly import Assembly, Subtransactions
from tailrace.errors import Retry
from tailrace.events import Batch
from tests.integration.following import Follower, changes, following, tell, wait_until_confirmed
from tests.servers import Postgres, PostgresServer
from tests.waiting import eventually

_TABLES = """
    CREATE TABLE small (id int PRIMARY KEY, v text);
    CREATE TABLE wide (id int PRIMARY KEY, v text, n int);
    ALTER TABLE wide REPLICA IDENTITY FULL;
    CREATE TABLE own0 (id int PRIMARY KEY);
    CREATE TABLE own1 (id int PRIMARY KEY);
    CREATE TABLE own2 (id int PRIMARY KEY);
    CREATE TABLE own3 (id int PRIMARY KEY);
    """
_MANY = "INSERT INTO wide SELECT g, repeat('x', 1000) FROM generate_series"


def prepare(server: Postgres, database: str) -> str:
    """Transactions of more than 64 kB are streamed there to whom asks for it."""
    server.execute(f"ALTER DATABASE {database} SET logical_decoding_work_mem = '64kB'")
    server.execute(_TABLES, database=database)
    return database


class Sessions:
    """Clients of one database, each in a transaction of its own most of the time, from a seed. What they do
    is told one after another, so that nothing depends on their speed."""

    def __init__(self, server: Postgres, database: str, seed: int) -> None:
        self._random = Random(seed)
        self._exit = contextlib.ExitStack()
        self._clients = [self._exit.enter_context(server.connect(database)) for _ in range(4)]
        self._savepoints: dict[int, list[str]] = {}  # of the open transactions
        self._next = 0

    def __enter__(self) -> Sessions:
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def run(self, steps: int) -> None:
        for _ in range(steps):
            number = self._random.randrange(len(self._clients))
            self._step(number, self._clients[number])
        for number in sorted(self._savepoints):
            self._clients[number].execute("COMMIT")
        self._savepoints.clear()

    def _step(self, number: int, client: psycopg.Connection[Any]) -> None:
        random = self._random
        savepoints = self._savepoints.get(number)
        if savepoints is None:
            if random.random() < 0.3:
                self._write(client, number, random.randint(1, 3))
            else:
                client.execute("BEGIN")
                self._savepoints[number] = []
            return
        what = random.choices(
            ("many", "few", "savepoint", "ROLLBACK TO", "RELEASE", "COMMIT", "ROLLBACK"),
            (30, 20, 14, 12, 6, 8, 2),
        )[0]
        if what == "savepoint":
            savepoints.append(f"s{len(savepoints)}")
            client.execute(f"SAVEPOINT {savepoints[-1]}")
        elif what in ("ROLLBACK TO", "RELEASE") and savepoints:
            name = random.choice(savepoints)
            client.execute(f"{what} {name}")
            del savepoints[savepoints.index(name) + (what == "ROLLBACK TO") :]
        elif what in ("COMMIT", "ROLLBACK"):
            client.execute(what)
            del self._savepoints[number]
        else:
            self._write(client, number, random.randint(*((50, 250) if what == "many" else (1, 5))))

    def _write(self, client: psycopg.Connection[Any], number: int, count: int) -> None:
        """Rows that nobody else touches: nobody waits for another."""
        first, self._next = self._next, self._next + 2 * count
        rows = f"generate_series({first}, {first + count - 1}) g"
        where = f"id BETWEEN {first} AND {first + count - 1}"
        change = self._random.randrange(5)
        if change == 0:
            client.execute(f"INSERT INTO small SELECT g, repeat('s', g % 50) FROM {rows}")
        elif change == 1:
            client.execute(f"INSERT INTO own{number} SELECT g FROM {rows}")
            client.execute(f"TRUNCATE own{number}")
        else:
            client.execute(f"INSERT INTO wide SELECT g, repeat('w', 200), g FROM {rows}")
        if change == 2:
            client.execute(f"UPDATE wide SET n = -1 WHERE {where}")
            client.execute(f"DELETE FROM wide WHERE {where} AND id % 3 = 0")
        elif change == 3:
            client.execute(f"UPDATE wide SET id = id + {count} WHERE {where}")


def told(batches: Sequence[Batch], *, begins: bool = True) -> Iterator[tuple[Any, ...]]:
    """All that there is to an event, but for what tells of idle positions before it. `begins`: with the
    places of transactions' begins in the log."""
    for change in changes(batches):
        transaction = change.transaction
        yield (
            change.position,
            change.offset if begins or change.op != "b" else None,
            change.order,
            change.raw if change.op in ("b", "e") else tell(change),
            (transaction.id, transaction.id and transaction.timestamp, transaction.block),
            {**transaction.source, "sequence": None},
        )


def rows(batches: Sequence[Batch], column: str = "id") -> list[Any]:
    """What the new rows have in a column."""
    found = [tell(change)[3] for change in changes(batches)]
    return [row[column] for row in found if row and column in row]


async def test_the_events_are_those_without_streaming(
    every_postgres: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    """Several clients with large transactions at once, with savepoints that are rolled back: event by event,
    place by place."""
    server, database = every_postgres, prepare(every_postgres, make_database(every_postgres))
    settings = {"provide_transaction_metadata": True}
    streams = {"pipeline": f"{database}_s", "data_dir": tmp_path, "streaming": "on"}
    async with (
        following(server, database, **settings) as plain,
        following(server, database, **settings, **streams) as streaming,
    ):
        with Sessions(server, database, seed=server.major) as sessions:
            sessions.run(150)
        goal = await plain.source.current()
        exact = server.major >= 15
        expected = list(told(await plain.until(goal), begins=exact))
        assert list(told(await streaming.until(goal), begins=exact)) == expected
        assert len(expected) > 1000

        async def streamed() -> bool:
            counts = server.execute("SELECT slot_name, stream_txns FROM pg_stat_replication_slots")
            transactions = {name: count for name, count in counts if name.startswith(plain.name)}
            assert transactions[plain.name] == 0
            return int(transactions[streaming.name]) >= 5

        await eventually(streamed, "transactions to be streamed")
        assert not list((tmp_path / "streamed" / f"{database}_s").iterdir())
    assert not (tmp_path / "streamed" / f"{database}_s").exists()


async def test_a_checkpoint_inside_holds_either_way(
    postgres16: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    """Read on with and without streaming in turn, at each batch: nothing is lost, nothing comes twice."""
    database = prepare(postgres16, make_database(postgres16))
    plain = Follower(postgres16, database)
    streaming = Follower(postgres16, database, data_dir=tmp_path, streaming="on")
    try:
        position = await plain.start()
        with postgres16.connect(database) as client, postgres16.connect(database) as other:
            client.execute(f"BEGIN; {_MANY}(1, 2000) g")
            client.execute("SAVEPOINT s; INSERT INTO small SELECT g, 'gone' FROM generate_series(1, 2000) g")
            other.execute("BEGIN; INSERT INTO small SELECT g, 'y' FROM generate_series(5001, 7000) g")
            client.execute("ROLLBACK TO s; UPDATE wide SET id = -id WHERE id > 500")
            other.execute("COMMIT")
            client.execute("COMMIT")
        expected = list(told(await plain.until()))
        assert len(expected) == 2000 + 2000 + 2 * 1500
        found, inside = list[Any](), 0
        for turn in range(40):
            reader, before = (streaming, plain) if turn % 2 else (plain, streaming)
            await before.close()
            await reader.resume(position)
            batch = await reader.batch()
            found += told([batch])
            position = batch.end
            inside += not batch.commit
            if len(found) >= len(expected):
                break
        assert found == expected
        assert inside >= 3
    finally:
        await plain.close()
        await streaming.close()


async def test_others_get_their_turn_while_what_is_not_captured_comes(
    postgres16: Postgres,
    make_database: Callable[[Postgres], str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Nothing of a large transaction makes a batch: signs of life, a stop and the sinks' work must not wait
    for its end."""
    database = prepare(postgres16, make_database(postgres16))
    turns, at = 0, list[int]()
    feed = Assembly.feed

    def noted(self: Assembly, messages: Sequence[bytes]) -> Iterator[list[bytes] | Subtransactions]:
        for part in feed(self, messages):
            if isinstance(part, list) and len(part) > 100:
                at.append(turns)
            yield part

    monkeypatch.setattr(Assembly, "feed", noted)
    streams = {"data_dir": tmp_path, "streaming": "on"}
    async with following(postgres16, database, ["public.small"], **streams) as follower:
        follower.sql(f"ALTER PUBLICATION {follower.name} ADD TABLE wide")
        follower.sql(f"{_MANY}(1, 8000) g")
        reading = asyncio.create_task(follower.until())
        while not reading.done():
            turns += 1
            await asyncio.sleep(0)
        assert rows(await reading) == []
    assert len(at) > 6  # 8 MB
    assert len({*at}) >= len(at) - 1  # one turn for each list, before it is decoded


async def test_what_is_open_is_not_acknowledged(
    postgres16: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    """Others commit beside it and are acknowledged; a connection that is lost takes nothing with it."""
    database = prepare(postgres16, make_database(postgres16))
    folder = tmp_path / "streamed" / database
    async with following(postgres16, database, data_dir=tmp_path, streaming="on") as follower:
        with postgres16.connect(database) as client:
            client.execute(f"BEGIN; {_MANY}(1, 500) g")
            follower.sql("INSERT INTO small VALUES (0, 'x')")
            batches = await follower.until()
            assert rows(batches) == [0]
            assert [file.stat().st_size > 100_000 for file in folder.iterdir()] == [True]
            end = batches[-1].end
            await follower.source.acknowledge(end)
            await wait_until_confirmed(follower, end)
            follower.sql(
                "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots "
                f"WHERE slot_name = '{follower.name}'"
            )
            with pytest.raises(Retry):
                await follower.until()
            folder.mkdir(exist_ok=True)
            (folder / "1").write_bytes(b"of an earlier run")
            await follower.resume(end)
            assert not (folder / "1").exists()
            client.execute("INSERT INTO wide VALUES (501, 'last'); COMMIT")
        assert rows(await follower.until()) == list(range(1, 502))
        assert not list(folder.iterdir())


async def test_logical_messages_are_not_guessed(
    postgres18: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    """The server numbers each as one of the whole transaction: it is read without streaming."""
    database = prepare(postgres18, make_database(postgres18))
    async with following(postgres18, database, data_dir=tmp_path, streaming="on") as follower:
        start = (await follower.until())[-1].end
        message = "SELECT pg_logical_emit_message(true, 'told', '{}')"
        with postgres18.connect(database) as client:
            client.execute(f"BEGIN; {_MANY}(1, 100) g")
            client.execute(f"SAVEPOINT s; {message.format('gone')}; {_MANY}(101, 200) g")
            client.execute(f"ROLLBACK TO s; {message.format('stays')}; {_MANY}(201, 300) g; COMMIT")
        with pytest.raises(Retry) as raised:
            await follower.until()
        assert raised.value.code.id == "TR-PG-105"
        await follower.resume(start)
        batches = await follower.until()
        assert rows(batches, "content") == [b"stays"]
        assert rows(batches) == [*range(1, 101), *range(201, 301)]


async def test_a_rollback_that_the_server_does_not_send(
    every_postgres: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    """A server that is asked again has what came before on its own disk; of a savepoint in it that is then
    rolled back it tells nothing."""
    server, database = every_postgres, prepare(every_postgres, make_database(every_postgres))
    async with following(server, database, data_dir=tmp_path, streaming="on") as follower:
        with server.connect(database) as client:
            client.execute("BEGIN; INSERT INTO small VALUES (1, 'x')")
            client.execute(f"SAVEPOINT s; {_MANY}(1, 5000) g")
            follower.sql("INSERT INTO small VALUES (2, 'x')")
            end = (await follower.until())[-1].end
            await follower.source.acknowledge(end)
            await wait_until_confirmed(follower, end)
            await follower.resume(end)
            client.execute(f"{_MANY}(5001, 5001) g")
            follower.sql("INSERT INTO small VALUES (3, 'x')")
            assert rows(await follower.until()) == [3]
            assert list((tmp_path / "streamed" / database).iterdir())
            client.execute(f"ROLLBACK TO s; {_MANY}(6001, 6100) g; COMMIT")
        assert rows(await follower.until()) == [1, *range(6001, 6101)]


async def test_prepared_transactions_arrive_after_their_commit(
    make_postgres: Callable[..., PostgresServer], tmp_path: Path
) -> None:
    """Like any other, at the place of COMMIT PREPARED, with and without streaming."""
    server = make_postgres(18, {"max_prepared_transactions": 5})
    database = prepare(server, server.create_database())
    async with (
        following(server, database) as plain,
        following(server, database, pipeline="streams", data_dir=tmp_path, streaming="on") as streaming,
    ):
        with server.connect(database) as client:
            client.execute(f"BEGIN; {_MANY}(1, 200) g; PREPARE TRANSACTION 'large'")
            client.execute("BEGIN; INSERT INTO small VALUES (1001, 'x'); PREPARE TRANSACTION 'small'")
            client.execute(f"BEGIN; {_MANY}(201, 400) g; PREPARE TRANSACTION 'gone'")
            client.execute("INSERT INTO small VALUES (1000, 'before')")
            client.execute("COMMIT PREPARED 'large'")
            client.execute("ROLLBACK PREPARED 'gone'")
            client.execute("COMMIT PREPARED 'small'")
        batches = await plain.until()
        assert rows(batches) == [1000, *range(1, 201), 1001]
        assert list(told(await streaming.until())) == list(told(batches))
