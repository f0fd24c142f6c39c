"""What the statements in a binary log mean for a reader of rows.

In the row format a log has as statements only what frames transactions, DDL, and TRUNCATE. A session may
write changes of rows as statements all the same: these have no rows to deliver, and which tables they change
is not always in their text (triggers, functions). No I/O.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise
from typing import Final

import msgspec

from connectors.mysql.binlog.messages import Query
from connectors.mysql.binlog.quotes import COMMENT
from tailrace.patterns import TableFilter

_TOKEN: Final = re.compile(
    rf"""
    (?P<blank> [\t-\r\ \xa0]+ | {COMMENT} | /\*M?!\d* | \*/ )
  | (?P<name> `(?:[^`]+|``)*+` )
  | (?P<text> '(?:[^'\\]+|\\.|'')*+' | "(?:[^"\\]+|\\.|"")*+" )
  | (?P<word> [\w$\x80-\x9f\xa1-\uffff]+ )
  | (?P<sign> \\. | . )
    """,
    re.X | re.S,
)
"""Each takes time in proportion to the statement, closed or not: what is open is tried once. Any sign beyond
ASCII may stand in a name without quotes; the blank among them is one to clients of single bytes."""


class Meaning(enum.Enum):
    """What follows from a statement."""

    BEGIN = "begin"
    COMMIT = "commit"
    ROLLBACK = "rollback"
    SAVEPOINT = "savepoint"
    ROLLBACK_TO = "rollback to"
    XA_COMMIT = "xa commit"  # of a transaction that was prepared, in one of its own
    XA_ROLLBACK = "xa rollback"
    TRUNCATE = "truncate"
    CHANGE = "change"  # rows, in statement format
    UNTOLD = "untold"  # DDL by which rows come or go, of which the log has none
    NOTHING = "nothing"  # DDL: the next table map tells


class Statement(msgspec.Struct, frozen=True):
    """A statement's meaning, and of what it is one: a savepoint, a table, an XA transaction."""

    meaning: Meaning
    schema: str = ""  # of a table; empty: the session's
    name: str = ""
    exchanged: tuple[str, str] | None = None  # schema and name of a table that gives or takes rows


_FRAMES: Final = {
    "BEGIN": Statement(Meaning.BEGIN),
    "COMMIT": Statement(Meaning.COMMIT),
    "ROLLBACK": Statement(Meaning.ROLLBACK),
}
# Rows stand between XA START and XA END; a prepare, and a commit in one phase, have an event of their own.
_XA: Final = {
    "START": Meaning.BEGIN,
    "BEGIN": Meaning.BEGIN,
    "COMMIT": Meaning.XA_COMMIT,
    "ROLLBACK": Meaning.XA_ROLLBACK,
}
_NOTHING: Final = Statement(Meaning.NOTHING)
_CHANGE: Final = Statement(Meaning.CHANGE)
# DDL and administration. Every other statement may change rows: `SELECT f()`, `DO f()` and `CALL p()` are
# logged where what they call does, `ANALYZE UPDATE …` is MariaDB's.
_HARMLESS: Final = frozenset(
    (
        "", "ALTER", "CREATE", "DROP", "FLUSH", "GRANT", "IMPORT", "INSTALL", "OPTIMIZE", "RELEASE", "RENAME",
        "REPAIR", "REVOKE", "SET", "UNINSTALL",
    )
)  # fmt: skip


def read(sql: str) -> Statement:
    """What a statement means."""
    if (frame := _FRAMES.get(sql)) is not None:
        return frame
    tokens = _tokens(sql)
    first = next(tokens, "").upper()
    if first == "SET" and next(tokens, "").upper() == "STATEMENT":
        first = _behind_settings(tokens).upper()
    if first == "XA":
        what = _XA.get(next(tokens, "").upper(), Meaning.NOTHING)
        return Statement(what, name="" if what is Meaning.NOTHING else "".join(tokens))
    if first == "SAVEPOINT":
        return Statement(Meaning.SAVEPOINT, name=_unquoted(next(tokens, "")))
    if first in ("BEGIN", "START"):
        return _FRAMES["BEGIN"]
    if first in ("COMMIT", "ROLLBACK"):
        rest = [word for word in tokens if word.upper() not in ("WORK", "TO", "SAVEPOINT")]
        return Statement(Meaning.ROLLBACK_TO, name=_unquoted(rest[0])) if rest else _FRAMES[first]
    if first == "TRUNCATE":
        return _truncated(tokens)
    if first == "ANALYZE":
        words = {next(tokens, "").upper(), next(tokens, "").upper()}
        return _NOTHING if words & {"TABLE", "TABLES"} else _CHANGE
    if first == "ALTER":
        return _altered(list(tokens))
    if first == "CREATE":
        return _CHANGE if _fills([word.upper() for word in tokens]) else _NOTHING
    return _NOTHING if first in _HARMLESS else _CHANGE


def may_change(query: Query, tables: TableFilter) -> bool:
    """Whether a statement that changes rows may change those of captured tables: whether it opens tables in
    their database. Its text does not tell, as views, triggers and functions lead elsewhere; where the server
    does not tell either, it may."""
    if query.databases is None:
        return True
    return any(pattern.schema.fullmatch(name) for pattern in tables.include for name in query.databases)


def _behind_settings(tokens: Iterator[str]) -> str:
    """MariaDB: the first word of the statement behind `SET STATEMENT name = value, … FOR`."""
    depth = 0
    for token in tokens:
        depth += (token == "(") - (token == ")")
        if token.upper() == "FOR" and not depth:
            break
    return next(tokens, "")


def _fills(words: Sequence[str]) -> bool:
    """Whether what stands behind CREATE makes a table with rows in it, by a query: in the row format these
    come as rows, and the statement is without its query."""
    if "TABLE" not in words[:3]:
        return False
    at = words.index("TABLE") + 1
    rest = words[at:]
    if "TEMPORARY" in words[:at]:
        return False
    of_values = any(
        word == "VALUES" and following not in ("LESS", "IN") for word, following in pairwise(rest)
    )  # else of a partition
    return "SELECT" in rest or "TABLE" in rest or of_values


def _truncated(tokens: Iterator[str]) -> Statement:
    names = list(tokens)
    if names and names[0].upper() == "TABLE":
        del names[0]
    return Statement(Meaning.TRUNCATE, *_table(names)) if names else _NOTHING


_ROWS_GO: Final = frozenset(
    (
        ("TRUNCATE", "PARTITION"), ("DROP", "PARTITION"), ("EXCHANGE", "PARTITION"), ("CONVERT", "PARTITION"),
        ("CONVERT", "TABLE"), ("DISCARD", "PARTITION"), ("IMPORT", "PARTITION"), ("DISCARD", "TABLESPACE"),
        ("IMPORT", "TABLESPACE"),
    )
)  # fmt: skip
"""Words of an ALTER TABLE by which rows come or go."""


def _altered(tokens: Sequence[str]) -> Statement:
    words = [token.upper() for token in tokens]
    if "TABLE" not in words[:3] or _ROWS_GO.isdisjoint(pairwise(words)):
        return _NOTHING
    at = words.index("TABLE") + 1
    at += 2 * (words[at : at + 2] == ["IF", "EXISTS"])
    other = next((n for n, word in enumerate(words) if word == "TABLE" and n > at), None)
    exchanged = None if other is None else _table(tokens[other + 1 :])
    return Statement(Meaning.UNTOLD, *_table(tokens[at:]), exchanged)


def _table(tokens: Sequence[str]) -> tuple[str, str]:
    """Schema and name of the table with which tokens begin; without a schema, or with MariaDB's `.name`, that
    is empty."""
    if tokens[:1] == ["."]:
        tokens = tokens[1:]
    if len(tokens) > 2 and tokens[1] == ".":
        return _unquoted(tokens[0]), _unquoted(tokens[2])
    return "", _unquoted(tokens[0]) if tokens else ""


def _tokens(sql: str) -> Iterator[str]:
    """Words, names in their quotes, texts and signs, without comments; what the server executes of these is
    none."""
    found: Iterable[re.Match[str]] = _TOKEN.finditer(sql)
    return (match[0] for match in found if match.lastgroup != "blank")


def _unquoted(token: str) -> str:
    """A name without its quotes; double ones are a name's where the session says so (ANSI_QUOTES)."""
    quote = token[:1]
    if quote in ("`", '"') and len(token) > 1:
        return token[1:-1].replace(quote * 2, quote)
    return token
