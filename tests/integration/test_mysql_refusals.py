"""What stands in the way of a MySQL or MariaDB source: named, with what to do, before anything is lost."""

from __future__ import annotations

import asyncio
import contextlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from connectors.mysql import continuity
from connectors.mysql.assembly.refusals import AS_STATEMENT
from connectors.mysql.assembly.tables import KEYLESS, ROW_IMAGE
from connectors.mysql.catalogue import OTHER_FLAVOR
from connectors.mysql.channel import AHEAD, PURGED, TAKEN
from connectors.mysql.checks import SETTING
from connectors.mysql.source import MariaDbSource, MySqlSource
from connectors.mysql.table_checks import NO_TABLE
from tailrace.abc import Finding, SourceContext
from tailrace.clients.mysql.address import TLS, Address
from tailrace.clients.mysql.faults import LOST, NO_DATABASE, PASSWORD, PERMISSION, UNREACHABLE
from tailrace.errors import Diverged, Gap, NotReady, Retry, Stop
from tests.integration.mysql_following import Follower, told
from tests.logged import capture_logs
from tests.servers import MySql, MySqlServer
from tests.servers.process import free_port


@pytest.fixture
def database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    """With an empty table `t`."""
    name = make_database(every_mysql)
    every_mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=name)
    return name


@pytest.fixture
def account(every_mysql: MySql, database: str) -> Iterator[Callable[[str], str]]:
    """Makes an account with some rights: (what is granted on *.*); returns a URL with its password."""
    name = f"a{uuid.uuid4().hex[:8]}"

    def make(rights: str) -> str:
        every_mysql.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'sécret'")
        if rights:
            every_mysql.execute(f"GRANT {rights} ON *.* TO {name}@'%'")
        every_mysql.execute(f"GRANT SELECT ON {database}.* TO {name}@'%'")
        return every_mysql.url(user=name, password="sécret")

    yield make
    every_mysql.execute(f"DROP USER IF EXISTS {name}@'%'")


@contextlib.contextmanager
def changed(server: MySql, name: str, value: str) -> Iterator[None]:
    """With a global setting of the server changed, for sessions that begin meanwhile."""
    ((before,),) = server.execute(f"SELECT @@GLOBAL.{name}")
    server.execute(f"SET GLOBAL {name} = '{value}'")
    try:
        yield
    finally:
        server.execute(f"SET GLOBAL {name} = '{before}'")


async def findings(server: MySql, database: str, **settings: Any) -> Sequence[Finding]:
    async with Follower(server, database, **settings) as follower:
        return await follower.source.check()


def codes(found: Sequence[Finding]) -> list[object]:
    return [finding.error.code for finding in found if finding.error is not None]


def remedy(finding: Finding) -> str:
    assert finding.error is not None
    return finding.error.remedy


async def test_nothing_is_at_fault(every_mysql: MySql, database: str) -> None:
    found = await findings(every_mysql, database)
    assert codes(found) == []
    assert [finding.title for finding in found if finding.warning] == []
    assert found[-1].found == f"{database}.t"


@pytest.mark.parametrize(
    ("name", "value"),
    [("binlog_format", "MIXED"), ("binlog_row_metadata", "MINIMAL"), ("binlog_row_image", "MINIMAL")],
)
async def test_a_log_without_what_is_needed(every_mysql: MySql, database: str, name: str, value: str) -> None:
    with changed(every_mysql, name, value):
        found = await findings(every_mysql, database)
    [finding] = [one for one in found if one.error is not None]
    assert finding.error is not None
    assert (finding.title, finding.error.code) == (name, SETTING)
    assert ("Sessions that are open" in finding.error.remedy) == (name != "binlog_row_metadata")
    assert ("row_images: partial" in finding.error.remedy) == (name == "binlog_row_image")
    wanted = {"binlog_format": "ROW"}.get(name, "FULL")
    if every_mysql.flavor == "mysql":
        assert finding.error.remedy.startswith(f"SET PERSIST {name} = '{wanted}';")
    else:
        said = f"SET GLOBAL {name} = '{wanted}'; and {name} = {wanted} in the server's configuration."
        assert finding.error.remedy.startswith(said)


