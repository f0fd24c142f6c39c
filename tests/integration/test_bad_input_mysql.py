"""A MySQL or MariaDB that is not ready for the pipeline, a position that does not fit it, and a log that
cannot be read: each one error on the command line, with its code and what to do."""

from __future__ import annotations

import contextlib
import re
import uuid
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from struct import pack
from typing import Any

import pytest

from tests.integration.commandline import PASSWORD, Pipeline, Problem, tailrace, the_problem
from tests.integration.relay import Relay
from tests.servers import MySql, MySqlServer
from tests.servers.process import free_port
from tests.waiting import wait_until


class MySqlPipeline(Pipeline):
    """A pipeline on a database of MySQL or MariaDB."""

    server: MySql  # type: ignore[assignment] # what is used of it both kinds have

    def __init__(self, folder: Path, server: MySql, database: str) -> None:
        super().__init__(folder, server, database)  # type: ignore[arg-type] # as above
        self.source = {
            "type": server.flavor,
            "url": server.url(),
            "tables": [f"{database}.*"],
            "snapshot": "never",
        }

    def insert(self, *ids: int) -> None:
        with self.server.connect(self.database) as connection, connection.cursor() as cursor:
            for id in ids:
                cursor.execute("INSERT INTO t VALUES (%s, NULL)", (id,))

    def read(self, sink: str | Path = "log.db", table: str = "t") -> list[tuple[str, Any]]:
        return super().read(sink, f"{self.database}.{table.removeprefix('public.')}")

    def through(self, relay: Relay) -> None:
        """Reach the server by a relay."""
        self.source["url"] = f"mysql://root@127.0.0.1:{relay.port}/"
        self.source["ssl_mode"] = "disabled"

    @contextlib.contextmanager
    def retrying(self, code: str) -> Iterator[str]:
        """A process that waits for something to pass, and what it says of it; it goes on once it has."""
        with self.running(until="pipeline retrying") as process:
            (line,) = (line for line in process.stderr.splitlines() if "retrying" in line)
            assert f"code={code}" in line
            yield line
            wait_until(lambda: "pipeline streaming" in process.stderr, "the start")
            self.stop(process)


@pytest.fixture
def pipeline(tmp_path: Path, mysql: MySql, make_database: Callable[[MySql], str]) -> MySqlPipeline:
    """On MySQL, not started yet; its table `t` is empty."""
    return MySqlPipeline(tmp_path, mysql, make_database(mysql))


@pytest.fixture
def account(pipeline: MySqlPipeline) -> Iterator[str]:
    """An account with a password and the rights that it needs; the pipeline's."""
    name = f"a{uuid.uuid4().hex[:8]}"
    pipeline.server.execute(f"CREATE USER {name}@'%%' IDENTIFIED BY %s", (PASSWORD,))
    pipeline.sql(f"GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO {name}@'%'")
    pipeline.sql(f"GRANT SELECT ON {pipeline.database}.* TO {name}@'%'")
    pipeline.source |= {"url": pipeline.server.url(user=name), "password": PASSWORD}
    yield name
    pipeline.sql(f"DROP USER {name}@'%'")


def _refused(pipeline: MySqlPipeline, code: str) -> Problem:
    """Doctor and run find the same one fault."""
    problem = pipeline.refused(code)
    assert pipeline.faults() == {code: problem.remedy}
    return problem


def test_an_unreachable_host(pipeline: MySqlPipeline) -> None:
    relay = Relay(pipeline.server)
    pipeline.through(relay)
    assert list(pipeline.faults()) == ["TR-MY-001"]
    with pipeline.retrying("TR-MY-001") as line:
        assert f"127.0.0.1:{relay.port}" in line
        assert 'remedy="Check host and port in the URL' in line
        relay.__enter__()
    relay.__exit__()
    pipeline.source["url"] = f"mysql://root@127.0.0.1:{free_port()}/"
    assert list(pipeline.faults()) == ["TR-MY-001"]


