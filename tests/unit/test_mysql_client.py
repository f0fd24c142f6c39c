"""Addresses of MySQL servers, and what errors mean, where no server is needed."""

from __future__ import annotations

import ssl
from dataclasses import replace
from pathlib import Path

import pymysql
import pytest

from connectors.mysql.assembly.refusals import OUT_OF_ORDER
from connectors.mysql.binlog.framing import ServerError
from connectors.mysql.channel import AHEAD, PURGED, TAKEN, ended
from tailrace.clients.mysql import faults
from tailrace.clients.mysql.address import TLS, Address, Tls
from tailrace.clients.mysql.faults import connecting, talking
from tailrace.errors import Code, Diverged, Gap, NotReady, Retry, Stop, TailraceError

ADDRESS = Address.parse("mysql://app:s%C3%A9cret@db:3307/shop")


@pytest.mark.parametrize(
    ("url", "shown", "user", "database"),
    [
        ("mysql://app@db:3307/shop", "db:3307", "app", "shop"),
        ("mariadb://a%40b:p@db", "db:3306", "a@b", ""),
        ("mysql://app@[::1]:3306/", "[::1]:3306", "app", ""),
    ],
)
def test_a_url_is_read(url: str, shown: str, user: str, database: str) -> None:
    address = Address.parse(url)
    assert (str(address), address.user, address.database) == (shown, user, database)


def test_a_url_of_several_servers() -> None:
    """They are tried in their order; of several the primary is wanted unless that is said."""
    url = "mysql://app:a%2Cb@db1,[::1]:3307,db3:3308/shop"
    address = Address.parse(url)
    assert str(address) == "db1:3306,[::1]:3307,db3:3308"
    assert [str(one) for one in address.each()] == ["db1:3306", "[::1]:3307", "db3:3308"]
    for one in (address, *address.each()):
        assert (one.user, one.password, one.database, one.primary) == ("app", "a,b", "shop", True)
    assert not Address.parse(url, attributes="any").primary
    assert not ADDRESS.primary
    assert Address.parse("mysql://app@db/", attributes="primary").primary
    for wrong in ("db,,other", "db,", ",db", "db,other:x", "db,app:hidden@other:70000", "db,other:70000"):
        with pytest.raises(ValueError, match="looks like") as raised:
            Address.parse(f"mysql://app@{wrong}/")
        assert "hidden" not in str(raised.value)
    for wrong in ("db1, db2", "db1 ,db2", "d b"):  # a name that is never found
        with pytest.raises(ValueError, match="no blank stands"):
            Address.parse(f"mysql://app@{wrong}:3306/")


def test_of_several_servers_the_one_that_answered_is_told() -> None:
    first = Retry(faults.UNREACHABLE, "refused", "Check.", where="db1:3306")
    found = faults.of_each([first, faults.read_only(ADDRESS)], ADDRESS)
    assert found.code is faults.READ_ONLY
    assert found.found == "db1:3306: refused; db:3307: it is read_only"
    assert faults.of_each([first, first], ADDRESS).code is faults.UNREACHABLE


def test_a_password_is_shown_nowhere() -> None:
    assert ADDRESS.password == "sécret"
    assert "cret" not in f"{ADDRESS} {ADDRESS!r}"
    with pytest.raises(ValueError, match="inside the URL and beside it"):
        Address.parse("mysql://app:inside@db/", "beside")
    for url in (
        "mysql://app:hidden@/shop",
        "mysql://app:hidden@db:x/",
        "mysql://app:hidden@db/a/b",
        "hidden",
    ):
        with pytest.raises(ValueError, match="looks like") as raised:
            Address.parse(url)
        assert "hidden" not in str(raised.value)


def test_how_a_certificate_is_asked_for(tmp_path: Path) -> None:
    assert Tls("disabled").context() is None
    required = Tls("required").context()
    assert required is not None
    assert (required.verify_mode, required.check_hostname) == (ssl.CERT_NONE, False)
    authority = Tls("verify_ca").context()
    assert authority is not None
    assert (authority.verify_mode, authority.check_hostname) == (ssl.CERT_REQUIRED, False)
    identity = Tls("verify_identity").context()
    assert identity is not None
    assert (identity.verify_mode, identity.check_hostname) == (ssl.CERT_REQUIRED, True)
    for tls in (Tls("verify_ca", ca=tmp_path / "none"), Tls("required", cert=tmp_path / "none")):
        with pytest.raises(NotReady) as raised:
            tls.context()
        assert raised.value.code is TLS
        assert "none" in raised.value.found