async def test_capitals_where_the_server_keeps_none(make_mysql: Callable[..., MySqlServer]) -> None:
    """A pattern under `exclude` that can match nothing would let through what it is to leave out."""
    server = make_mysql("mariadb10", {"lower_case_table_names": 1})
    server.script("CREATE DATABASE shop;\nCREATE TABLE shop.Orders (id int PRIMARY KEY)")
    server.execute("CREATE TABLE shop.Secret (id int PRIMARY KEY)")
    assert codes(await findings(server, "shop", exclude=["shop.Secret"])) == [NO_TABLE]
    async with Follower(server, "shop", exclude=["shop.secret"]) as follower:
        await follower.start()
        follower.sql("INSERT INTO SECRET VALUES (1)", "INSERT INTO ORDERS VALUES (1)", "TRUNCATE Orders")
        assert await follower.told() == [("c", "orders", None, {"id": 1}), ("t", "orders", None, None)]
        follower.sql("CREATE TABLE ΟΔΟΣ (id int PRIMARY KEY)", "TRUNCATE ΟΔΟΣ")
        assert await follower.told() == [("t", "οδοσ", None, None)]  # the server knows no letter of ends
        follower.sql("CREATE TABLE Parts (id int PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 2")
        with capture_logs() as lines:
            follower.sql("ALTER TABLE PARTS TRUNCATE PARTITION p0")
            assert await follower.told() == []
    assert [line["tables"] for line in lines if line["level"] == "warning"] == [["shop.parts"]]


async def test_files_that_no_position_names(make_mysql: Callable[..., MySqlServer]) -> None:
    server = make_mysql("mariadb10", {"log_bin": '"my log"'})
    [error] = [one.error for one in await findings(server, "shop") if one.error is not None]
    assert (error.code, "'my log.0000" in error.found) == (SETTING, True)


async def test_rows_without_blobs_are_warned_of(every_mysql: MySql, database: str) -> None:
    """They arrive as far as they are logged; an insert that leaves a blob out does not."""
    every_mysql.execute("CREATE TABLE b (id int PRIMARY KEY, x blob)", database=database)
    with changed(every_mysql, "binlog_row_image", "NOBLOB"):
        found = await findings(every_mysql, database)
        assert codes(found) == []
        [finding] = [one for one in found if one.warning]
        assert (finding.title, "NOBLOB" in finding.found) == ("binlog_row_image", True)
        async with Follower(every_mysql, database) as follower:
            await follower.start()
            follower.sql("INSERT INTO b VALUES (1, 'x')", "INSERT INTO b (id) VALUES (2)")
            assert told([await follower.batch()]) == [("c", "b", None, {"id": 1, "x": b"x"})]
            with pytest.raises(NotReady) as raised:
                await follower.batch()
    assert raised.value.code is ROW_IMAGE
    kept = {"mysql": "SET PERSIST ", "mariadb": "SET GLOBAL "}[every_mysql.flavor]
    assert raised.value.remedy.startswith(f"{kept}binlog_row_image = 'FULL'; ")


async def test_what_the_log_lacks(every_mysql: MySql, database: str) -> None:
    for statement in (
        "CREATE TABLE child (id int PRIMARY KEY, t int, FOREIGN KEY (t) REFERENCES t (id) ON DELETE CASCADE)",
        "CREATE TABLE made (id int PRIMARY KEY, twice int AS (id * 2))",
    ):
        every_mysql.execute(statement, database=database)
    found = {one.title: one.found for one in await findings(every_mysql, database) if one.warning}
    titles = {"mysql": [], "mariadb": ["foreign keys"]}[every_mysql.flavor]
    if every_mysql.version.startswith("11."):
        titles.append("generated columns")
    assert list(found) == titles
    assert f"{database}.child" in found.get("foreign keys", f"{database}.child")
    assert f"{database}.made.twice" in found.get("generated columns", f"{database}.made.twice")


