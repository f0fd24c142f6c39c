"""Relations: what a relation message and the catalogue together say of a table, and its versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tailrace.events import Origin


@dataclass(frozen=True, slots=True)
class TypeDetails:
    """A row of pg_type, for types that `types.py` does not know by their oid."""

    oid: int
    schema: str
    name: str
    typtype: str  # pg_type.typtype: b base, c composite, d domain, e enum, p pseudo, r range, m multirange
    element: int = 0  # the element type's oid if this is a true array (typcategory A), else 0
    delimiter: str = ","  # typdelim
    labels: tuple[str, ...] = ()  # of an enum, in enumsortorder


@dataclass(frozen=True, slots=True)
class RelationDetails:
    """What the catalogue says of a relation and the relation message does not.

    The catalogue may be newer than the message: columns that the message does not name are ignored, and for a
    relation that is gone everything is empty.
    """

    not_null: frozenset[str] = frozenset()  # names of the columns that are NOT NULL
    primary_key: tuple[str, ...] = ()  # column names, in the order of the key
    types: Mapping[int, TypeDetails] = field(default_factory=dict)  # by oid


@dataclass(frozen=True, slots=True)
class Undescribed:
    """A relation that the decoder cannot go on without knowing more of."""

    oid: int
    schema: str
    name: str
    types: tuple[int, ...]
    """Oids to look up in pg_type, together with the element type of each that is an array; one that no longer
    exists is left out of `RelationDetails.types`."""


class Relations:
    """The tables of one pipeline by relation oid; lives as long as the source, across connections.

    `captured(schema, table)` tells whether the pipeline wants a table.
    """

    def __init__(self, origin: Origin, captured: Callable[[str, str], bool]) -> None:
        self.origin = origin
        self.captured = captured
