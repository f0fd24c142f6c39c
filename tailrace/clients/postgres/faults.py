"""What a failed connection or statement means: pass by itself, or needs a person.

PostgreSQL tells the SQLSTATE of everything but a connection that it refuses: libpq keeps only the text of
that. The texts below are the server's in English; one in another language counts as trouble that passes, and
is shown as it is.
"""

from __future__ import annotations

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
    "The server does not offer the TLS that the URL asks for, or its certificate is not trusted.",
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

_CHECK_LOGIN: Final = "Check user and password, and pg_hba.conf on the server."

# What a refused connection's text says → what it is, in the order in which they are looked for.
_REFUSALS: Final[tuple[tuple[re.Pattern[str], type[TailraceError], Code, str], ...]] = tuple(
    (re.compile(pattern, re.I), kind, code, remedy)
    for pattern, kind, code, remedy in (
        (
            r"to start wal ?sender",
            NotReady,
            NO_REPLICATION,
            "As a superuser: ALTER ROLE {user} REPLICATION;",
        ),
        (
            r"password authentication failed|no password supplied|authentication failed|"
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
            "Nothing, if the server is being started or ended; else look into its log.",
        ),
        (
            r"does not support SSL|certificate|SSL error|sslmode|\bSSL\b.*required",
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
            r"invalid (?:integer )?value|invalid .* value|unrecognized configuration parameter|"
            r"parameter \".*\" cannot be changed|invalid connection option|unsupported startup parameter",
            NotReady,
            REFUSED,
            "Correct the parameters in the URL; it must lead to the server itself, not to a pooler.",
        ),
    )
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
            if pattern.search(text):
                names = {"user": address.user, "database": address.database}
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
    text = re.sub(r"^connection (?:failed|is bad): ", "", text)
    text = re.sub(r"^connection to server (?:at|on) .*? failed: ", "", text)
    text = re.sub(r"FATAL: +", "", text)
    return re.sub(r" DETAIL: +", "; ", text) or "no reason given"
