"""The tables that a pipeline is to capture: whether they are there, and what stands against it."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from connectors.mysql.assembly.tables import SYSTEM, keyless
from connectors.mysql.config import BinlogSettings
from connectors.mysql.folding import lowered
from connectors.mysql.keys import HAS_KEY
from tailrace.abc import Finding
from tailrace.clients.mysql.connection import Session
from tailrace.clients.mysql.faults import ABSENT, NO_DATABASE
from tailrace.errors import NotReady, Stop, TailraceError, code
from tailrace.patterns import TableFilter, exactly

NO_TABLE: Final = code(
    "TR-MY-405",
    "no table matches",
    "A pattern names a table exactly, and there is none of that name that the account may read, or it is a "
    "view or a table of the server itself.",
)
ENGINE: Final = code(
    "TR-MY-406",
    "a storage engine whose log is another",
    "NDB writes its own changes into the binary log, an update as an insert of what changed: it cannot be "
    "told from an insert.",
)

_SHOWN: Final = 5  # names in a line
_MEANT: Final = (
    "Look whether it is meant so: case counts, and names stand without backticks. A table that is created "
    "later is captured."
)
_ALL_EXCLUDED: Final = "What tables: names, exclude: takes away again."
_BASE: Final = ("BASE TABLE", "SYSTEM VERSIONED")
_NOT_READ: Final = ("ndbcluster",)  # engines, in small letters

_TABLES: Final = f"""
    SELECT t.table_schema, t.table_name, t.table_type, COALESCE(t.engine, ''), {HAS_KEY}
    FROM information_schema.tables t
    WHERE t.table_schema NOT IN %s
    ORDER BY t.table_schema, t.table_name
    """


class Existing(NamedTuple):
    """What the catalogue has under a name."""

    schema: str
    table: str
    kind: str  # "" a table; else what it is: `VIEW`
    engine: str
    has_key: bool

    @property
    def name(self) -> tuple[str, str]:
        return self.schema, self.table

    @property
    def quoted(self) -> str:
        """Its name for a statement."""
        return quoted(*self.name)

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"


def quoted(*names: str) -> str:
    """A name for a statement."""
    return ".".join(f"`{name.replace('`', '``')}`" for name in names)


async def found(session: Session, tables: TableFilter, *, folded: bool) -> Sequence[Existing]:
    """Everything that the account may read, but for the server's own. Whoever renames or alters a table
    meanwhile hides it, or its key, from the list for a moment: of a captured one without a key, and of one
    that is named and missing, the server is asked once more in a way that waits for such statements.
    `folded`: as in `look`."""
    listed = await _listed(session)
    names = {one.name for one in listed}
    missing = {
        name
        for name in (pattern.literal for pattern in tables.include)
        if name is not None and name not in names and name[0] not in SYSTEM
        if not folded or all(part == lowered(part) for part in name)
    }
    there = []
    for one in (*listed, *(Existing(*name, "", "", has_key=False) for name in sorted(missing))):
        if one.kind or one.has_key or not tables.captured(*one.name):
            there.append(one)
        elif (has_key := await _has_key(session, one, listed=one.name in names)) is not None:
            there.append(one._replace(has_key=has_key))
    return there


async def _has_key(session: Session, table: Existing, *, listed: bool) -> bool | None:
    """Whether a table has a key, by a statement that waits for its metadata lock. None where there is none,
    or the account may not read it; a table whose engine cannot open it has none that is known."""
    try:
        parts = await session.query(f"SHOW KEYS FROM {table.quoted}")
    except Stop as error:
        gone = error.code in (ABSENT, NO_DATABASE)
        return None if gone or not listed else False
    unique: dict[str, bool] = {}
    for _, non_unique, name, _, column, _, _, part, _, null, *_ in parts:
        if not int(non_unique):
            whole = column is not None and part is None and null != "YES"
            unique[str(name)] = unique.get(str(name), True) and whole
    return "PRIMARY" in unique or any(unique.values())


async def _listed(session: Session) -> Sequence[Existing]:
    return [
        Existing(str(schema), str(table), "" if kind in _BASE else str(kind), str(engine), bool(has_key))
        for schema, table, kind, engine, has_key in await session.query(_TABLES, (SYSTEM,))
    ]


def look(
    there: Sequence[Existing],
    captured: Sequence[Existing],
    tables: TableFilter,
    settings: BinlogSettings,
    where: str,
    account: str,
    *,
    folded: bool,
) -> Iterator[Finding]:
    """The findings about tables. `folded`: the server keeps their names in lower case."""
    if folded:
        yield from _capitals(tables, where)
    absent = list(_absent(there, tables, where, account))
    yield from absent
    for pattern in tables.include if captured else ():
        if pattern.literal is None and not any(pattern.matches(*table.name) for table in there):
            yield Finding("tables", f"{pattern.text} matches no table yet", warning=True, remedy=_MEANT)
    without = [str(table) for table in captured if not table.has_key]
    if without and settings.keyless != "refuse":
        yield _without_key(without, settings)
        without = []
    for name in without:
        yield fault("primary keys", keyless(name))
    unread = [table for table in captured if table.engine.lower() in _NOT_READ]
    for table in unread:
        error = NotReady(
            ENGINE, f"{table} is of {table.engine}", f"Leave it out: exclude: [{table}].", where=where
        )
        yield fault("storage engines", error)
    if not captured and not absent:
        yield Finding(
            "tables",
            "no table matches yet: those that are created later are captured",
            warning=True,
            remedy="Look whether the patterns are meant so. "
            + (_ALL_EXCLUDED if _excluded(there, tables) else _unseen(tables, account)),
        )
    elif not absent and not without and not unread:
        yield Finding("tables", listed([str(table) for table in captured]))


def _excluded(there: Sequence[Existing], tables: TableFilter) -> bool:
    """Whether there are tables that are named, and none that `exclude` leaves."""
    return any(pattern.matches(*one.name) for one in there if one.kind == "" for pattern in tables.include)


def _unseen(tables: TableFilter, account: str) -> str:
    """Tables that an account may not read are none to it."""
    names = [pattern.text.partition(".")[0] for pattern in tables.include]
    grants = [f"GRANT SELECT ON {quoted(one)}.* TO {account};" for one in names if not set(one) & {*'*?"'}]
    told = " ".join(dict.fromkeys(grants)) or "grant SELECT on them."
    return f"Or the account may not read the tables: {told}"


def _capitals(tables: TableFilter, where: str) -> Iterator[Finding]:
    """Patterns that no table can match: of `exclude` one would leave out what it names to no avail."""
    for pattern in (*tables.include, *tables.exclude):
        if pattern.text != lowered(pattern.text):
            error = NotReady(
                NO_TABLE,
                f"{pattern.text} has capitals, and the server keeps names in lower case "
                "(lower_case_table_names = 1)",
                f"Write {lowered(pattern.text)} under tables: or exclude:.",
                where=where,
            )
            yield fault("tables", error)


def _absent(there: Sequence[Existing], tables: TableFilter, where: str, account: str) -> Iterator[Finding]:
    """Patterns that name one table, which cannot be captured."""
    kinds = {one.name: one.kind for one in there}
    for pattern in tables.include:
        name = pattern.literal
        if name is None or kinds.get(name) == "":
            continue
        if name in kinds:
            told = f"{pattern.text} is no table but a {kinds[name].lower()}"
            remedy = (
                "Take it out of tables:. Of a view name the tables that it reads: their rows are changed."
            )
        elif name[0] in SYSTEM:
            told = f"{pattern.text} is the server's own, and never captured"
            remedy = "Take it out of tables:."
        else:
            told = f"{pattern.text} does not exist, or the account may not read it"
            remedy = _called_otherwise(name, there) or (
                f"{_close(name, there)}Correct tables:, whose case counts, or GRANT SELECT ON "
                f"{quoted(*name)} TO {account};"
            )
        error = NotReady(NO_TABLE, told, remedy, where=where)
        # Behind a position it was there once: what it had before it went may still stand in the log.
        yield Finding("tables", told, error=error, beginning=name[0] not in SYSTEM)


def _called_otherwise(name: tuple[str, str], there: Sequence[Existing]) -> str:
    """What to write where there are tables whose names differ in case or backticks alone."""
    sought = tuple(part.strip("`").casefold() for part in name)
    near = sorted(
        exactly(*one.name) for one in there if tuple(part.casefold() for part in one.name) == sought
    )
    return f"Write {' or '.join(near)} under tables:." if near else ""


def _close(name: tuple[str, str], there: Sequence[Existing]) -> str:
    """`Did you mean …? ` if a table of the same database has a name that is close, or if one of the same name
    is in a database that is called nearly so."""
    schema, table = name
    tables = [one.table for one in there if one.kind == "" and one.schema == schema]
    schemas = [one.schema for one in there if one.kind == "" and one.table == table]
    near = [exactly(schema, one) for one in difflib.get_close_matches(table, tables, n=1)]
    near += [exactly(one, table) for one in difflib.get_close_matches(schema, schemas, n=1)]
    return f"Did you mean {near[0]}? " if near else ""


def _without_key(tables: Sequence[str], settings: BinlogSettings) -> Finding:
    title, told = "primary keys", f"{listed(tables)}: none"
    if settings.keyless == "all":
        return Finding(title, f"{told}; their changes are delivered without a key")
    return Finding(
        title,
        f"{told}; their inserts are delivered, updates and deletes are not",
        warning=True,
        remedy="Give them a key, or write keyless: all under source: to have all of their changes.",
    )


def listed(names: Sequence[str]) -> str:
    """Some of them, and how many more there are."""
    shown = ", ".join(names[:_SHOWN])
    return f"{shown} and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def fault(title: str, error: TailraceError) -> Finding:
    """The finding of an error."""
    return Finding(title, error.found, error=error)
