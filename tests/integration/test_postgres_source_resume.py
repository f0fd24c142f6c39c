"""Going on from a checkpoint: nothing lost, nothing doubled."""

import pytest

from tailrace.errors import Gap, NotReady, Retry
from tailrace.events import Batch, Position
from tests.integration.following import Follower, Told, changes, following, tell, wait_until_confirmed
from tests.servers import Postgres
from tests.waiting import eventually


def _ids(batches: list[Batch]) -> list[int]:
    rows = [tell(change)[3] for change in changes(batches)]
    return [row["id"] for row in rows if row]


async def _again(follower: Follower, position: Position) -> list[Batch]:
    await follower.resume(position)
    return await follower.until()


async def test_from_each_commit(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        ends = [(await follower.until())[-1].end]
        for id in range(4):
            follower.sql(f"INSERT INTO t VALUES ({id})")
            ends.append((await follower.until())[-1].end)
        for id, end in enumerate(ends):
            assert _ids(await _again(follower, end)) == list(range(id, 4))


async def test_from_each_message_of_a_transaction(postgres: Postgres, postgres_database: str) -> None:
    """From every place between two messages, exactly the rest comes: the same events under the same names."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (0)")
        before = (await follower.until())[-1].end
        follower.sql(
            "INSERT INTO t VALUES (1, 'a'), (2, 'b'); UPDATE t SET id = 10 WHERE id = 1; TRUNCATE t;"
            "SELECT pg_logical_emit_message(true, 'tailrace', 'x'); INSERT INTO t VALUES (3)"
        )
        follower.sql("INSERT INTO t VALUES (4)")
        whole = changes(await follower.until())
        transaction = [change for change in whole if change.transaction is whole[0].transaction]
        assert [change.position[-4:] for change in transaction] == [
            ":1:0", ":2:0", ":3:0", ":3:2", ":4:0", ":6:0",
        ]  # fmt: skip
        lsn = f"{int(transaction[0].transaction.position, 16) >> 32:X}/"
        lsn += f"{int(transaction[0].transaction.position, 16) & 0xFFFFFFFF:X}"
        for ordinal in range(1, 7):
            inside: Position = {"lsn": lsn, "ordinal": ordinal, "end": before["lsn"]}
            rest = changes(await _again(follower, inside))
            expected = [c for c in whole if c not in transaction or c.ordinal > ordinal]
            assert [(c.position, tell(c)) for c in rest] == [(c.position, tell(c)) for c in expected]


async def test_one_sink_stops_before_an_event_of_a_transaction_in_which_another_is_further(
    postgres: Postgres, postgres_database: str
) -> None:
    """What stands before the event is acknowledged; the other's place in the transaction can be read on from
    all the same."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (0)")
        await follower.until()
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g")
        further = await follower.batch()
        while len(changes([further])) < 20:
            further = await follower.batch()
        assert not further.commit
        # The other sink's batch was cut elsewhere: it went on behind the transaction.
        cut = Batch(further.events, follower.source.parse("FFFF/0"), commit=True, size=further.size)
        faulty = changes([cut])[10]
        part = follower.source.before(cut, faulty)
        assert part is not None
        await follower.source.acknowledge(part.end)

        async def acknowledged() -> bool:
            return follower.confirmed() == part.end["lsn"]

        await eventually(acknowledged, "the part to be acknowledged")
        assert (await _again(follower, part.end))[0].events[0].ordinal == faulty.ordinal
        read = _ids(await _again(follower, further.end))
        assert read == list(range(_ids([further])[-1] + 1, 3001))