def test_a_wrong_password(pipeline: MySqlPipeline, account: str) -> None:
    pipeline.source["password"] = f"not {PASSWORD}"
    problem = pipeline.refused("TR-MY-010", "--debug")
    assert account in problem.found
    assert "Check user and password" in str(problem.remedy)
    assert set(pipeline.faults()) == {"TR-MY-010"}
    pipeline.source["password"] = PASSWORD
    pipeline.follow(1)


def test_a_right_that_is_missing(pipeline: MySqlPipeline, account: str) -> None:
    pipeline.sql(f"REVOKE REPLICATION SLAVE ON *.* FROM {account}@'%'")
    problem = pipeline.refused("TR-MY-014")
    assert f"GRANT REPLICATION SLAVE ON *.* TO '{account}'@'%';" in str(problem.remedy)
    pipeline.sql(str(problem.remedy).rstrip(";"))
    pipeline.follow(1)


def test_a_server_that_is_full(pipeline: MySqlPipeline, account: str) -> None:
    """It has no connection to spare for the account."""
    pipeline.sql(f"ALTER USER {account}@'%' WITH MAX_USER_CONNECTIONS 1")
    with (
        pipeline.server.connect(user=account, password=PASSWORD, ssl_disabled=False),
        pipeline.retrying("TR-MY-003") as line,
    ):
        assert "max_connections" in line
        pipeline.sql(f"ALTER USER {account}@'%' WITH MAX_USER_CONNECTIONS 0")


def test_a_server_without_a_log(make_mysql: Callable[..., MySqlServer], tmp_path: Path) -> None:
    """As MariaDB is unless it is told to write one."""
    server = make_mysql("mariadb10", {"log_bin": None})
    pipeline = MySqlPipeline(tmp_path, server, server.create_database())
    assert "log_bin" in str(_refused(pipeline, "TR-MY-401").remedy)


def test_a_table_that_does_not_exist(pipeline: MySqlPipeline) -> None:
    pipeline.source["tables"] = [f"{pipeline.database}.gone", f"{pipeline.database}.t"]
    problem = _refused(pipeline, "TR-MY-405")
    assert f"{pipeline.database}.gone" in problem.found
    pipeline.sql("CREATE TABLE gone (id int PRIMARY KEY)")
    pipeline.follow(1)


def test_a_table_that_goes_behind_a_position(pipeline: MySqlPipeline) -> None:
    """It was there at the first start: its rows are in the log, and what is said is a warning."""
    pipeline.source["tables"] = [f"{pipeline.database}.gone", f"{pipeline.database}.t"]
    pipeline.sql("CREATE TABLE gone (id int PRIMARY KEY)")
    pipeline.follow(1)
    pipeline.sql("INSERT INTO gone VALUES (7)")
    pipeline.sql("DROP TABLE gone")
    pipeline.sql("CREATE VIEW gone AS SELECT id FROM t")
    assert pipeline.faults() == {}
    assert "gone is no table but a view" in tailrace("doctor", pipeline.file).out
    pipeline.sql("DROP VIEW gone")
    assert "gone does not exist" in tailrace("doctor", pipeline.file).out
    pipeline.insert(2)
    assert "gone does not exist" in pipeline.deliver()
    assert (pipeline.ids(), pipeline.read(table="gone")) == ([1, 2], [("c", {"id": 7})])
    assert tailrace("offsets", "reset", pipeline.file).code == 0
    _refused(pipeline, "TR-MY-405")