BY_TRANSACTIONS = """
CREATE TABLE v (
    id int PRIMARY KEY, s bigint unsigned AS ROW START, e bigint unsigned AS ROW END,
    PERIOD FOR SYSTEM_TIME (s, e)
) WITH SYSTEM VERSIONING
"""


async def test_tables_whose_changes_are_always_statements(
    mariadb: MySql, make_database: Callable[[MySql], str]
) -> None:
    """MariaDB logs those so that are versioned by transactions, and does not tell whose a statement is."""
    database = make_database(mariadb)
    by_time = BY_TRANSACTIONS.replace("bigint unsigned", "timestamp(6)").replace("TABLE v", "TABLE t")
    mariadb.script(f"{BY_TRANSACTIONS};\n{by_time}", database=database)
    [error] = [one.error for one in await findings(mariadb, database) if one.error is not None]
    assert (error.code, f"{database}.v" in error.found) == (SETTING, True)
    found = await findings(mariadb, database, exclude=[f"{database}.v"])
    assert codes(found) == []
    assert [one.title for one in found if one.warning] == ["system versioning"]
    async with Follower(mariadb, database, exclude=[f"{database}.v"]) as follower:
        await follower.start()
        follower.sql("INSERT INTO t (id) VALUES (1)")
        assert [one[:2] for one in await follower.told()] == [("c", "t")]
        follower.sql("INSERT INTO v (id) VALUES (1)")
        with pytest.raises(Stop) as raised:
            await follower.until()
    assert raised.value.code is AS_STATEMENT


async def test_tables(every_mysql: MySql, database: str) -> None:
    every_mysql.execute("CREATE TABLE k (id int)", database=database)
    found = await findings(every_mysql, database, tables=[f"{database}.gone", f"{database}.*"])
    assert codes(found) == [NO_TABLE, KEYLESS]
    found = await findings(every_mysql, database, exclude=[f"{database}.k"])
    assert codes(found) == []
    [finding] = [
        one for one in await findings(every_mysql, database, tables=[f"{database}.x*"]) if one.warning
    ]
    assert "no table matches yet" in finding.found
    assert "GRANT SELECT ON" in finding.remedy
    [finding] = [one for one in await findings(every_mysql, database, exclude=["*.*"]) if one.warning]
    assert "no table matches yet" in finding.found
    assert finding.remedy.endswith("so. What tables: names, exclude: takes away again.")
    found = await findings(every_mysql, database, tables=[f"{database}.t", f'"`{database}`".*'])
    assert [one.found for one in found if one.warning] == [f'"`{database}`".* matches no table yet']
    found = await findings(every_mysql, database, tables=[f"{database}.itms"])
    assert "Did you mean" not in str([one.error and one.error.remedy for one in found])
    every_mysql.execute("CREATE TABLE items (id int PRIMARY KEY)", database=database)
    found = await findings(every_mysql, database, tables=[f"{database}.itms"])
    [remedy] = [one.error.remedy for one in found if one.error]
    assert remedy.startswith(f"Did you mean {database}.items? Correct tables:, ")


@pytest.mark.parametrize("way", [str.upper, '"`{}`"'.format])
async def test_a_table_that_is_called_a_little_otherwise(
    every_mysql: MySql, database: str, way: Callable[[str], str]
) -> None:
    found = await findings(every_mysql, database, tables=[f"{way(database)}.{way('t')}"])
    assert [one.error.remedy for one in found if one.error] == [f"Write {database}.t under tables:."]


