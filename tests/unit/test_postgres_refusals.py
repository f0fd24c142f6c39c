"""What a refused connection means, by the server's words."""

import psycopg
import pytest

from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.faults import connecting, fault
from tailrace.errors import NotReady, Retry, Stop, TailraceError

_ADDRESS = Address.parse("postgresql://app@db/shop")
_PREAMBLE = 'connection failed: connection to server at "10.0.0.1", port 5432 failed: '


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        ("Connection refused\n\tIs the server running on that host?", Retry, "TR-PG-001"),
        ("could not receive data from server: Connection reset by peer", Retry, "TR-PG-001"),
        ("FATAL:  Datenbank »shop« existiert nicht", Retry, "TR-PG-001"),
        ("FATAL:  the database system is starting up", Retry, "TR-PG-002"),
        ("server is in hot standby mode", Retry, "TR-PG-002"),
        ("session is read-only", Retry, "TR-PG-002"),
        ("FATAL:  the database system is shutting down", Retry, "TR-PG-002"),
        ("FATAL:  the database system is in recovery mode", Retry, "TR-PG-002"),
        ("FATAL:  the database system is not accepting connections", Retry, "TR-PG-002"),
        ("FATAL:  sorry, too many clients already", Retry, "TR-PG-003"),
        ('FATAL:  too many connections for role "app"', Retry, "TR-PG-003"),
        (
            "FATAL:  remaining connection slots are reserved for roles with the SUPERUSER attribute",
            Retry,
            "TR-PG-003",
        ),
        (
            "FATAL:  number of requested standby connections exceeds max_wal_senders (currently 10)",
            Retry,
            "TR-PG-003",
        ),
        ('FATAL:  password authentication failed for user "app"', NotReady, "TR-PG-010"),
        ("fe_sendauth: no password supplied", NotReady, "TR-PG-010"),
        (
            'FATAL:  no pg_hba.conf entry for host "10.0.0.2", user "app", database "shop", no encryption',
            NotReady,
            "TR-PG-010",
        ),
        ('FATAL:  role "app" is not permitted to log in', NotReady, "TR-PG-010"),
        ('FATAL:  database "shop" does not exist', NotReady, "TR-PG-011"),
        ("server does not support SSL, but SSL was required", NotReady, "TR-PG-012"),
        ("SSL error: certificate verify failed", NotReady, "TR-PG-012"),
        ("SSL error: unexpected eof while reading", Retry, "TR-PG-001"),
        ("SSL SYSCALL error: EOF detected", Retry, "TR-PG-001"),
        ("SSL SYSCALL error: Connection reset by peer", Retry, "TR-PG-001"),
        ('root certificate file "/x" does not exist', NotReady, "TR-PG-012"),
        ("FATAL:  must be superuser or replication role to start walsender", NotReady, "TR-PG-013"),
        (
            "FATAL:  permission denied to start WAL sender\nDETAIL:  Only roles with REPLICATION",
            NotReady,
            "TR-PG-013",
        ),
        (
            'FATAL:  permission denied for database "shop"\nDETAIL:  User does not have CONNECT privilege.',
            NotReady,
            "TR-PG-014",
        ),
        ("FATAL:  unsupported startup parameter in options: datestyle", NotReady, "TR-PG-018"),
        ('invalid integer value "x" for connection option "port"', NotReady, "TR-PG-015"),
    ],
)
def test_a_refused_connection(text: str, kind: type[TailraceError], code: str) -> None:
    with pytest.raises(TailraceError) as refused, connecting(_ADDRESS):
        raise psycopg.OperationalError(_PREAMBLE + text)
    assert (type(refused.value), refused.value.code.id) == (kind, code)
    assert str(refused.value).startswith("db:5432/shop: ")
    assert "\n" not in refused.value.found
    assert "FATAL" not in refused.value.found
    assert refused.value.remedy


def test_where_a_password_goes_is_said_where_there_is_none() -> None:
    with pytest.raises(NotReady) as refused, connecting(_ADDRESS):
        raise psycopg.OperationalError(_PREAMBLE + "fe_sendauth: no password supplied")
    assert refused.value.code.id == "TR-PG-010"
    assert "export PGPASSWORD=" in refused.value.remedy


@pytest.mark.parametrize(
    ("error", "kind", "code"),
    [
        (psycopg.OperationalError, Retry, "TR-PG-004"),  # none of the server's: the connection broke
        (psycopg.errors.AdminShutdown, Retry, "TR-PG-004"),
        (psycopg.errors.CrashShutdown, Retry, "TR-PG-004"),
        (psycopg.errors.IdleSessionTimeout, Retry, "TR-PG-004"),
        (psycopg.errors.ConnectionFailure, Retry, "TR-PG-004"),
        (psycopg.errors.QueryCanceled, Retry, "TR-PG-005"),
        (psycopg.errors.LockNotAvailable, Retry, "TR-PG-005"),
        (psycopg.errors.DeadlockDetected, Retry, "TR-PG-005"),
        (psycopg.errors.DiskFull, Retry, "TR-PG-005"),
        (psycopg.errors.ObjectInUse, Retry, "TR-PG-005"),
        (psycopg.errors.DuplicateObject, Retry, "TR-PG-005"),
        (psycopg.errors.InsufficientPrivilege, NotReady, "TR-PG-014"),
        (psycopg.errors.UndefinedTable, Stop, "TR-PG-015"),
    ],
)
def test_an_error_on_an_open_connection(
    error: type[psycopg.Error], kind: type[TailraceError], code: str
) -> None:
    found = fault(error("words"), _ADDRESS)
    assert (type(found), found.code.id) == (kind, code)


def test_several_hosts_are_told_one_by_one() -> None:
    told = (
        f"{_PREAMBLE}Connection refused\n"
        "Multiple connection attempts failed. All failures were:\n"
        "- host: 'a', port: '5432', hostaddr: '10.0.0.1': connection failed: connection to server at "
        '"10.0.0.1", port 5432 failed: server is in hot standby mode\n'
        "- host: 'b', port: None, hostaddr: None: connection failed: connection to server at "
        '"b" (10.0.0.2), port 5432 failed: Connection refused\n\tIs the server running on that host?'
    )
    with pytest.raises(Retry) as refused, connecting(_ADDRESS):
        raise psycopg.OperationalError(told)
    assert refused.value.found == "a:5432: server is in hot standby mode; b:5432: Connection refused"


def test_a_url_without_a_database_is_told_as_such() -> None:
    for url, told in (("postgresql://app@db", "names no database"), ("postgresql://app@db/shop", "Correct")):
        with pytest.raises(NotReady) as refused, connecting(Address.parse(url)):
            raise psycopg.OperationalError('FATAL:  database "app" does not exist')
        assert refused.value.code.id == "TR-PG-011"
        assert told in refused.value.remedy