def test_all_checkpoints_are_lost(pipeline: MySqlPipeline) -> None:
    """Nothing on the server tells of an earlier start: a mark in the pipeline's folder does."""
    log, kept = pipeline.folder / "log.db", pipeline.folder / "kept.db"
    pipeline.follow(1)
    pipeline.insert(2)
    log.rename(kept)
    problem = _refused(pipeline, "TR-ENG-013")
    assert set(pipeline.faults()) == {"TR-ENG-013"}
    assert f"{pipeline.name}.started" in problem.found
    kept.rename(log)
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]
    log.unlink()
    _refused(pipeline, "TR-ENG-013")
    done = tailrace(*problem.command("offsets reset", FILE=pipeline.file))
    assert (done.code, "the mark of an earlier start" in done.out) == (0, True)
    assert "a first start" in pipeline.deliver()
    pipeline.insert(3)
    pipeline.deliver()
    assert pipeline.ids() == [3]
    log.unlink()
    assert tailrace("teardown", "--yes", pipeline.file).code == 0
    pipeline.deliver()


def test_a_pattern_that_matches_nothing(pipeline: MySqlPipeline) -> None:
    """It is told, and tables that come later are captured."""
    pipeline.source["tables"] = [f"{pipeline.database}.later*"]
    assert pipeline.faults() == {}
    assert "no table matches yet" in tailrace("doctor", pipeline.file).out
    with pipeline.running() as process:
        pipeline.sql("CREATE TABLE later1 (id int PRIMARY KEY)")
        pipeline.sql("INSERT INTO later1 VALUES (7)")
        wait_until(lambda: pipeline.read(table="later1") == [("c", {"id": 7})], "the later table's row")
        pipeline.stop(process)


def test_files_that_were_purged(pipeline: MySqlPipeline) -> None:
    pipeline.follow(1)
    pipeline.insert(2)
    pipeline.sql("FLUSH BINARY LOGS")
    pipeline.insert(3)
    pipeline.sql(f"PURGE BINARY LOGS TO '{pipeline.sql('SHOW BINARY LOGS')[-1][0]}'")
    problem = _refused(pipeline, "TR-MY-330")
    assert "the server has removed" in problem.found
    assert tailrace(*problem.command("offsets reset", FILE=pipeline.file)).code == 0
    pipeline.deliver()
    pipeline.insert(4)
    pipeline.deliver()
    assert pipeline.ids() == [1, 4]


def test_what_the_log_holds_behind_files_that_were_purged(
    every_mysql: MySql, make_database: Callable[[MySql], str], tmp_path: Path
) -> None:
    """It is delivered once a person has said so: of what follows the gap nothing is left out."""
    pipeline = MySqlPipeline(tmp_path, every_mysql, make_database(every_mysql))
    pipeline.follow(1)
    pipeline.insert(2)
    pipeline.sql("FLUSH BINARY LOGS")
    pipeline.insert(3)

    def purged() -> bool:
        """In MariaDB once no crash would need the files."""
        files = pipeline.sql("SHOW BINARY LOGS")
        pipeline.sql(f"PURGE BINARY LOGS TO '{files[-1][0]}'")
        return len(files) == 1

    wait_until(purged, "the files to be removed", 20)
    problem = _refused(pipeline, "TR-MY-330")
    position = re.search(r"tailrace offsets set \S+\.yaml --at '([^']+)'", str(problem.remedy))
    assert position is not None
    assert tailrace("offsets", "set", pipeline.file, "--at", position[1]).code == 0
    pipeline.deliver()
    assert pipeline.ids() == [1, 3]


def test_a_log_that_was_reset(make_mysql: Callable[..., MySqlServer], tmp_path: Path) -> None:
    """The server has another history than the one that was delivered: it diverged."""
    server = make_mysql("mariadb10")
    pipeline = MySqlPipeline(tmp_path, server, server.create_database())
    pipeline.follow(1)
    server.execute("RESET MASTER")
    pipeline.insert(2)
    problem = _refused(pipeline, "TR-MY-331")
    assert "another pipeline of this name" in str(problem.remedy)
    assert f"offsets reset {pipeline.file}" in str(problem.remedy)
    assert pipeline.ids() == [1]