async def test_tables_that_are_changed_meanwhile(
    mariadb: MySql, make_database: Callable[[MySql], str]
) -> None:
    """MariaDB does not show them, or not their keys, for a moment: that is no reason to stop."""
    name, changing = make_database(mariadb), True
    for table in ("t", "u"):
        mariadb.execute(f"CREATE TABLE {table} (id int PRIMARY KEY)", database=name)

    def change() -> None:
        with mariadb.connect(name) as connection, connection.cursor() as cursor:
            while changing:
                cursor.execute("RENAME TABLE u TO v")
                cursor.execute("RENAME TABLE v TO u")
                cursor.execute("ALTER TABLE t FORCE")

    changes = asyncio.create_task(asyncio.to_thread(change))
    try:
        async with Follower(mariadb, name, tables=[f"{name}.*", f"{name}.t"]) as follower:
            for _ in range(10):
                assert codes(await follower.source.check()) == []
    finally:
        changing = False
        await changes


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda url: url.replace("root@", "root:wrong@"), PASSWORD),
        (lambda url: url.replace("root@", "nobody@"), PASSWORD),
        (lambda url: f"{url}nosuch", NO_DATABASE),
        (lambda url: f"mysql://root@127.0.0.1:{free_port()}/", UNREACHABLE),
        (lambda url: "mysql://root@no.such.host.invalid/", UNREACHABLE),
    ],
    ids=["password", "user", "database", "port", "host"],
)
async def test_the_way_to_the_server(
    every_mysql: MySql, database: str, change: Callable[[str], str], code: object
) -> None:
    found = await findings(every_mysql, database, url=change(every_mysql.url()))
    assert codes(found) == [code]
    assert isinstance(found[-1].error, Retry if code is UNREACHABLE else NotReady)
    assert "wrong" not in str(found[-1].error)


async def test_the_certificate_of_a_server_is_asked_for(mysql: MySql, mysql_database: str) -> None:
    """Its own authority has signed it, for no name: what is asked decides."""
    assert codes(await findings(mysql, mysql_database, ssl_mode="required")) == []
    found = await findings(mysql, mysql_database, ssl_mode="verify_identity")
    assert codes(found) == [TLS]
    assert "self-signed" in found[-1].found
    assert "ssl_ca: /…/ca.pem" in remedy(found[-1])
    if isinstance(mysql, MySqlServer):
        authority = str(mysql.data / "ca.pem")
        assert codes(await findings(mysql, mysql_database, ssl_mode="verify_ca", ssl_ca=authority)) == []
        found = await findings(mysql, mysql_database, ssl_mode="verify_identity", ssl_ca=authority)
        assert codes(found) == [TLS]
        assert "127.0.0.1" in found[-1].found
        assert "ssl_mode: verify_ca" in remedy(found[-1])


async def test_a_server_without_tls(make_mysql: Callable[..., MySqlServer]) -> None:
    server = make_mysql("mariadb10", {"ssl": "OFF"})
    [finding] = await findings(server, "shop", ssl_mode="required")
    assert codes([finding]) == [TLS]
    assert finding.found == "the server offers no TLS"
    assert "ssl_mode: preferred" in remedy(finding)


async def test_what_is_to_be_set_is_told_at_once(make_mysql: Callable[..., MySqlServer]) -> None:
    """A server without a log has to be started anew: once, with all that is missing."""
    bare = dict.fromkeys(("log_bin", "binlog_format", "binlog_row_metadata"))
    found = await findings(make_mysql("mariadb10", bare), "shop")
    assert [one.title for one in found if one.error is not None] == [
        "log_bin",
        "binlog_format",
        "binlog_row_metadata",
    ]


async def test_tables_that_the_account_may_not_see_come_with_the_grant(every_mysql: MySql) -> None:
    found = await findings(every_mysql, "none_of_that_name")
    [finding] = [one for one in found if one.title == "tables"]
    assert finding.warning
    assert "GRANT SELECT ON `none_of_that_name`.* TO 'root'@'" in finding.remedy


async def test_a_certificate_of_the_client(mysql: MySql, mysql_database: str) -> None:
    """Which its account has to have: in the list of checks, and where the log is read."""
    if not isinstance(mysql, MySqlServer):
        pytest.skip("a given server has the certificates of somebody else")
    name, rights = f"a{uuid.uuid4().hex[:8]}", "REPLICATION SLAVE, REPLICATION CLIENT, SELECT"
    mysql.execute(f"CREATE USER {name}@'%' IDENTIFIED BY 'x' REQUIRE X509")
    mysql.execute(f"GRANT {rights} ON *.* TO {name}@'%'")
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=mysql_database)
    tls: dict[str, Any] = {
        "url": mysql.url(user=name, password="x"),
        "ssl_mode": "verify_ca",
        "ssl_ca": str(mysql.data / "ca.pem"),
    }
    cert: dict[str, Any] = {
        "ssl_cert": str(mysql.data / "client-cert.pem"),
        "ssl_key": str(mysql.data / "client-key.pem"),
    }
    assert codes(await findings(mysql, mysql_database, **tls)) == [PASSWORD]
    async with Follower(mysql, mysql_database, **tls, **cert) as follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        assert await follower.told() == [("c", "t", None, {"id": 1})]
    mysql.execute(f"DROP USER {name}@'%'")