async def test_a_large_transaction_goes_on_where_it_was_cut(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g")
        read: list[int] = []
        while len(read) < 5000:
            batch = await follower.batch()
            read += _ids([batch])
            # A connection that is lost and made again at each batch; what was read is not durable anywhere.
            await follower.resume(batch.end)
        assert read == list(range(1, 5001))


async def test_only_ends_of_commits_are_acknowledged(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t VALUES (0)")
        before = (await follower.until())[-1].end
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 5000) g")
        batch = await follower.batch()
        assert not batch.commit
        await follower.source.acknowledge(batch.end)
        last_end: Position = {"lsn": batch.end["end"]}  # of a commit, or an idle position behind it
        assert follower.source.covers(last_end, before)
        await wait_until_confirmed(follower, last_end)
        await follower.resume(batch.end)
        last = (await follower.until())[-1]
        await follower.source.acknowledge(last.end)
        await wait_until_confirmed(follower, last.end)


async def test_an_acknowledgement_is_never_beyond_what_the_stream_resumes_from(
    postgres: Postgres, postgres_database: str
) -> None:
    """A reader that goes back to its checkpoints must not free what it will read again."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        origin = (await follower.until())[-1].end
        follower.sql("INSERT INTO t VALUES (1)")
        last = (await follower.until())[-1].end
        follower.source._acknowledged = int(str(last["lsn"]).partition("/")[2], 16)
        await follower.resume(origin)
        await follower.close()
        assert follower.confirmed() <= str(origin["lsn"])


async def test_another_fingerprint_matters_only_inside_a_transaction(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        start = (await follower.until())[-1].end
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g")
        inside = (await follower.batch()).end
        assert "ordinal" in inside
        await follower.resume(start, fingerprint="of another version")
        assert len(_ids(await follower.until())) == 3000
        with pytest.raises(NotReady, match="of another version") as refused:
            await follower.resume(inside, fingerprint="of another version")
        assert refused.value.code.id == "TR-PG-330"
        assert "--redeliver-transaction" in refused.value.remedy


async def test_a_transaction_is_delivered_again_when_that_is_asked_for(
    postgres: Postgres, postgres_database: str
) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g")
        batch = await follower.batch()
        assert not batch.commit
    again = Follower(postgres, postgres_database, redeliver=True)
    try:
        # With the same fingerprint the count still holds: nothing is doubled.
        await again.resume(batch.end)
        assert _ids(await again.until()) == list(range(len(changes([batch])) + 1, 3001))
        await again.resume(batch.end, fingerprint="of another version")
        batches = [again.source.after(found, batch.end) for found in await again.until()]
        assert _ids(batches) == list(range(1, 3001))
    finally:
        await again.close()


async def test_one_that_is_not_found_again_is_delivered_again_when_that_is_asked_for(
    postgres: Postgres, postgres_database: str
) -> None:
    """Only if it is in the log at all: another one is not what was delivered in part."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY, x text)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        follower.sql("INSERT INTO t SELECT g, repeat('x', 1000) FROM generate_series(1, 3000) g")
        inside = {**(await follower.batch()).end, "ordinal": 4000}  # as if it had had more messages
        await follower.resume(inside)
        with pytest.raises(Gap, match="it has 3000 messages now") as refused:
            await follower.until()
        assert refused.value.code.id == "TR-PG-103"
        assert "--redeliver-transaction" in refused.value.remedy
    again = Follower(postgres, postgres_database, redeliver=True)
    try:
        await again.resume(inside)
        with pytest.raises(Retry, match="it has 3000 messages now"):
            await again.until()
        await again.resume(inside)
        batches = [again.source.after(found, inside) for found in await again.until()]
        assert _ids(batches) == list(range(1, 3001))
    finally:
        await again.close()
    other = Follower(postgres, postgres_database, redeliver=True)
    try:
        start, _, xid, *rest = str(inside["proof"]).split()
        forged = {**inside, "proof": " ".join([start, "transaction", str(int(xid) + 1), *rest])}
        await other.resume(forged, fingerprint="of another version")
        with pytest.raises(Gap) as refused:
            await other.until()
        assert refused.value.code.id == "TR-PG-323"
    finally:
        await other.close()


async def test_two_connections_announce_a_table_once(postgres: Postgres, postgres_database: str) -> None:
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        tables = set()
        for id in range(3):
            follower.sql(f"INSERT INTO t VALUES ({id})")
            batches = await follower.until()
            tables |= {change.table for change in changes(batches)}
            await follower.resume(batches[-1].end)
        assert len(tables) == 1


async def test_what_was_told_before_the_log_was_cut_off_is_told_again(
    postgres: Postgres, postgres_database: str
) -> None:
    """Without an acknowledgement the server keeps everything from the first position on."""
    postgres.execute("CREATE TABLE t (id int PRIMARY KEY)", database=postgres_database)
    async with following(postgres, postgres_database) as follower:
        origin = (await follower.until())[-1].end
        told: list[list[Told]] = []
        follower.sql("INSERT INTO t VALUES (1)")
        for _ in range(2):
            told.append(await follower.told())
            await follower.resume(origin)
        assert told[0] == told[1] == [("c", "public.t", None, {"id": 1})]
