"""Column lists and row filters of the settings: made, changed, refused; and what arrives with them."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from tailrace.errors import TailraceError
from tailrace.events import UNCHANGED
from tests.integration.following import Follower, changes, following, tell
from tests.servers import Postgres

_TABLES = (
    "CREATE TABLE t (id int PRIMARY KEY, n int, secret text);"
    "CREATE TABLE whole (id int PRIMARY KEY, x text);"
    'CREATE TABLE "Odd ""one" ("my id" int PRIMARY KEY, "a,b" int, secret text);'
)
_LISTS: dict[str, Any] = {
    "columns": {"public.t": ["id", "n"], 'public."Odd ""one"': ["my id", '"a,b"']},
    "where": {"public.t": "id % 2 = 0 AND n IS DISTINCT FROM 7"},
}


@pytest.fixture
def server(postgres18: Postgres) -> Postgres:
    return postgres18


@pytest.fixture
def database(server: Postgres, make_database: Callable[[Postgres], str]) -> str:
    name = make_database(server)
    server.execute(_TABLES, database=name)
    return name


def _published(follower: Follower) -> dict[str, tuple[list[str], str | None]]:
    return {
        table: (columns, where)
        for table, columns, where in follower.sql(
            "SELECT tablename::text, attnames::text[], rowfilter FROM pg_publication_tables "
            f"WHERE pubname = '{follower.name}'"
        )
    }


async def _refusal(follower: Follower) -> TailraceError:
    """What the check list finds, and a start refuses; nothing has been made."""
    try:
        (found,) = [finding.error for finding in await follower.source.check() if finding.error]
        with pytest.raises(TailraceError) as refused:
            await follower.source.anchor()
        assert str(refused.value) == str(found)
        assert follower.sql("SELECT pubname FROM pg_publication") == []
        return refused.value
    finally:
        await follower.close()


@pytest.mark.parametrize("every_postgres", [15, 16, 18], indirect=True)
async def test_a_part_of_a_table_arrives(
    every_postgres: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    database = make_database(every_postgres)
    every_postgres.execute(f"{_TABLES} ALTER TABLE t REPLICA IDENTITY FULL", database=database)
    lists = {"columns": {'public."Odd ""one"': ["my id", '"a,b"']}, "where": _LISTS["where"]}
    async with following(every_postgres, database, **lists) as follower:
        assert _published(follower) == {
            "t": (["id", "n", "secret"], "(((id % 2) = 0) AND (n IS DISTINCT FROM 7))"),
            "whole": (["id", "x"], None),
            'Odd "one': (["my id", "a,b"], None),
        }
        (told,) = [f.found for f in await follower.source.check() if f.title == "published parts"]
        assert "the columns my id, a,b" in told
        assert "the rows WHERE (((id % 2) = 0)" in told
        follower.sql("INSERT INTO t VALUES (1, 1, 's'), (2, 7, 's'), (4, 1, 's')")
        follower.sql("UPDATE t SET n = 2 WHERE id = 2; UPDATE t SET n = 3")
        follower.sql("UPDATE t SET id = 10 WHERE id = 1; UPDATE t SET id = 11 WHERE id = 2; TRUNCATE t")
        follower.sql('INSERT INTO "Odd ""one" VALUES (1, 2, \'s\'); UPDATE "Odd ""one" SET secret = \'t\'')
        assert [(op, table, after) for op, table, _, after in await follower.told()] == [
            ("c", "public.t", {"id": 4, "n": 1, "secret": "s"}),
            ("c", "public.t", {"id": 2, "n": 2, "secret": "s"}),  # moved in: an update
            ("u", "public.t", {"id": 4, "n": 3, "secret": "s"}),
            ("u", "public.t", {"id": 2, "n": 3, "secret": "s"}),
            ("c", "public.t", {"id": 10, "n": 3, "secret": "s"}),  # moved in: an update of the key
            ("d", "public.t", None),  # moved out
            ("t", "public.t", None),
            ("c", 'public.Odd "one', {"my id": 1, "a,b": 2}),
            ("u", 'public.Odd "one', {"my id": 1, "a,b": 2}),
        ]


async def test_a_large_value_of_a_row_that_is_moved_in(server: Postgres, database: str) -> None:
    """The insert that the server makes of the update leaves out what the update did not touch."""
    server.execute(
        "CREATE TABLE big (id int NOT NULL, n int NOT NULL, large text, UNIQUE (id, n));"
        "ALTER TABLE big ALTER large SET STORAGE EXTERNAL;"
        "ALTER TABLE big REPLICA IDENTITY USING INDEX big_id_n_key",
        database=database,
    )
    async with following(server, database, ["public.big"], where={"public.big": "n > 0"}) as follower:
        follower.sql("INSERT INTO big VALUES (1, 0, repeat('x', 9000)); UPDATE big SET n = 1")
        assert await follower.told() == [("c", "public.big", None, {"id": 1, "n": 1, "large": UNCHANGED})]
        follower.sql("ALTER TABLE big REPLICA IDENTITY FULL; UPDATE big SET n = 0; UPDATE big SET n = 2")
        assert [op for op, *_ in await follower.told()] == ["d", "c"]


async def test_changed_between_two_runs(server: Postgres, database: str) -> None:
    """What the log holds already arrives as it was published then."""
    tables = ["public.t"]
    async with following(server, database, tables, columns={"public.t": ["id", "n"]}) as follower:
        position = (await follower.until())[-1].end
    follower.sql("INSERT INTO t VALUES (1, 1, 's')")

    async def on(**settings: Any) -> tuple[list[dict[str, Any] | None], list[str]]:
        nonlocal position
        again = Follower(server, database, tables, **settings)
        try:
            shown = [f.found for f in await again.source.check() if f.title == "publication" and f.warning]
            await again.resume(position)
            ((id,),) = again.sql("SELECT coalesce(max(id), 0) FROM t")
            again.sql(f"INSERT INTO t VALUES ({id + 1}, 1, 's'), ({id + 2}, 1, 's')")
            batches = await again.until()
            position = batches[-1].end
            assert not [f for f in await again.source.check() if "changed at" in f.found]
            await again.resume(position)  # as it is: a connection that is made again
            return [tell(change)[3] for change in changes(batches)], shown
        finally:
            await again.close()

    rows, shown = await on(columns={"public.*": ["id"]}, where={"public.t": "id <> 3"})
    assert (
        "publishes of public.t: the columns id, n; the file says: the columns id, the rows WHERE" in shown[0]
    )
    assert rows == [{"id": 1, "n": 1}, {"id": 2}]
    rows, shown = await on(where={"public.t": "id <> 3"})
    assert rows == [{"id": 4, "n": 1, "secret": "s"}, {"id": 5, "n": 1, "secret": "s"}]
    rows, shown = await on()
    assert len(rows) == 2
    assert _published(follower)["t"] == (["id", "n", "secret"], None)
    assert follower.sql("SELECT obj_description(oid) FROM pg_publication WHERE pubname !~ '_ins'") == [
        (None,)
    ]


async def test_lists_that_stand_already_need_no_lock(server: Postgres, database: str) -> None:
    """Not that of VACUUM either, which may hold it for hours. And what has become of the columns since is
    told by the next start, not by a connection that is made again."""
    settings: dict[str, Any] = {"columns": {"public.t": ["id", "n"]}, "where": {"public.t": "id > 1"}}
    async with following(server, database, ["public.t"], **settings) as follower:
        position = (await follower.until())[-1].end
        again = Follower(server, database, ["public.t"], **settings)
        with server.connect(database) as holder, holder.transaction():
            holder.execute("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE")
            async with asyncio.timeout(8):  # less than the source's own lock_timeout
                await follower.resume(position)
                await follower.close()
                await again.resume(position)
                await again.close()
        follower.sql("ALTER TABLE t RENAME n TO m; INSERT INTO t VALUES (1, 1), (2, 2)")
        await follower.resume(position)
        assert await follower.told() == [("c", "public.t", None, {"id": 2, "m": 2})]
        (error,) = [f.error for f in await again.source.check() if f.error]
        assert error.code.id == "TR-PG-222"
        anew = Follower(server, database, ["public.t"], **settings)
        with pytest.raises(TailraceError, match="TR-PG-222"):
            await anew.resume(position)
        await anew.close()
        await again.close()


async def test_what_somebody_else_changes_is_refused(server: Postgres, database: str) -> None:
    async with following(server, database, **_where("id > 0")) as follower:
        position = (await follower.until())[-1].end
    follower.sql(f"ALTER PUBLICATION {follower.name} SET TABLE ONLY t WHERE (id > 1), ONLY whole (id)")
    again = Follower(server, database, ["public.t", "public.whole"], **_where("id > 2"))
    try:
        (error,) = [f.error for f in await again.source.check() if f.error]
        assert error.code.id == "TR-PG-220"
        assert "public.t, public.whole stands in it" in error.found
        with pytest.raises(TailraceError, match="TR-PG-220"):
            await again.resume(position)
        again.sql(error.remedy)
        await again.resume(position)
        again.sql("INSERT INTO t VALUES (2), (3); INSERT INTO whole VALUES (1, 'x')")
        assert [after for *_, after in await again.told()] == [
            {"id": 3, "n": None, "secret": None},
            {"id": 1, "x": "x"},
        ]
    finally:
        await again.close()


def _where(condition: str, table: str = "public.t") -> dict[str, Any]:
    return {"where": {table: condition}}


def _columns(*names: str, table: str = "public.t") -> dict[str, Any]:
    return {"columns": {table: names}}


async def test_refused_before_anything_is_made(server: Postgres, database: str) -> None:
    for settings, code, told in (
        (_columns("n"), "TR-PG-222", "id is missing"),
        (_columns("id", "no"), "TR-PG-222", "public.t has no column no"),
        (_columns("id", table="public.no"), "TR-PG-211", "no captured table matches public.no"),
        (_where("n > 0"), "TR-PG-223", "needs the columns n, "),
        (_where("t IS NOT NULL"), "TR-PG-223", "public.t"),
        (_where("no > 0"), "TR-PG-223", 'column "no" does not exist'),
        (_where("id >"), "TR-PG-223", "syntax error"),
        (_where("id > 0) WITH (publish = 'update'"), "TR-PG-223", "syntax error"),
        (_where("id > 0), public.whole WHERE (true"), "TR-PG-223", "not one condition"),
        (_where("id > 0); DROP TABLE public.whole; --"), "TR-PG-223", "public.t"),
        (_where("random() > 0.5"), "TR-PG-223", "invalid publication WHERE expression"),
        (_where("id"), "TR-PG-223", "boolean"),
    ):
        error = await _refusal(Follower(server, database, **settings))
        assert (error.code.id, told in error.found) == (code, True), error
    assert server.execute("SELECT count(*) FROM whole", database=database) == [(0,)]


@pytest.mark.parametrize(
    ("identity", "settings", "told"),
    [
        ("FULL", _columns("id"), "TR-PG-222"),
        ("FULL", _where("n > 0"), None),
        ("USING INDEX t_n", _where("n > 0"), None),
        ("USING INDEX t_n", _columns("id"), "TR-PG-222"),
        ("USING INDEX t_n", _columns("n"), None),
    ],
)
async def test_what_is_accepted_can_be_updated(
    server: Postgres, database: str, identity: str, settings: dict[str, Any], told: str | None
) -> None:
    server.execute(
        "ALTER TABLE t ALTER n SET NOT NULL; CREATE UNIQUE INDEX t_n ON t (n);"
        f"ALTER TABLE t REPLICA IDENTITY {identity}",
        database=database,
    )
    if told is not None:
        assert (await _refusal(Follower(server, database, **settings))).code.id == told
        return
    async with following(server, database, **settings) as follower:
        follower.sql("INSERT INTO t VALUES (1, 1, 's'); UPDATE t SET n = 2; DELETE FROM t")
        assert [op for op, *_ in await follower.told()] == ["c", "d", "c", "d"] if "INDEX" in identity else [
            "c", "u", "d",
        ]  # fmt: skip


@pytest.mark.parametrize("partitions", ["root", "leaves"])
async def test_partitions_go_with_their_table(server: Postgres, database: str, partitions: str) -> None:
    server.execute(
        "CREATE TABLE p (id int PRIMARY KEY, n int, secret text) PARTITION BY RANGE (id);"
        "CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE high (secret text, id int NOT NULL, n int);"  # its columns in another order
        "ALTER TABLE p ATTACH PARTITION high FOR VALUES FROM (10) TO (20)",
        database=database,
    )
    lists = {"columns": {"public.p": ["id", "n"]}, "where": {"public.p": "id <> 1"}}
    async with following(server, database, ["public.p"], partitions=partitions, **lists) as follower:
        follower.sql("INSERT INTO p VALUES (1, 1, 's'), (2, 2, 's'), (12, 3, 's'); UPDATE p SET n = 4")
        tables = ["p", "p"] if partitions == "root" else ["low", "high"]
        assert [(op, table, after) for op, table, _, after in await follower.told()] == [
            ("c", f"public.{tables[0]}", {"id": 2, "n": 2}),
            ("c", f"public.{tables[1]}", {"id": 12, "n": 3}),
            ("u", f"public.{tables[0]}", {"id": 2, "n": 4}),
            ("u", f"public.{tables[1]}", {"id": 12, "n": 4}),
        ]
        follower.sql("ALTER TABLE high REPLICA IDENTITY FULL")
        (error,) = [f.error for f in await follower.source.check() if f.error]
        assert error.code.id == "TR-PG-222"
        assert "public.high" in error.found


async def test_tables_without_an_identity(server: Postgres, database: str) -> None:
    """Of which inserts alone are published: any column will do."""
    server.execute("CREATE TABLE log (id int, n int, secret text)", database=database)
    lists = {"columns": {"public.log": ["n"]}, "where": {"public.log": "id > 1"}}
    async with following(server, database, ["public.log"], keyless="inserts_only", **lists) as follower:
        follower.sql("INSERT INTO log VALUES (1, 1), (2, 2); UPDATE log SET n = 3; DELETE FROM log")
        assert await follower.told() == [("c", "public.log", None, {"n": 2})]


async def test_generated_columns(postgres18: Postgres, make_database: Callable[[Postgres], str]) -> None:
    database = make_database(postgres18)
    postgres18.execute(
        "CREATE TABLE g (id int PRIMARY KEY, a int, s int GENERATED ALWAYS AS (a + 1) STORED, "
        "v int GENERATED ALWAYS AS (a + 2) VIRTUAL)",
        database=database,
    )
    for names, generated, told in (
        (["id", "s"], "none", "s of public.g is a generated one"),
        (["id", "v"], "stored", "v of public.g is a generated one"),
    ):
        error = await _refusal(
            Follower(postgres18, database, columns={"public.g": names}, publication={"generated": generated})
        )
        assert told in error.found
    lists = {"columns": {"public.g": ["id", "s"]}, "publication": {"generated": "stored"}}
    async with following(postgres18, database, **lists) as follower:
        follower.sql("INSERT INTO g VALUES (1, 1); UPDATE g SET a = 2")
        assert [after for *_, after in await follower.told()] == [{"id": 1, "s": 2}, {"id": 1, "s": 3}]


async def test_a_publication_of_somebody_elses_is_compared(server: Postgres, database: str) -> None:
    given: dict[str, Any] = {"publication": {"create": False}}
    plain = Follower(server, database, ["public.t"], **given)
    plain.sql(f"CREATE PUBLICATION {plain.name} FOR TABLE t (id, n) WHERE (id > 0)")

    async def errors(**settings: Any) -> Sequence[TailraceError]:
        follower = Follower(server, database, ["public.t"], **given, **settings)
        try:
            return [f.error for f in await follower.source.check() if f.error and f.title == "publication"]
        finally:
            await follower.close()

    assert await errors() == []
    assert await errors(columns={"public.t": ["n", "id"]}) == []  # of the filter it says nothing
    assert await errors(columns={"public.t": ["n", "id"]}, where={"public.t": "id > 0"}) == []
    (error,) = await errors(columns={"public.t": ["id"]})
    assert error.code.id == "TR-PG-221"
    assert "publishes of public.t: the columns id, n, the rows WHERE (id > 0); the file says:" in error.found
    plain.sql(error.remedy.partition("may run: ")[2].partition("; Or ")[0])
    assert _published(plain) == {"t": (["id"], "(id > 0)")}
    (error,) = await errors(where={"public.t": "id > 1"})
    assert "WHERE (id > 1)" in error.remedy
    assert plain.sql("SELECT obj_description(oid) FROM pg_publication") == [(None,)]


async def test_a_list_that_changes_while_it_runs(server: Postgres, database: str) -> None:
    """Each change has the columns that were published when it was made."""
    plain = Follower(server, database, ["public.t"], publication={"create": False})
    plain.sql(f"CREATE PUBLICATION {plain.name} FOR TABLE t (id, n)")
    try:
        await plain.start()
        plain.sql("INSERT INTO t VALUES (1, 1, 's')")
        first = await plain.told()
        plain.sql(f"ALTER PUBLICATION {plain.name} SET TABLE t (id, secret) WHERE (id <> 2)")
        plain.sql("INSERT INTO t VALUES (2, 2, 's'), (3, 3, 's')")
        assert [after for *_, after in [*first, *await plain.told()]] == [
            {"id": 1, "n": 1},
            {"id": 3, "secret": "s"},
        ]
    finally:
        await plain.close()


async def test_all_tables_cannot_be_parted(server: Postgres, database: str) -> None:
    async with following(server, database, ["public.t"]) as follower:
        pass
    follower.sql(f"DROP PUBLICATION {follower.name}; CREATE PUBLICATION {follower.name} FOR ALL TABLES")
    again = Follower(server, database, ["public.t"], **_columns("id"))
    (error,) = [f.error for f in await again.source.check() if f.error]
    assert error.code.id == "TR-PG-220"
    follower.sql("BEGIN;" + error.remedy.partition("BEGIN;")[2])
    assert [f.error for f in await again.source.check() if f.error] == []
    await again.close()
    assert _published(again) == {"t": (["id"], None)}


@pytest.mark.parametrize("every_postgres", [14], indirect=True)
async def test_before_15_it_is_refused_by_name(
    every_postgres: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    database = make_database(every_postgres)
    every_postgres.execute(_TABLES, database=database)
    error = await _refusal(Follower(every_postgres, database, **_LISTS))
    assert error.code.id == "TR-PG-206"
    assert "columns and where needs PostgreSQL 15" in error.found