async def test_a_server_of_the_other_kind(every_mysql: MySql) -> None:
    kind = MariaDbSource if every_mysql.flavor == "mysql" else MySqlSource
    settings = kind.Settings.model_validate(
        {"url": every_mysql.url(), "tables": ["shop.*"], "snapshot": "never"}
    )
    source = kind(settings, SourceContext("other"))
    try:
        assert codes(await source.check()) == [OTHER_FLAVOR]
    finally:
        await source.close()


async def test_the_rights_that_an_account_needs(
    every_mysql: MySql, database: str, account: Callable[[str], str]
) -> None:
    url = account("REPLICATION SLAVE, REPLICATION CLIENT")
    async with Follower(every_mysql, database, url=url) as follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)")
        batches = await follower.until()
        assert told(batches) == [("c", "t", None, {"id": 1})]
        await follower.resume(batches[-1].end)


async def test_who_reads_under_a_server_id_may_not_be_seen(
    every_mysql: MySql, database: str, account: Callable[[str], str]
) -> None:
    """In MariaDB that takes a right of its own; what was not looked at is not said to be free."""
    url = account("REPLICATION SLAVE, REPLICATION CLIENT")
    [finding] = [
        one
        for one in await findings(every_mysql, database, url=url, server_id=4712)
        if one.title == "server_id"
    ]
    seen = every_mysql.flavor == "mysql"
    assert ("nobody reads under it" in finding.found) == seen
    told = "4712: who reads under it is not to be seen without REPLICATION MASTER ADMIN"
    assert (finding.found == told) == (not seen)


async def test_the_server_id_of_the_server_itself(every_mysql: MySql, database: str) -> None:
    """Which does not end: there is nothing to wait for."""
    ((own,),) = every_mysql.execute("SELECT @@server_id")
    found = await findings(every_mysql, database, server_id=int(own))
    [error] = [one.error for one in found if one.error]
    assert error.found == f"server_id {own} is that of the server itself"
    assert error.remedy.startswith("Write another server_id: under source:")


async def test_rows_that_foreign_keys_change_and_no_log_holds(
    every_mysql: MySql, database: str, account: Callable[[str], str]
) -> None:
    """To an account with no rights but those that it needs."""
    every_mysql.execute("CREATE TABLE plain (id int PRIMARY KEY REFERENCES t (id))", database=database)
    every_mysql.execute(
        "CREATE TABLE child (id int PRIMARY KEY, FOREIGN KEY (id) REFERENCES t (id) ON DELETE CASCADE)",
        database=database,
    )
    url = account("REPLICATION SLAVE, REPLICATION CLIENT")
    found = await findings(every_mysql, database, url=url)
    warned = [one.found for one in found if one.title == "foreign keys"]
    if every_mysql.flavor == "mysql":
        assert warned == []  # see test_mysql_cascades.py
    else:
        [told] = warned
        assert f" in {database}.child" in told
        found = await findings(every_mysql, database, url=url, exclude=[f"{database}.child"])
        assert [one for one in found if one.warning] == []


@pytest.mark.parametrize("rights", ["REPLICATION CLIENT", "REPLICATION SLAVE"])
async def test_a_right_that_is_missing(
    every_mysql: MySql, database: str, account: Callable[[str], str], rights: str
) -> None:
    found = await findings(every_mysql, database, url=account(rights))
    assert PERMISSION in codes(found)


