"""What a failed connection or statement means: pass by itself, or needs a person.

Both servers number their errors alike up to 1900; what only one of them has is marked. Numbers from 2000 on
are the client library's.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

import pymysql

from tailrace.clients.mysql.address import TLS, Address
from tailrace.errors import Code, NotReady, Retry, Stop, TailraceError, code

UNREACHABLE = code(
    "TR-MY-001",
    "MySQL cannot be reached",
    "No connection came about: host, port, network or firewall. It is tried again until it works.",
)
UNAVAILABLE = code(
    "TR-MY-002",
    "MySQL takes no connections now",
    "The server is starting up or shutting down. It is tried again until it works.",
)
TOO_MANY = code(
    "TR-MY-003",
    "too many connections",
    "The server or the account has no connection to spare. It is tried again until it works.",
)
LOST = code(
    "TR-MY-004",
    "connection lost",
    "An open connection broke or was ended by the server. What was not yet delivered is read again.",
)
BUSY = code(
    "TR-MY-005",
    "the server could not do it now",
    "A lock, a deadlock, a statement that was interrupted, or a lack of memory or disk: it is tried again.",
)
READ_ONLY = code(
    "TR-MY-006",
    "the server takes no writes",
    "A primary is wanted (target_session_attrs), and the servers of the URL that answer have read_only set: "
    "they are replicas, or a failover is under way. It is tried again until one takes writes.",
)
PASSWORD = code(
    "TR-MY-010",
    "login refused",
    "User or password are wrong, or the server has no account for this user at the host that it sees.",
)
NO_DATABASE = code("TR-MY-011", "no such database", "The URL names a database that the server does not have.")
PERMISSION = code(
    "TR-MY-014", "permission denied", "The account lacks a privilege that this operation needs."
)
ABSENT = code(
    "TR-MY-016", "no such table", "A statement names a table that the server does not have any more."
)
REFUSED = code(
    "TR-MY-015",
    "MySQL refuses",
    "The server answered with an error that trying again does not mend; its own words are shown.",
)

_NOTHING: Final = "Nothing: the connection is made again."

_LOST: Final = (Retry, LOST, _NOTHING)
_BUSY: Final = (Retry, BUSY, "Nothing, if it passes; else look at what the server says.")
_ENDING: Final = (Retry, UNAVAILABLE, "Nothing, if the server comes back by itself; else start it.")
_FULL: Final = (
    Retry,
    TOO_MANY,
    "End connections that nobody needs, or raise max_connections or the account's limit.",
)
_LOGIN: Final = (
    NotReady,
    PASSWORD,
    "Check user and password, and on the server from where the account may come: SELECT user, host, plugin "
    "FROM mysql.user;",
)
_NO_PASSWORD: Final = (
    "None was given: write password: ${MYSQL_PWD} beside the URL, and export MYSQL_PWD=… (for tailrace init, "
    "the latter alone)."
)
_GRANT: Final = (NotReady, PERMISSION, "Grant the account {user} what it lacks, as docs/mysql.md has it.")
_ENCRYPT: Final = (
    NotReady,
    TLS,
    "Correct ssl_mode, ssl_ca, ssl_cert or ssl_key, or TLS on the server; the certificate must be signed by "
    "an authority in ssl_ca and, with verify_identity, name the host of the URL.",
)

_NO_TLS: Final = (
    "Let the server offer TLS (ssl_cert, ssl_key and ssl_ca in its configuration), or do without: ssl_mode: "
    "preferred, which encrypts where it can."
)
_NOT_TRUSTED: Final = (
    "Name the file, in PEM, with the authority that has signed the certificate: ssl_ca: /…/ca.pem (of one "
    "that a MySQL has made by itself, ca.pem in the server's data folder). Or correct ssl_mode: required "
    "encrypts without asking who the server is."
)
_OTHER_NAME: Final = (
    "Write into the URL a name for which the certificate was made; or ssl_mode: verify_ca, with which any "
    "server will do whose certificate the authority has signed."
)

_MEANINGS: Final[Mapping[int, tuple[type[TailraceError], Code, str]]] = {
    **dict.fromkeys((1152, 1158, 1159, 1160, 1161, 1184, 1927, 2006, 2013, 2014, 2027, 2055, 4031), _LOST),
    **dict.fromkeys((1021, 1037, 1041, 1205, 1213, 1317, 1028, 3024, 1969), _BUSY),
    **dict.fromkeys((1053, 1077, 1079, 3032, 3169), _ENDING),
    **dict.fromkeys((1040, 1203, 1226), _FULL),
    # 1698: the account logs in by the operating system; 4151: MariaDB, locked; 3118: MySQL, locked; 1820 and
    # 1862: the password has expired.
    **dict.fromkeys((1698, 1130, 1129, 1251, 1275, 2059, 2061), _LOGIN),
    **dict.fromkeys((3118, 4151), (NotReady, PASSWORD, "ALTER USER {user} ACCOUNT UNLOCK;")),
    **dict.fromkeys((1820, 1862), (NotReady, PASSWORD, "ALTER USER {user} IDENTIFIED BY '…';")),
    **dict.fromkeys((1045, 1142, 1143, 1227, 1370, 1419), _GRANT),
    1044: (
        NotReady,
        PERMISSION,
        "Correct the database in the URL, or leave it out; or GRANT SELECT ON {database}.* TO {user};",
    ),
    1049: (NotReady, NO_DATABASE, "Correct the database in the URL, or leave it out."),
    1146: (NotReady, ABSENT, "Nothing, if it was meant to go; else bring it back."),
    3159: (NotReady, TLS, "The server takes encrypted connections only: ssl_mode: required."),
    2026: _ENCRYPT,
}

_OF_THE_NAME: Final = (62, 64)  # OpenSSL's: of a host, of an address
_DENIED: Final = 1045  # of a login, or of a command of the protocol
_CANNOT_CONNECT: Final = (2002, 2003, 2005)


@contextmanager
def connecting(address: Address) -> Iterator[None]:
    """Turns PyMySQL's errors into tailrace's while a connection is being made."""
    try:
        yield
    except pymysql.err.MySQLError as error:
        raise _refusal(error, address) from None
    except UnicodeError as error:  # a host's name that is none
        raise Retry(UNREACHABLE, str(error), "Check the host in the URL.", where=str(address)) from None


@contextmanager
def talking(address: Address) -> Iterator[None]:
    """Turns PyMySQL's errors into tailrace's while an open connection is used."""
    try:
        yield
    except pymysql.err.MySQLError as error:
        number, text = numbered(error)
        raise fault(number, text, address) from None
    except (OSError, ValueError) as error:
        # A file object that another thread has closed raises ValueError.
        raise fault(2013, str(error), address) from None


def fault(number: int, text: str, address: Address) -> TailraceError:
    """What an error that the server (or the client library, from 2000 on) has numbered means."""
    where, words = str(address), f"{' '.join(text.split())} (error {number})"
    if number in _CANNOT_CONNECT:
        remedy = "Check host and port in the URL, and that the server runs and listens there."
        return Retry(UNREACHABLE, words, remedy, where=where)
    if number == 0:  # PyMySQL's own, of a connection that is closed
        return Retry(LOST, "the connection is closed", _NOTHING, where=where)
    meaning = _MEANINGS.get(number)
    if meaning is None:
        return Stop(REFUSED, words, "Mend what the server says, then start again.", where=where)
    kind, code, remedy = meaning
    names = {"user": address.user, "database": address.database}
    return kind(code, words, remedy.format(**names), where=where)


def read_only(address: Address) -> Retry:
    """The error of a server that is no primary where one is wanted."""
    return Retry(
        READ_ONLY,
        "it is read_only",
        "Nothing, while a failover is under way. To read from a replica: target_session_attrs: any.",
        where=str(address),
    )


def of_each(failures: Sequence[Retry], address: Address) -> Retry:
    """What became of the servers of an address that were tried one after the other: told as that of one
    which answered, if there is such."""
    first = next((one for one in failures if one.code is not UNREACHABLE), failures[0])
    found = "; ".join(f"{one.where}: {one.found}" for one in failures)
    return Retry(first.code, found, first.remedy, where=str(address))


def numbered(error: BaseException) -> tuple[int, str]:
    """Number and text of an error of PyMySQL's."""
    arguments = error.args
    number = arguments[0] if arguments and isinstance(arguments[0], int) else 2027
    return number, str(arguments[1] if len(arguments) > 1 else error) or type(error).__name__


