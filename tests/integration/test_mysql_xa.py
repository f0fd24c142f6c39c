"""XA transactions that are prepared: their rows come where they are committed, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

import pytest

from connectors.mysql import checks, lookup, retention, source
from connectors.mysql.assembly.refusals import PREPARED
from connectors.mysql.binlog.mariadb_gtid import split_mariadb
from connectors.mysql.channel import PURGED
from connectors.mysql.position import BinlogPosition
from tailrace.errors import Gap, Stop
from tailrace.events import Batch
from tests.integration.mysql_following import Follower, changes, told
from tests.servers import MySql, MySqlServer
from tests.traffic import xa

FORMS = ("mysql9", "mariadb10", "mariadb11", "without GTIDs")


@pytest.fixture(scope="module")
def _without_gtids() -> Iterator[MySql]:
    with MySqlServer("mysql9", {"gtid_mode": "OFF", "enforce_gtid_consistency": "OFF"}) as server:
        yield server


@pytest.fixture(params=FORMS)
def server(request: pytest.FixtureRequest, _shared_mysql: Callable[[str], MySql]) -> MySql:
    """Each with positions of its own form, or of its own version."""
    if request.param == "without GTIDs":
        made: MySql = request.getfixturevalue("_without_gtids")
        return made
    return _shared_mysql(request.param)


@pytest.fixture
def follower(server: MySql, make_database: Callable[[MySql], str]) -> Iterator[Follower]:
    """Of the empty table `t`; beside it is one that is not captured."""
    database = make_database(server)
    follower = Follower(server, database, [f"{database}.t"])
    follower.sql("CREATE TABLE t (id int PRIMARY KEY, x varchar(1000))", "CREATE TABLE u (id int)")
    yield follower
    xa.roll_back_the_rest(server, database)


def insert(*values: int) -> str:
    return "INSERT INTO t (id) VALUES " + ", ".join(f"({value})" for value in values)


def update(x: str) -> str:
    return f"UPDATE t SET x = '{x}' WHERE id = 2"


def prepare(follower: Follower, name: str, *statements: str, setting: str = "") -> None:
    xa.prepare(follower.server, follower.database, name, *statements, setting=setting)


def compressed(follower: Follower) -> str:
    """A setting by which MySQL puts an XA transaction into one event, up to its PREPARE."""
    return "binlog_transaction_compression = ON" if follower.server.flavor == "mysql" else ""


def commit(follower: Follower, name: str) -> None:
    xa.commit(follower.server, follower.database, name)


def roll_back(follower: Follower, name: str) -> None:
    xa.roll_back(follower.server, follower.database, name)


def ids(batches: Sequence[Batch]) -> list[int]:
    return [after["id"] for _, _, _, after in told(batches) if after is not None]


async def purge(server: MySql) -> None:
    """Remove all files but the newest: in MariaDB once no crash would need them, which takes a moment."""
    async with asyncio.timeout(20):
        while len(files := server.execute("SHOW BINARY LOGS")) > 1:
            server.execute(f"PURGE BINARY LOGS TO '{files[-1][0]}'")
            await asyncio.sleep(0.05)


async def test_several_at_once_and_a_start_behind_each_transaction(follower: Follower) -> None:
    """Committed in another order than prepared, rolled back, of no captured rows, over a file's end, ended in
    one phase: behind each a new run goes on."""
    one_phase = xa.xid(follower.database, "one")
    steps: list[tuple[Callable[[], None], list[int]]] = [
        (lambda: follower.sql(insert(1)), [1]),
        (
            lambda: prepare(
                follower, "a", insert(2), "SAVEPOINT s", update("undone"), "ROLLBACK TO s", update("kept")
            ),
            [],
        ),
        (lambda: prepare(follower, "b", insert(4, 5), setting=compressed(follower)), []),
        (lambda: follower.sql("FLUSH BINARY LOGS", insert(6)), [6]),
        (lambda: prepare(follower, "empty", "INSERT INTO u VALUES (1)"), []),
        (lambda: prepare(follower, "undone", insert(7)), []),
        (lambda: roll_back(follower, "undone"), []),
        (lambda: commit(follower, "b"), [4, 5]),
        (lambda: follower.sql("CREATE TABLE v (id int)", "DROP TABLE v"), []),
        (
            lambda: follower.sql(
                f"XA START {one_phase}", insert(8), f"XA END {one_phase}", f"XA COMMIT {one_phase} ONE PHASE"
            ),
            [8],
        ),
        (lambda: commit(follower, "a"), [2, 2]),
        (lambda: commit(follower, "empty"), []),
        (lambda: prepare(follower, "a", insert(9)), []),
        (lambda: commit(follower, "a"), [9]),
        (lambda: follower.sql(insert(10)), [10]),
    ]
    async with follower:
        origin = await follower.start()
        positions, whole = [origin], list[list[Batch]]()
        for step, expected in steps:
            await asyncio.to_thread(step)
            whole.append(await follower.until())
            assert ids(whole[-1]) == expected
            positions.append(whole[-1][-1].end)
        names = [[change.position for change in changes(batches)] for batches in whole]
        flat = [name for part in names for name in part]
        assert flat == sorted(set(flat))
        covers = follower.source.covers
        assert all(covers(later, earlier) for earlier, later in pairwise(positions))
        for count, position in enumerate(positions):
            await follower.resume(position)
            again = [change.position for change in changes(await follower.until())]
            assert again == [name for part in names[count:] for name in part], position
    [last] = BinlogPosition.from_document(positions[3]).in_doubt.with_rows[-1:]
    assert last.xid.startswith(f"X'{follower.database.encode().hex()}'")


async def test_its_changes_are_of_the_commit(follower: Follower) -> None:
    """Place, GTID and time are those of XA COMMIT, which is when they came to be."""
    async with follower:
        await follower.start()
        prepare(follower, "a", insert(1), insert(2))
        seconds = 1.1 if follower.server.flavor == "mariadb" else 0.01  # in which the log tells times
        follower.sql(f"DO SLEEP({seconds})", insert(3), f"DO SLEEP({seconds})")
        commit(follower, "a")
        third, *found = changes(await follower.until())
    assert {change.transaction for change in found} == {found[0].transaction}
    of = found[0].transaction
    assert of.timestamp > third.transaction.timestamp
    assert of.position > third.transaction.position
    file, offset = str(of.source["file"]), found[0].offset
    assert {change.offset for change in found} == {offset}
    shown = f"SHOW BINLOG EVENTS IN '{file}' FROM {offset} LIMIT 1"
    [(_, at, kind, _, _, info)] = follower.server.execute(shown)
    assert (at, kind) == (offset, "Query")
    assert info.startswith("XA COMMIT X'")


async def test_a_large_one_comes_in_pieces(follower: Follower) -> None:
    """From a file; gone on from in the middle by another run, which reads its rows again."""
    many = "INSERT INTO t SELECT seq + {}, repeat('x', 1000) FROM ({}) s"
    digits = "(" + " UNION ALL ".join(f"SELECT {digit} n" for digit in range(10)) + ")"
    number = "a.n + 10 * b.n + 100 * c.n + 1000 * d.n"
    seq = f"SELECT {number} seq FROM {digits} a, {digits} b, {digits} c, {digits} d"
    async with follower:
        await follower.start()
        prepare(follower, "large", many.format(100_000, seq), many.format(200_000, seq))
        prepare(follower, "other", insert(7))
        await follower.until()
        commit(follower, "other")
        commit(follower, "large")
        batches = [batch for batch in await follower.until() if batch.events]
    assert len(batches) > 15
    assert max(batch.size for batch in batches) < 2 * 1024 * 1024
    found = [change.position for change in changes(batches)]
    assert len(set(found)) == 20_001
    assert [batch.commit for batch in batches[:-1]] == [False] * (len(batches) - 1)
    async with Follower(follower.server, follower.database) as again:
        await again.resume(batches[7].end)
        rest = [change.position for change in changes(await again.until())]
    assert rest == [change.position for change in changes(batches[8:])]


async def test_those_that_were_prepared_before_the_pipeline_began(
    follower: Follower, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Are looked up in the log where the first of them is committed, and delivered; also by a second run from
    the same place, and by one that goes on behind. That and how far it has come is logged."""
    caplog.set_level("INFO", "connectors.mysql")
    monkeypatch.setattr(lookup, "_TELL_SECONDS", 0.0001)
    prepare(follower, "ended", insert(1))
    commit(follower, "ended")
    prepare(follower, "over", insert(0))
    prepare(follower, "a", insert(2), setting=compressed(follower))
    prepare(follower, "other", "INSERT INTO u VALUES (1)")
    follower.sql("FLUSH BINARY LOGS")
    commit(follower, "over")  # in a file behind that in which it is prepared
    prepare(follower, "b", insert(3))
    prepare(follower, "c", insert(4))
    async with follower:
        origin = await follower.start()
        follower.sql(insert(5))
        roll_back(follower, "c")
        assert ids(await follower.until()) == [5]
        follower.sql(insert(6))
        commit(follower, "a")
        batches = await follower.until()
        assert ids(batches) == [6, 2]
        lines = [record.getMessage() for record in caplog.records]
        [begin] = [at for at, line in enumerate(lines) if line.startswith("an XA transaction is looked for")]
        assert f"X'{follower.database.encode().hex()}',X'61',1, files" in lines[begin]
        assert lines[begin + 1].startswith("the XA transaction is looked for still")
        assert "file binlog." in lines[begin + 1]
        waiting = BinlogPosition.from_document(batches[-1].end).in_doubt
        assert {xa.name_of(one.xid) for one in waiting} == {"b", "other"}
        [b] = waiting.with_rows
        assert xa.name_of(b.xid) == "b"
        if follower.server.flavor == "mariadb":  # is asked for what is behind the one before it, no more
            assert split_mariadb(b.before)[2] + 1 == split_mariadb(b.gtid)[2]
        await follower.resume(batches[-1].end)
        commit(follower, "other")
        commit(follower, "b")
        batches = await follower.until()
        assert ids(batches) == [3]
        assert not BinlogPosition.from_document(batches[-1].end).in_doubt  # nor what was looked up
        await follower.resume(origin)
        assert ids(await follower.until()) == [5, 6, 2, 3]
    async with Follower(follower.server, follower.database, [f"{follower.database}.t"]) as again:
        await again.resume(origin)
        assert ids(await again.until()) == [5, 6, 2, 3]