async def test_what_grants_the_rights_that_are_missing(
    every_mysql: MySql, database: str, account: Callable[[str], str]
) -> None:
    """The statements do as they stand there, on the account as it was made."""
    url = account("")
    every_mysql.execute(f"REVOKE SELECT ON {database}.* FROM {Address.parse(url).user}@'%'")
    found = await findings(every_mysql, database, url=url, tables=[f"{database}.t"])
    assert codes(found) == [PERMISSION, PERMISSION, NO_TABLE]
    for finding in found:
        if finding.error is not None:
            assert "password" not in finding.found
            every_mysql.execute(finding.error.remedy[finding.error.remedy.index("GRANT") :])
    assert codes(await findings(every_mysql, database, url=url, tables=[f"{database}.t"])) == []


async def test_a_right_that_is_taken_away_is_named_where_the_log_is_read_again(
    every_mysql: MySql, database: str, account: Callable[[str], str]
) -> None:
    """The server's own words for it are those of a wrong password."""
    url = account("REPLICATION SLAVE, REPLICATION CLIENT")
    async with Follower(every_mysql, database, url=url) as follower:
        position = await follower.start()
        user = Address.parse(url).user
        every_mysql.execute(f"REVOKE REPLICATION SLAVE ON *.* FROM {user}@'%'")
        with pytest.raises(NotReady) as raised:
            await follower.resume(position)
    assert raised.value.found == "the account lacks REPLICATION SLAVE"
    assert raised.value.remedy == f"GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%';"


async def test_a_password_that_is_changed_meanwhile(
    every_mysql: MySql, database: str, account: Callable[[str], str], tmp_path: Path
) -> None:
    """Its file is read at each new connection; a wrong one is told, and not tried for ever."""
    user = Address.parse(account("REPLICATION SLAVE, REPLICATION CLIENT")).user
    file = tmp_path / "password"
    file.write_text("sécret\n")

    def cut(password: str) -> None:
        every_mysql.execute(f"ALTER USER {user}@'%' IDENTIFIED BY '{password}'")
        for (id,) in every_mysql.execute(
            "SELECT id FROM information_schema.processlist WHERE user = %s", (user,)
        ):
            every_mysql.execute(f"KILL {id}")

    settings: dict[str, Any] = {"url": every_mysql.url(user=user), "password": {"file": str(file)}}
    async with Follower(every_mysql, database, **settings) as follower:
        position = await follower.start()
        cut("änother")
        follower.sql("INSERT INTO t VALUES (1)")
        file.write_text("änother\n")
        await follower.resume(position)
        assert await follower.told() == [("c", "t", None, {"id": 1})]
        cut("a third")
        with pytest.raises(NotReady) as raised:
            await follower.resume(position)
    assert raised.value.code is PASSWORD


