"""What of a table is published: some of its columns, some of its rows.

A publication does not say who gave a table its lists. A pipeline therefore leaves a mark of what it has set
in the publication's comment: lists that are as they were marked may be changed to what the settings want now,
others were set by somebody else, for whatever reason.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from psycopg.sql import SQL, Composable, Composed, Identifier, Literal

from connectors.postgres.catalogue import Relation

_QUOTED_OR_BLANK: Final = re.compile(r"""('(?:[^']|'')*'|"(?:[^"]|"")*")|\s+""")
_MARK: Final = "tailrace set these column lists and row filters: "


@dataclass(frozen=True, slots=True)
class Extent:
    """What of a table is published."""

    columns: tuple[str, ...] | None = None  # in the order of the table; None: all
    where: str | None = None  # which rows, in SQL; None: all
    written: str | None = field(default=None, compare=False)  # the filter as the settings write it

    def __str__(self) -> str:
        columns = "all columns" if self.columns is None else f"the columns {', '.join(self.columns)}"
        return columns if self.where is None else f"{columns}, the rows WHERE {_enclosed(self.where)}"


WHOLE: Final = Extent()


def entry(relation: Relation, extent: Extent = WHOLE) -> Composed:
    """A table as a publication's statement names it."""
    # Without ONLY, tables that inherit from it would be published too: they are captured by their own names,
    # and those without a replica identity could not be updated any more.
    parts: list[Composable] = [SQL("ONLY {}").format(Identifier(*relation.qualified))]
    if extent.columns is not None:
        parts.append(SQL("({})").format(SQL(", ").join(map(Identifier, extent.columns))))
    if extent.where is not None:
        parts.append(SQL(f"WHERE {_enclosed(extent.where)}"))
    return SQL(" ").join(parts)


def same(one: Extent, other: Extent) -> bool:
    """Whether both are the same part of a table. Filters are, where their texts are but for blanks outside of
    quotes and for parentheses around all of it."""
    if one.where is None or other.where is None:
        return one == other
    return one.columns == other.columns and _bare(one.where) == _bare(other.where)


def _bare(where: str) -> str:
    where = _QUOTED_OR_BLANK.sub(lambda found: found[1] or " ", where).strip()
    while _is_enclosed(where):
        where = where[1:-1].strip()
    return where


def _enclosed(where: str) -> str:
    """In parentheses, which a comment at its end does not undo."""
    return where if _is_enclosed(where) else f"({where}\n)" if "--" in where else f"({where})"


def _is_enclosed(where: str) -> bool:
    """Whether one pair of parentheses is around all of it, as far as that is plain to see."""
    if not where.startswith("(") or any(unclear in where for unclear in ("\\", "$", "--", "/*")):
        return False
    depth, quote = 0, None
    for place, character in enumerate(where):
        if quote is not None or character in "'\"":
            quote = None if character == quote else quote or character
            continue
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place == len(where) - 1
    return False


def mark(extent: Extent) -> str:
    """What is left behind of an extent that was set here."""
    return f"{_digest(extent.columns, extent.where)}/{_digest(extent.written)}"


def set_here(found: str | None, extent: Extent) -> bool:
    """Whether an extent that stands in a publication is the one that was marked."""
    return found is not None and found.partition("/")[0] == _digest(extent.columns, extent.where)


def written_so(found: str | None, text: str) -> bool:
    """Whether the filter that was marked was written as this text."""
    return found is not None and found.partition("/")[2] == _digest(text)


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]


def marks(comment: str | None) -> dict[str, str]:
    """Name of a table, quoted → the mark of what was set for it. Empty for a comment of somebody else's."""
    for line in (comment or "").split("\n"):
        if line.startswith(_MARK):
            try:
                found = json.loads(line[len(_MARK) :])
            except ValueError:
                return {}
            return found if isinstance(found, dict) else {}
    return {}


def marking(name: str, comment: str | None, left: Mapping[str, str]) -> Composed:
    """The statement that leaves these marks on a publication, as a line of its comment: what else stands
    there stays."""
    lines = [line for line in comment.split("\n") if not line.startswith(_MARK)] if comment else []
    if left:
        lines.append(_MARK + json.dumps(left, ensure_ascii=False, sort_keys=True))
    return SQL("COMMENT ON PUBLICATION {} IS {}").format(Identifier(name), Literal("\n".join(lines) or None))