def test_gtids_are_switched_off_and_on(make_mysql: Callable[..., MySqlServer], tmp_path: Path) -> None:
    """Under the pipeline; what the log has then is read by file and offset, nothing twice, and back again."""
    server = make_mysql("mysql9")
    pipeline = MySqlPipeline(tmp_path, server, server.create_database())
    with pipeline.running() as process:
        pipeline.insert(1)
        pipeline.wait_for(1)
        for mode in ("ON_PERMISSIVE", "OFF_PERMISSIVE"):
            server.execute(f"SET GLOBAL gtid_mode = {mode}")
        pipeline.insert(2)
        process.wait(30, expected=1)
        assert "anonymous" in the_problem(process.stderr, "TR-MY-311").found
    problem = _refused(pipeline, "TR-MY-333")
    (place,) = re.findall(r"--at (\S+)\.", str(problem.remedy))
    assert tailrace("offsets", "set", pipeline.file, "--at", place).code == 0
    pipeline.deliver()
    assert pipeline.ids() == [1, 2]
    for mode in ("ON_PERMISSIVE", "ON"):
        server.execute(f"SET GLOBAL gtid_mode = {mode}")
    pipeline.insert(3)
    pipeline.refused("TR-MY-333")
    assert tailrace("offsets", "set", pipeline.file, "--at", server.gtids()).code == 0
    pipeline.follow(4)
    assert pipeline.ids() == [1, 2, 4]


def test_another_server_fences_nobody(
    pipeline: MySqlPipeline, make_mysql: Callable[..., MySqlServer], tmp_path: Path
) -> None:
    """A pipeline of the same name, for another server, with the same target: which of both goes on is the one
    that ran."""
    server = make_mysql("mysql9")
    server.execute(f"CREATE DATABASE {pipeline.database}")
    (tmp_path / "other").mkdir()
    other = MySqlPipeline(tmp_path / "other", server, pipeline.database)
    other.sinks[0]["path"] = str(pipeline.folder / "log.db")
    with pipeline.running() as first:
        pipeline.insert(1)
        pipeline.wait_for(1)
        assert "another pipeline of this name" in str(other.refused("TR-MY-331").remedy)
        pipeline.insert(2)
        pipeline.wait_for(1, 2)
        pipeline.stop(first)


def test_a_server_that_lacks_what_was_delivered(pipeline: MySqlPipeline) -> None:
    """As a replica that is behind does: the position is one that it has not come to."""
    pipeline.follow(1)
    ahead = f"{pipeline.server.gtids().partition(':')[0]}:1-99999999".replace("\n", "").split(",")[-1]
    said = tailrace("offsets", "set", pipeline.file, "--sink", "log", "--at", ahead)
    assert said.code == 1
    assert the_problem(said.err, "TR-MY-331").remedy