async def test_a_server_id_is_one_readers_alone(
    every_mysql: MySql, database: str, make_database: Callable[[MySql], str]
) -> None:
    """The one that came first goes on; the server's own is nobody's."""
    other = make_database(every_mysql)
    async with (
        Follower(every_mysql, database, server_id=4711) as first,
        Follower(every_mysql, other, server_id=4711) as second,
    ):
        await first.start()
        assert codes(await second.source.check()) == [TAKEN]
        await second.source.identify()
        with pytest.raises(Retry) as raised:
            await second.source.open(await second.source.anchor())
        assert raised.value.code is TAKEN
        assert f"tailrace {database}" in raised.value.found
        first.sql("INSERT INTO t VALUES (1)")
        assert len(await first.told()) == 1
    ((own,),) = every_mysql.execute("SELECT @@GLOBAL.server_id")
    assert codes(await findings(every_mysql, database, server_id=own)) == [TAKEN]


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
async def test_a_failover_and_a_log_that_was_reset(
    make_mysql: Callable[..., MySqlServer], release: str
) -> None:
    """A replica that has everything goes on, between transactions; one that lacks something is refused, and
    so is a server whose log was reset."""
    primary, replica = make_mysql(release), make_mysql(release)
    replica.follow(primary)
    primary.execute("CREATE DATABASE shop")
    primary.execute("CREATE TABLE shop.t (id int PRIMARY KEY, x text)")
    async with Follower(primary, "shop") as before:
        await before.start()
        before.sql("INSERT INTO t VALUES (1, NULL)")
        large = ", ".join(f"({n}, repeat('x', 1000))" for n in range(10, 3000))
        before.sql(f"INSERT INTO t VALUES {large}")
        batches = [batch for batch in await before.until() if batch.events]
        inside = next(batch.end for batch in batches if not batch.commit)
        end = batches[-1].end
    replica.wait_for(primary.gtids())
    replica.promote()
    async with Follower(replica, "shop") as after:
        after.sql("INSERT INTO t VALUES (2, NULL)")
        await after.resume(end)
        assert await after.told() == [("c", "t", None, {"id": 2, "x": None})]
        with pytest.raises(NotReady) as counted:
            await after.resume(inside)
        assert counted.value.code is continuity.INSIDE_TRANSACTION
        newest = (await _end(after))["gtids" if release == "mysql9" else "domains"]
    async with Follower(replica, "shop", redeliver=True) as again:
        await again.resume(inside)
        assert len(told(await again.until())) == 2991
    async with Follower(primary, "shop") as old:
        with pytest.raises(Diverged) as lacking:
            await old.resume(old.source.parse(str(newest)))
        assert lacking.value.code is AHEAD
        primary.execute("RESET BINARY LOGS AND GTIDS" if release == "mysql9" else "RESET MASTER")
        with pytest.raises(Diverged) as reset:
            await old.resume(end)
        assert reset.value.code is AHEAD


async def _end(follower: Follower) -> dict[str, object]:
    return dict(await follower.source.current())


async def test_a_replica_that_does_not_log_what_it_applies(make_mysql: Callable[..., MySqlServer]) -> None:
    server = make_mysql("mariadb10", {"log_slave_updates": "OFF"})
    server.execute("CREATE DATABASE shop")
    server.execute("CREATE TABLE shop.t (id int PRIMARY KEY)")
    alone = await findings(server, "shop")
    assert codes(alone) == []
    [told] = [one.found for one in alone if one.title == "log_slave_updates"]
    assert "replicates from nobody" in told
    server.execute("CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_USER = 'nobody', MASTER_PORT = 1")
    [fault] = [one.error for one in await findings(server, "shop") if one.error is not None]
    assert (fault.code, "log_slave_updates" in fault.found) == (SETTING, True)


async def test_what_a_replica_leaves_out_is_told(every_mysql: MySql, database: str) -> None:
    """It is in nobody's log but that of the server which is replicated from."""
    made, undone = {
        "mysql": (
            "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1;\n"
            "CHANGE REPLICATION FILTER REPLICATE_IGNORE_DB = (hidden)",
            "CHANGE REPLICATION FILTER REPLICATE_IGNORE_DB = ();\nRESET REPLICA ALL",
        ),
        "mariadb": ("SET GLOBAL replicate_ignore_db = 'hidden'", "SET GLOBAL replicate_ignore_db = ''"),
    }[every_mysql.flavor]
    try:
        every_mysql.script(made)
        [finding] = [one for one in await findings(every_mysql, database) if one.warning]
    finally:
        every_mysql.script(undone)
    assert finding.title == "replication filters"
    assert finding.found.startswith("replicate_ignore_db = hidden: ")


async def test_nodes_of_a_galera_cluster(make_mysql: Callable[..., MySqlServer]) -> None:
    """What the others write is in a node's log if it is told to; its GTIDs are its own unless it is told."""
    alone = make_mysql("mariadb11", {"wsrep_on": "ON", "log_slave_updates": "OFF"})
    [error] = [one.error for one in await findings(alone, "shop") if one.error is not None]
    assert (error.code, "Galera" in error.found) == (SETTING, True)
    nodes = [make_mysql("mariadb11", {"wsrep_on": "ON"}) for _ in range(2)]
    nodes[1].follow(nodes[0])
    nodes[0].execute("CREATE DATABASE shop")
    nodes[0].execute("CREATE TABLE shop.t (id int PRIMARY KEY)")
    assert [one.title for one in await findings(nodes[0], "shop") if one.warning] == ["Galera"]
    both = nodes[0].url().replace("127.0.0.1", "localhost,127.0.0.1", 1)
    assert SETTING in codes(await findings(nodes[0], "shop", url=both))
    async with Follower(nodes[0], "shop") as follower:
        origin = await follower.start()
    nodes[1].wait_for(nodes[0].gtids())
    async with Follower(nodes[1], "shop") as follower:
        with pytest.raises(Diverged) as raised:
            await follower.resume(origin)
        nodes[1].execute("SET GLOBAL wsrep_gtid_mode = ON")
        await follower.source.identify()
        await follower.resume(origin)
    assert (raised.value.code, "Galera" in raised.value.found) == (AHEAD, True)