async def test_one_of_a_table_that_was_not_captured_as_it_was_prepared(follower: Follower) -> None:
    """Is delivered whole by a run that captures it, and looked up for that; if nothing is new, nothing is."""
    server, database = follower.server, follower.database
    async with follower:
        follower.sql("CREATE TABLE w (id int PRIMARY KEY)")
        await follower.start()
        prepare(follower, "a", "INSERT INTO w VALUES (1)")
        prepare(follower, "b", insert(2), "INSERT INTO w VALUES (3)")
        prepare(follower, "c", "INSERT INTO w VALUES (4)")
        follower.sql("FLUSH BINARY LOGS", insert(5))
        position = (await follower.until())[-1].end
        await follower.resume(position)
        commit(follower, "a")
        assert ids(await follower.until()) == []
    async with Follower(server, database, [f"{database}.t", f"{database}.w"]) as wider:
        await wider.resume(position)
        assert ids(await wider.until()) == [1]
        commit(wider, "b")
        batches = await wider.until()
        assert ids(batches) == [2, 3]
        assert [one.has_rows for one in BinlogPosition.from_document(batches[-1].end).in_doubt] == [True]
    async with Follower(server, database, [f"{database}.t"]) as narrower:
        await narrower.resume(batches[-1].end)
        commit(narrower, "c")
        assert ids(await narrower.until()) == []
        await narrower.resume(position)
        assert ids(await narrower.until()) == [2]