def _refusal(error: pymysql.err.MySQLError, address: Address) -> TailraceError:
    cause = getattr(error, "original_exception", None)
    if isinstance(cause, ssl.SSLCertVerificationError):
        kind, code, _ = _ENCRYPT
        remedy = _OTHER_NAME if cause.verify_code in _OF_THE_NAME else _NOT_TRUSTED
        return kind(code, f"the server's certificate: {cause.verify_message}", remedy, where=str(address))
    if isinstance(cause, ssl.SSLError):
        # An end of the line in the middle of the handshake is a server that starts or ends.
        if isinstance(cause, ssl.SSLEOFError | ssl.SSLZeroReturnError):
            return fault(2003, str(cause), address)
        return fault(2026, str(cause), address)
    number, text = numbered(error)
    if number == _DENIED:
        kind, code, remedy = _LOGIN
        if address.password is None:
            remedy = f"{_NO_PASSWORD} {remedy}"
        return kind(code, f"{text} (error {number})", remedy, where=str(address))
    if number == 2026 and "doesn't support" in text:  # PyMySQL's own words
        kind, code, _ = _ENCRYPT
        return kind(code, "the server offers no TLS", _NO_TLS, where=str(address))
    # Before the login a line that ends is a server that starts, or a proxy without one.
    return fault(2003 if number in (2006, 2013) else number, text, address)