async def test_a_log_that_was_purged_names_what_is_missing(mysql: MySql, mysql_database: str) -> None:
    mysql.execute("CREATE TABLE t (id int PRIMARY KEY)", database=mysql_database)
    async with Follower(mysql, mysql_database) as follower:
        origin = await follower.start()
        await follower.close()
        follower.sql("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)", "FLUSH BINARY LOGS")
        [(uuid,)] = mysql.execute("SELECT @@server_uuid")
        (newest,) = re.findall(rf"{uuid}:\d+-(\d+)", mysql.gtids())
        mysql.execute(f"PURGE BINARY LOGS TO '{mysql.execute('SHOW BINARY LOGS')[-1][0]}'")
        with pytest.raises(Gap) as raised:
            await follower.resume(origin)
    assert raised.value.code is PURGED
    assert f"{int(newest) - 1}-{newest}" in raised.value.found


async def test_the_same_gtids_in_another_log_are_refused(make_mysql: Callable[..., MySqlServer]) -> None:
    """A server that was reset and has come as far again: MariaDB's numbers are the same then."""
    server = make_mysql("mariadb10")
    server.execute("CREATE DATABASE shop")
    server.execute("CREATE TABLE shop.t (id int PRIMARY KEY)")
    async with Follower(server, "shop") as follower:
        await follower.start()
        follower.sql("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)")
        end = (await follower.until())[-1].end
        await follower.close()
        server.execute("RESET MASTER")
        follower.sql(*[f"INSERT INTO t VALUES ({n})" for n in range(10, 20)])
        with pytest.raises((Diverged, Stop)) as raised:
            await follower.resume(end)
        assert raised.value.code is AHEAD
        server.execute("SET GLOBAL server_id = 4711")  # so it is another, which has come further by itself
        server.execute("RESET MASTER")
        follower.sql(*[f"INSERT INTO t VALUES ({n})" for n in range(20, 30)])
        with pytest.raises(Diverged) as raised:  # before it is asked for its log, and anybody is fenced
            await follower.source.verify(await follower.checkpoint(end))
    assert raised.value.code is AHEAD


async def test_what_is_found_out_as_the_log_is_asked_for(make_mysql: Callable[..., MySqlServer]) -> None:
    """That a position is one that the log left out, and that another server answers than the one that was
    checked."""
    server = make_mysql("mariadb11")
    server.script("CREATE DATABASE shop;\nCREATE TABLE shop.t (id int PRIMARY KEY)")
    async with Follower(server, "shop") as follower:
        position = await follower.start()
        domain, number, last = server.gtids().split("-")
        follower.sql(f"SET gtid_seq_no = {int(last) + 5}", "INSERT INTO t VALUES (1)")
        hole = follower.source.parse(f"{domain}-{number}-{int(last) + 3}")
        with pytest.raises(Diverged) as diverged:
            await follower.resume(hole)
        assert diverged.value.code is AHEAD
        await follower.resume(position)
        assert await follower.told() == [("c", "t", None, {"id": 1})]
        await follower.close()
        await follower.source.verify(await follower.checkpoint(position))
        server.execute(f"SET GLOBAL server_id = {int(number) ^ 1}")
        with pytest.raises(Retry) as other:
            await follower.source.open(position)
    assert other.value.code is LOST
    assert other.value.found.startswith("another server answers now")