@pytest.mark.parametrize(
    ("number", "kind", "code"),
    [
        (1045, NotReady, faults.PASSWORD),
        (1130, NotReady, faults.PASSWORD),
        (1049, NotReady, faults.NO_DATABASE),
        (1040, Retry, faults.TOO_MANY),
        (1053, Retry, faults.UNAVAILABLE),
        (2003, Retry, faults.UNREACHABLE),
        (2013, Retry, faults.UNREACHABLE),
        (2026, NotReady, TLS),
        (3159, NotReady, TLS),
    ],
)
def test_a_connection_that_does_not_come_about(number: int, kind: type[TailraceError], code: Code) -> None:
    with pytest.raises(kind) as raised, connecting(ADDRESS):
        raise pymysql.err.OperationalError(number, "the server's\n words")
    assert (raised.value.code, raised.value.where) == (code, "db:3307")
    assert "the server's words" in " ".join(raised.value.found.split())


@pytest.mark.parametrize(
    ("number", "words", "remedy"),
    [
        (3118, "Account is locked", "ALTER USER app ACCOUNT UNLOCK;"),
        (4151, "Access denied, this account is locked", "ALTER USER app ACCOUNT UNLOCK;"),
        (1862, "Your password has expired", "ALTER USER app IDENTIFIED BY '…';"),
        (1044, "Access denied for user to database 'shop'", "or GRANT SELECT ON shop.* TO app;"),
        (2026, "SSL is required but the server doesn't support it", "ssl_mode: preferred"),
        (2026, "SSL connection error", "Correct ssl_mode, ssl_ca"),
    ],
)
def test_a_refused_login_says_what_to_run(number: int, words: str, remedy: str) -> None:
    with pytest.raises(NotReady) as raised, connecting(ADDRESS):
        raise pymysql.err.OperationalError(number, words)
    assert remedy in raised.value.remedy


def test_a_login_without_a_password_says_so() -> None:
    for password, told in ((None, True), ("wrong", False)):
        address = replace(ADDRESS, password=password)
        with pytest.raises(NotReady) as raised, connecting(address):
            raise pymysql.err.OperationalError(1045, "Access denied")
        assert ("password: ${MYSQL_PWD}" in raised.value.remedy) == told


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (pymysql.err.OperationalError(2013, "lost"), Retry, faults.LOST),
        (pymysql.err.InterfaceError(0, ""), Retry, faults.LOST),
        (pymysql.err.InternalError("Packet sequence number wrong"), Retry, faults.LOST),
        (OSError("broken pipe"), Retry, faults.LOST),
        (pymysql.err.OperationalError(1213, "deadlock"), Retry, faults.BUSY),
        (pymysql.err.OperationalError(1045, "denied"), NotReady, faults.PERMISSION),
        (pymysql.err.OperationalError(1227, "denied"), NotReady, faults.PERMISSION),
        (pymysql.err.ProgrammingError(1064, "syntax"), Stop, faults.REFUSED),
    ],
    ids=str,
)
def test_an_open_connection(error: Exception, kind: type[TailraceError], code: Code) -> None:
    with pytest.raises(kind) as raised, talking(ADDRESS):
        raise error
    assert raised.value.code is code
    assert type(raised.value) is kind


@pytest.mark.parametrize(
    ("number", "message", "kind", "code"),
    [
        (
            1236,
            "Cannot replicate because the source purged required binary logs. Replicate the missing …",
            Gap,
            PURGED,
        ),
        (1236, "Could not find first log file name in binary log index file", Gap, PURGED),
        (
            1236,
            "Could not find GTID state requested by slave in any binlog files. Probably the slave state is "
            "too old and required binlog files have been purged.",
            Gap,
            PURGED,
        ),
        (1236, "Slave has more GTIDs than the source has, using the source's SERVER_UUID.", Diverged, AHEAD),
        (
            1236,
            "Error: connecting slave requested to start from GTID 0-1-9, which is not in the master's binlog",
            Diverged,
            AHEAD,
        ),
        (1236, "The binlog on the master is missing the GTID 0-1-9 requested by the slave", Diverged, AHEAD),
        (1236, "Client requested source to start replication from position > file size", Diverged, AHEAD),
        (
            1236,
            "A replica with the same server_uuid/server_id as this replica has connected to the source",
            Retry,
            TAKEN,
        ),
        (1236, "Cannot replicate anonymous transaction when AUTO_POSITION = 1, at …", Stop, OUT_OF_ORDER),
        (4052, "A slave with the same server_id is already connected", Retry, TAKEN),
        (1236, "bogus data in log event; the first event …", Stop, faults.REFUSED),
        (1053, "Server shutdown in progress", Retry, faults.UNAVAILABLE),
        (1227, "Access denied; you need REPLICATION SLAVE", NotReady, faults.PERMISSION),
    ],
)
def test_a_log_that_the_server_ends(number: int, message: str, kind: type[TailraceError], code: Code) -> None:
    found = ended(ServerError(number, "HY000", message), ADDRESS)
    assert (type(found), found.code, found.where) == (kind, code, "db:3307")
    assert message[:20] in found.found
