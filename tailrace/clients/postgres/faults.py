"""What a failed connection or statement means: pass by itself, or needs a person.

PostgreSQL tells the SQLSTATE of everything but a connection that it refuses: libpq keeps only the text of
that. The texts below are the server's in English; one in another language counts as trouble that passes, and
is shown as it is.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psycopg
from psycopg.sql import Identifier

from tailrace.clients.postgres.address import Address
from tailrace.errors import Code, NotReady, Retry, Stop, TailraceError, code

UNREACHABLE = code(
    "TR-PG-001",
    "PostgreSQL cannot be reached",
    "No connection came about: host, port, network or firewall. It is tried again until it works.",
)
UNAVAILABLE = code(
    "TR-PG-002",
    "PostgreSQL takes no connections now",
    "The server is starting up, shutting down or in recovery. It is tried again until it works.",
)
TOO_MANY = code(
    "TR-PG-003",
    "too many connections",
    "The server, the database or the role has no connection to spare. It is tried again until it works.",
)
LOST = code(
    "TR-PG-004",
    "connection lost",
    "An open connection broke or was ended by the server. What was not yet delivered is read again.",
)
BUSY = code(
    "TR-PG-005",
    "the server could not do it now",
    "A lock, a deadlock, a cancelled statement, another session that was faster, or a lack of memory or "
    "disk: it is tried again.",
)
PASSWORD = code(
    "TR-PG-010",
    "login refused",
    "User or password are wrong, or the server's pg_hba.conf does not let this user in from here.",
)
NO_DATABASE = code("TR-PG-011", "no such database", "The URL names a database that the server does not have.")
TLS = code(
    "TR-PG-012",
    "TLS fails",
    "The server does not offer the TLS that the URL asks for, its certificate is not trusted, or it does not "
    "take the client's.",
)
NO_REPLICATION = code(
    "TR-PG-013",
    "the role may not replicate",
    "Only a role with the REPLICATION attribute may read the server's log.",
)
PERMISSION = code(
    "TR-PG-014", "permission denied", "The role lacks a right on the server that this operation needs."
)
REFUSED = code(
    "TR-PG-015",
    "PostgreSQL refuses",
    "The server answered with an error that trying again does not mend; its own words are shown.",
)
ENCODING = code(
    "TR-PG-016",
    "the database's encoding is of no use",
    "Its texts cannot be turned into UTF-8: PostgreSQL has no conversion from that encoding, or, with "
    "SQL_ASCII, nobody knows what they are.",
)
POOLER = code(
    "TR-PG-018",
    "a pooler stands in between",
    "What answers is no PostgreSQL server but a pooler (PgBouncer and the like): it hands on neither "
    "replication connections nor a session's settings.",
)

TO_THE_SERVER: Final = (
    "Let the URL lead to the server itself, not to its pooler: poolers listen on ports like 6432 or 6543, or "
    "on hosts with -pooler in their names."
)
# psycopg logs that it gives up a statement, which is said here, or is meant. A level that was set before
# stays, but for psycopg's own.
if (_log := logging.getLogger("psycopg")).level in (logging.NOTSET, logging.WARNING):
    _log.setLevel(logging.CRITICAL)

_CHECK_LOGIN: Final = "Check user and password, and pg_hba.conf on the server."

# What a refused connection's text says → what it is, in the order in which they are looked for. Compiled when
# a connection is refused: a process that starts need not wait for all of them.
_REFUSALS: Final[tuple[tuple[str, type[TailraceError], Code, str], ...]] = (
    (
        r"to start wal ?sender",
        NotReady,
        NO_REPLICATION,
        "As a superuser: ALTER ROLE {user} REPLICATION; on Amazon RDS: GRANT rds_replication TO {user};",
    ),
    (
        r"no pg_hba\.conf entry .*no encryption",
        NotReady,
        PASSWORD,
        "Where the server takes this user with TLS only: ?sslmode=require in the URL. Else add a line to "
        "its pg_hba.conf.",
    ),
    (
        r"certificate authentication failed",
        NotReady,
        PASSWORD,
        "The client certificate's CN must be {user}, or be mapped to it in pg_ident.conf on the server.",
    ),
    (
        r"requires a valid client certificate|certificate required",
        NotReady,
        TLS,
        "Let sslcert and sslkey in the URL name a client certificate and its key.",
    ),
    (
        r"alert (?:unknown ca|bad certificate|certificate (?:expired|revoked|unknown)|unsupported cert)",
        NotReady,
        TLS,
        "The server does not take the client certificate: let sslcert name one that is valid and signed "
        "by an authority in the server's ssl_ca_file.",
    ),
    (
        r"private key file|could not (?:load|read|open) (?:the )?(?:private key|certificate)|"
        r"client certificate file",
        NotReady,
        TLS,
        "Correct sslcert and sslkey in the URL; the key belongs to the certificate, and only its owner "
        "may read it (chmod 600).",
    ),
    (
        r"does not support SSL",
        NotReady,
        TLS,
        "Switch TLS on at the server (ssl = on), or, on a line that nobody else can reach, take sslmode "
        "out of the URL.",
    ),
    (
        r"root certificate file|root\.crt",
        NotReady,
        TLS,
        "Let sslrootcert in the URL name the certificate of the authority that signed the server's, or "
        "sslrootcert=system.",
    ),
    (
        r"does not match host name",
        NotReady,
        TLS,
        "Let the URL lead to a name that stands in the certificate, or have one made for this name; "
        "sslmode=verify-ca checks the authority alone.",
    ),
    (
        r"no password supplied",
        NotReady,
        PASSWORD,
        "The server asks for a password: export PGPASSWORD=…, write a line into ~/.pgpass, or write "
        "password: into the pipeline's file.",
    ),
    (
        r"password authentication failed|authentication failed|"
        r"pg_hba\.conf|not permitted to log in|role \".*\" does not exist",
        NotReady,
        PASSWORD,
        _CHECK_LOGIN,
    ),
    (r"database \".*\" does not exist", NotReady, NO_DATABASE, "Correct the database in the URL."),
    (
        r"permission denied for database|permission denied to connect",
        NotReady,
        PERMISSION,
        "As the owner of the database: GRANT CONNECT ON DATABASE {database} TO {user};",
    ),
    (
        r"starting up|shutting down|recovery mode|not (?:yet )?accepting connections",
        Retry,
        UNAVAILABLE,
        "Nothing, if the server comes back by itself; else start it.",
    ),
    (
        r"hot standby mode|session is read-only|session is not read-only",
        Retry,
        UNAVAILABLE,
        "Nothing during a failover; else correct the hosts or target_session_attrs in the URL.",
    ),
    (
        r"too many (?:clients|connections)|connection slots are reserved|max_wal_senders",
        Retry,
        TOO_MANY,
        "End connections that nobody needs, or raise max_connections or max_wal_senders.",
    ),
    (
        r"unexpected eof|SSL SYSCALL|closed the connection unexpectedly|closed unexpectedly",
        Retry,
        UNREACHABLE,
        "Nothing, if the server is being started or ended; else look into its log. Servers before 17 end "
        "the connection at sslnegotiation=direct.",
    ),
    (
        r"certificate|SSL error|sslmode|sslnegotiation|\bSSL\b.*required",
        NotReady,
        TLS,
        "Correct sslmode, sslrootcert, sslcert or sslkey in the URL, or TLS on the server.",
    ),
    (
        r"conversion between .* and .* is not supported",
        NotReady,
        ENCODING,
        "Dump the database, create it anew with another encoding, and restore it: CREATE DATABASE "
        "{database} ENCODING '…' TEMPLATE template0;",
    ),
    (
        r"unsupported startup parameter",
        NotReady,
        POOLER,
        TO_THE_SERVER,
    ),
    (
        r"invalid (?:integer )?value|invalid .* value|unrecognized configuration parameter|"
        r"parameter \".*\" cannot be changed|invalid connection option",
        NotReady,
        REFUSED,
        "Correct the parameters in the URL.",
    ),
)

_ATTEMPT: Final = re.compile(r" ?- host: ")
_UNNAMED: Final = (
    "The URL names no database, which means the one that is called like the user: write one behind the host, "
    "postgresql://user@host:5432/database."
)
_LOST_STATES: Final = re.compile(r"08...|57P0[1-5]")
_BUSY_STATES: Final = re.compile(r"40...|53...|55006|57014|58030")


@contextmanager
def connecting(address: Address) -> Iterator[None]:
    """Turns psycopg's errors into tailrace's while a connection is being made."""
    try:
        yield
    except psycopg.Error as error:
        text = _concise(error)
        for pattern, kind, code, remedy in _REFUSALS:
            if re.search(pattern, text, re.I):
                names = {"user": address.user, "database": address.database}
                if code is NO_DATABASE and "dbname" not in address.parameters:
                    remedy = _UNNAMED
                filled = remedy.format(**{key: _quoted(name) for key, name in names.items()})
                raise kind(code, text, filled, where=str(address)) from None
        raise Retry(
            UNREACHABLE,
            text,
            "Check host and port in the URL, and that the server runs and listens there.",
            where=str(address),
        ) from None


@contextmanager
def talking(address: Address) -> Iterator[None]:
    """Turns psycopg's errors into tailrace's while an open connection is used."""
    try:
        yield
    except psycopg.Error as error:
        raise fault(error, address) from None


def fault(error: psycopg.Error, address: Address) -> TailraceError:
    """What an error on an open connection means."""
    state, text, where = error.sqlstate, _concise(error), str(address)
    if state is None or _LOST_STATES.fullmatch(state):
        return Retry(LOST, text, "Nothing: the connection is made again.", where=where)
    if state == "55P03":
        remedy = "Nothing, if the lock is soon released; pg_locks shows who holds it."
        return Retry(BUSY, text, remedy, where=where)
    if state == "42710":  # nothing is made that was not looked for before
        return Retry(BUSY, text, "Nothing: what another session has just made is looked at.", where=where)
    if _BUSY_STATES.fullmatch(state):
        return Retry(BUSY, text, "Nothing, if it passes; else look at what the server says.", where=where)
    if state == "42501":
        return NotReady(PERMISSION, text, f"Grant {address.user or 'the role'} what it lacks.", where=where)
    return Stop(
        REFUSED, f"{text} (SQLSTATE {state})", "Mend what the server says, then start again.", where=where
    )


def _quoted(name: str) -> str:
    """As it is written in SQL."""
    return Identifier(name).as_string() if name else "…"


def _concise(error: psycopg.Error) -> str:
    """The server's or libpq's words in one line, without the preamble that says where."""
    diagnostics = error.diag
    if diagnostics.message_primary:
        parts = (diagnostics.message_primary, diagnostics.message_detail)
        return "; ".join(part for part in parts if part)
    text = " ".join(str(error).split())
    attempts = [_plain(attempt) for attempt in _ATTEMPT.split(text)[1:]]
    if attempts:  # psycopg tried several hosts, or several addresses of one, and tells of the last one twice
        return "; ".join(dict.fromkeys(attempts))
    return _plain(text) or "no reason given"


def _plain(text: str) -> str:
    """One attempt's words without what is known anyway; of one among several the place stays."""
    place = re.match(r"'(.*?)', port: (?:'(.*?)'|None), hostaddr: (?:'.*?'|None): ", text)
    if place is not None:
        return f"{place[1]}:{place[2] or 5432}: {_plain(text[place.end() :])}"
    text = re.sub(r"^connection (?:failed|is bad): ", "", text)
    text = re.sub(r"^connection to server (?:at|on) .*? failed: ", "", text)
    text = re.sub(r"FATAL: +", "", text)
    text = re.sub(r" Is the server running .*\?$", "", text)
    return re.sub(r" DETAIL: +", "; ", text).strip()