async def test_one_whose_rows_are_not_in_the_log_any_more(follower: Follower) -> None:
    """Is refused where it is committed, behind what stands before it."""
    prepare(follower, "a", insert(1))
    follower.sql("FLUSH BINARY LOGS")
    await purge(follower.server)
    async with follower:
        await follower.start()
        follower.sql(insert(2))
        assert ids(await follower.until()) == [2]
        follower.sql(insert(3))
        commit(follower, "a")
        assert ids([await follower.batch()]) == [3]
        with pytest.raises(Stop) as raised:
            await follower.batch()
        assert raised.value.code is PREPARED
        assert f"X'{follower.database.encode().hex()}',X'61',1" in raised.value.found
        behind = raised.value.remedy.rpartition("--at '")[2].rstrip("'")
        follower.sql(insert(4))
        await follower.resume(follower.source.parse(behind))
        assert ids(await follower.until()) == [4]


async def test_its_log_is_needed(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    """Retention counts from where its rows stand, its age is told; without that log a start is refused."""
    monkeypatch.setattr(retention, "_LONG_IN_DOUBT", 0.0)
    monkeypatch.setattr(source, "_OBSERVE_SECONDS", 0.05)
    server = follower.server
    async with follower:
        await follower.start()
        prepare(follower, "a", insert(1))
        follower.sql("FLUSH BINARY LOGS", insert(2))
        batches = await follower.until()
        await follower.source.acknowledge(batches[-1].end)
        [one] = BinlogPosition.from_document(batches[-1].end).in_doubt
        async with asyncio.timeout(20):  # as soon as the files are listed again
            while True:
                found = await follower.source.retention()
                if found is not None and f"from {one.file} on" in found.found:
                    break
                await asyncio.sleep(0.05)
        assert found.level == "warning"
        assert f"XA transaction {one.xid} has been prepared for" in found.found
        assert f"XA ROLLBACK {one.xid}" in found.remedy
        await follower.close()
        await purge(server)
        with pytest.raises(Gap) as raised:
            await follower.resume(batches[-1].end)
        assert raised.value.code is PURGED
        assert one.xid in raised.value.found
        roll_back(follower, "a")
        follower.sql(insert(3))
        behind = raised.value.remedy.partition("--at '")[2].partition("'")[0]
        await follower.resume(follower.source.parse(behind))
        assert ids(await follower.until()) == [3]


async def test_doctor_names_those_that_stay(follower: Follower, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_MOMENT", 0.05)
    async with follower:
        assert "XA transactions" not in [finding.title for finding in await follower.source.check()]
        prepare(follower, "a", insert(1))
        found = {finding.title: finding for finding in await follower.source.check()}
        assert found["XA transactions"].warning
        name = f"X'{follower.database.encode().hex()}',X'61',1"
        if follower.server.flavor == "mariadb":
            name = xa.xid(follower.database, "a")
        assert name in found["XA transactions"].found
        follower.sql(f"XA ROLLBACK {name}")


@pytest.mark.parametrize("release", ["mysql9", "mariadb10", "mariadb11"])
async def test_a_failover_and_a_crash_while_some_are_prepared(
    make_mysql: Callable[..., MySqlServer], release: str
) -> None:
    """On the replica their rows stand elsewhere; there they are committed once it was killed and has come
    back."""
    primary, replica = make_mysql(release), make_mysql(release)
    replica.follow(primary)
    primary.execute("CREATE DATABASE shop")
    async with Follower(primary, "shop") as before:
        before.sql("CREATE TABLE t (id int PRIMARY KEY, x text)")
        await before.start()
        prepare(before, "a", insert(1))
        domain = "gtid_domain_id = 7" if primary.flavor == "mariadb" else ""  # it has no other transaction
        prepare(before, "b", insert(2), setting=domain)
        before.sql(insert(3))
        batches = await before.until()
        assert ids(batches) == [3]
        position = batches[-1].end
        replica.wait_for(primary.gtids())
        primary.kill()
    replica.promote()
    replica.execute("FLUSH BINARY LOGS")
    async with Follower(replica, "shop") as after:
        after.sql(insert(4))
        await after.resume(position)
        batches = await after.until()
        assert ids(batches) == [4]
        replica.kill()
        replica.start()
        commit(after, "b")
        await after.resume(batches[-1].end)
        batches = await after.until()
        assert ids(batches) == [2]
        commit(after, "a")
        await after.resume(batches[-1].end)
        assert ids(await after.until()) == [1]