def test_a_server_id_that_somebody_reads_under(pipeline: MySqlPipeline, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = MySqlPipeline(tmp_path / "other", pipeline.server, pipeline.server.create_database())
    other.source["server_id"] = pipeline.source["server_id"] = 4713
    try:
        with other.running(), pipeline.running(until="pipeline retrying") as waiting:
            assert "code=TR-MY-332" in waiting.stderr
            assert f"tailrace {other.name}" in waiting.stderr
            pipeline.stop(waiting)
    finally:
        pipeline.server.drop_database(other.database)


def test_an_added_sink(pipeline: MySqlPipeline) -> None:
    pipeline.follow(1)
    pipeline.sinks.append({"type": "log", "name": "second", "path": "second.db"})
    pipeline.insert(2)
    problem = _refused(pipeline, "TR-ENG-011")
    assert f"{pipeline.name}/second" in problem.found
    position = pipeline.positions()["log"]
    assert tailrace("offsets", "set", pipeline.file, "--sink", "second", "--at", position).code == 0
    pipeline.deliver()
    assert (pipeline.ids(), pipeline.ids("second.db")) == ([1, 2], [2])


def test_a_lost_checkpoint_of_one_sink(pipeline: MySqlPipeline) -> None:
    """Data and checkpoint of one of two are gone."""
    pipeline.sinks.append({"type": "log", "name": "second", "path": "second.db"})
    pipeline.follow(1)
    for file in pipeline.folder.glob("second.db*"):
        file.unlink()
    pipeline.insert(2)
    assert f"{pipeline.name}/second" in _refused(pipeline, "TR-ENG-011").found
    assert pipeline.ids() == [1]


def test_a_pipeline_started_twice(pipeline: MySqlPipeline) -> None:
    with pipeline.running() as first:
        problem = pipeline.refused("TR-ENG-001")
        assert f"process {first.pid} on " in problem.found
        pipeline.insert(1)
        pipeline.wait_for(1)
        pipeline.stop(first)


def test_changes_that_were_logged_as_a_statement(pipeline: MySqlPipeline) -> None:
    """What stands before it arrives, once; nothing behind it until a person has decided, then all of that."""
    pipeline.follow(1)
    pipeline.insert(2)
    with pipeline.server.connect(pipeline.database) as connection, connection.cursor() as cursor:
        cursor.execute("SET SESSION binlog_format = STATEMENT")
        cursor.execute("INSERT INTO t VALUES (3, 'a secret')")
    pipeline.insert(4)
    for _ in range(2):
        problem = pipeline.refused("TR-MY-312")
        assert "a secret" not in problem.found
        assert "Let no session change binlog_format" in str(problem.remedy)
        assert pipeline.ids() == [1, 2]
    position = re.search(r"tailrace offsets set \S+\.yaml --at '([^']+)'", str(problem.remedy))
    assert position is not None
    assert tailrace("offsets", "set", pipeline.file, "--at", position[1]).code == 0
    pipeline.deliver()
    assert pipeline.ids() == [1, 2, 4]


def _event(packet: bytes, type: int, body: bytes) -> bytes:
    """The event of a packet made into another one, whose checksum is right."""
    head = packet[1:5] + bytes([type]) + packet[6:10] + pack("<I", 19 + len(body) + 4) + packet[14:20]
    return b"\0" + head + body + pack("<I", zlib.crc32(head + body))


_DAMAGES: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "incident": ("TR-MY-313", lambda packet: _event(packet, 26, pack("<HB", 1, 4) + b"lost")),
    "unknown event": ("TR-MY-104", lambda packet: _event(packet, 120, b"what is this?")),
    "malformed event": ("TR-MY-102", lambda packet: _event(packet, packet[5], packet[20:24])),
    "wrong checksum": ("TR-MY-103", lambda packet: packet.replace(b"broken", b"BROKEN")),
}


@pytest.mark.parametrize("what", _DAMAGES)
def test_a_log_that_cannot_be_read(pipeline: MySqlPipeline, what: str) -> None:
    """Nothing of the transaction and nothing behind it arrives, until it can be read."""
    code, damage = _DAMAGES[what]
    with Relay(pipeline.server) as relay:
        pipeline.through(relay)
        pipeline.follow(1)
        pipeline.insert(2)
        pipeline.sql("INSERT INTO t VALUES (3, 'broken')")
        pipeline.insert(4)
        relay.damage = partial(_break, damage)
        problem = pipeline.refused(code)
        assert "binlog.0" in str(problem.where)
        assert pipeline.ids() == [1, 2]
        relay.damage = bytes  # what stood in between is gone
        pipeline.deliver()
        assert pipeline.ids() == [1, 2, 3, 4]


def _break(damage: Callable[[bytes], bytes], packet: bytes) -> bytes:
    is_rows = packet[:1] == b"\0" and packet[5:6] == b"\x1e"  # WRITE_ROWS
    return damage(packet) if is_rows and b"broken" in packet else packet
