"""What the check list says of the publications, and of the rights that making or changing them needs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from psycopg.sql import Identifier

from connectors.postgres.capture import Captured
from connectors.postgres.catalogue import Relation, Server
from connectors.postgres.membership import Membership
from connectors.postgres.publication import gone
from tailrace.abc import Finding
from tailrace.clients.postgres.faults import PERMISSION
from tailrace.errors import NotReady, TailraceError

_TITLE: Final = "publication"
_SHOWN: Final = 10


def findings(captured: Captured, server: Server, where: str, *, begun: bool, ours: bool) -> list[Finding]:
    """`begun`: the slot exists, so that the publications must; `ours`: they are made here."""
    membership = captured.membership
    if begun and ours and membership.absent:
        return [fault(_TITLE, gone(membership.absent[0]))]
    if error := membership.unfit(captured.relations):
        return [fault(_TITLE, error)]
    if not ours:
        return _others(membership)
    if lacking := _lacking(membership, server):
        remedy = f"{lacking[1]} Or let somebody who may run: {membership.text()};"
        return [fault(_TITLE, NotReady(PERMISSION, lacking[0], remedy, where=where))]
    return [*_changes(membership), *_extra(captured)]


def fault(title: str, error: TailraceError) -> Finding:
    """The finding that is an error."""
    return Finding(title, error.found, error=error, remedy=error.remedy)


def listed(names: Sequence[str]) -> str:
    """Names for a line, some of them if there are many."""
    more = len(names) - _SHOWN
    return ", ".join(names[:_SHOWN]) + (f" and {more} more" if more > 0 else "")


def _changes(membership: Membership) -> list[Finding]:
    """What the next start does to publications that exist."""
    name = membership.names.main
    if membership.main is None:
        return [Finding(_TITLE, f"{name} will be made")]
    shown = []
    for tables, found, remedy in (
        (
            membership.added,
            "{} lacks {}; added at the next start. Only changes from then on arrive",
            "Bring the rows that exist already over by other means.",
        ),
        (
            membership.promoted,
            "{} gets {} at the next start: updates and deletes from then on arrive too",
            "Bring over by other means what was updated or deleted since the replica identity was made.",
        ),
        (
            membership.demoted,
            "{} loses {} at the next start: inserts alone arrive from then on, and until then the server "
            "refuses updates and deletes of it",
            "Give it a replica identity again, or start the pipeline.",
        ),
    ):
        if tables:
            names = listed([str(relation) for relation in tables])
            shown.append(Finding(_TITLE, found.format(name, names), warning=True, remedy=remedy))
    shown += [
        Finding(
            _TITLE,
            f"changed at the next start: {difference}",
            warning=True,
            remedy="Changes from then on arrive so; for those before, bring the targets in line by other "
            "means.",
        )
        for difference in membership.differences()
    ]
    return shown or [Finding(_TITLE, f"{name} exists")]


def _others(membership: Membership) -> list[Finding]:
    """Publications that somebody else makes."""
    if error := membership.not_made():
        return [fault(_TITLE, error)]
    assert membership.main is not None
    shown = [Finding(_TITLE, f"{membership.main.name} exists, and is left as it is (create: false)")]
    if membership.main.extents:
        shown.append(
            Finding(
                _TITLE,
                "row filters or column lists leave out rows or columns of "
                f"{listed([quoted for quoted, _ in membership.main.extents.values()])}",
                warning=True,
                remedy="Nothing, if that is meant. They can be seen in pg_publication_tables.",
            )
        )
    return shown


def _extra(captured: Captured) -> list[Finding]:
    main = captured.membership.main
    if main is None or not (extra := main.extra(captured.selected)):
        return []
    names = listed([f"{schema}.{name}" for schema, name in extra])
    return [
        Finding(
            _TITLE,
            f"{main.name} also publishes tables that are not captured, and are left out: {names}",
            warning=True,
            remedy=f"ALTER PUBLICATION {Identifier(main.name).as_string()} DROP TABLE …; spares the "
            "server from sending them.",
        )
    ]


def _lacking(membership: Membership, server: Server) -> tuple[str, str] | None:
    """Which rights to make or change the publications are missing, and the statements that give them."""
    role = Identifier(server.role).as_string()
    found, give = [], []
    if membership.absent and not server.may_create:
        database = Identifier(server.database).as_string()
        found.append(f"the role {server.role} may not create a publication")
        give.append(f"GRANT CREATE ON DATABASE {database} TO {role};")
    for existing in (membership.main, membership.inserts):
        if existing is not None and not existing.owned and membership.alters(existing.name):
            name = Identifier(existing.name).as_string()
            found.append(
                f"the role {server.role} does not own publication {existing.name}, whose tables change"
            )
            give.append(f"ALTER PUBLICATION {name} OWNER TO {role};")
    foreign: list[Relation] = [
        r for r in [*membership.to_main, *membership.to_inserts, *membership.changed] if not r.owned
    ]
    if foreign:
        names = listed([str(relation) for relation in foreign])
        found.append(f"only a table's owner may publish it, and the role {server.role} does not own {names}")
        owners = sorted({relation.owner for relation in foreign if relation.owner is not None})
        give += [f"GRANT {Identifier(owner).as_string()} TO {role};" for owner in owners]
        if superusers := [relation.quoted for relation in foreign if relation.owner is None]:
            give.append(
                f"Let a role that is no superuser own {listed(superusers)}, and make {role} a member of it."
            )
    return ("; ".join(found), " ".join(give)) if found else None
