"""Tables for the types of pgvector and PostGIS, which need servers of their own."""

from __future__ import annotations

from typing import Final

from tests.golden.changes import LAST
from tests.golden.families import family, with_arrays
from tests.golden.tables import Table

_LAST: Final = Table(LAST, "id integer PRIMARY KEY", (f"INSERT INTO {LAST} VALUES (1)",))


def _toasted(name: str, values: str, **columns: str) -> Table:
    """A table whose large values an update leaves alone."""
    definition = "".join(f", {column} {type}" for column, type in columns.items())
    storage = [f"ALTER TABLE {name} ALTER {column} SET STORAGE EXTERNAL" for column in columns]
    return Table(
        name,
        f"id integer PRIMARY KEY, n integer{definition}",
        (f"INSERT INTO {name} SELECT 1, 1, {values}", f"UPDATE {name} SET n = 2"),
        (*storage, f"ALTER TABLE {name} SET (toast_tuple_target = 128)"),
    )


_MANY: Final = "array_fill(1.5::real, ARRAY[200])::vector"

VECTORS: Final = (
    *with_arrays("vectors", "vector(3)", "'[1,-2.5,3e10]'", "'[0.1,0,1e-20]'"),
    *with_arrays("vectors_of_any_size", "vector", "'[1]'", "'[1.5,2]'"),
    *with_arrays("halves", "halfvec(2)", "'[1.5,-0.1]'", "'[65504,6e-8]'"),
    *with_arrays("sparse", "sparsevec(5)", "'{1:1.5,3:-2e10}/5'", "'{}/5'"),
    Table(
        "sparse_large",
        "id integer PRIMARY KEY, x sparsevec",
        ("INSERT INTO sparse_large VALUES (1, '{7:1.5}/32767'), (2, '{100000:1.5}/1000000')",),
    ),
    _toasted(
        "toasted_vectors", f"{_MANY}, {_MANY}::halfvec, {_MANY}::sparsevec",
        v="vector", h="halfvec", s="sparsevec",
    ),
    _LAST,
)  # fmt: skip

_LINE: Final = (
    "(SELECT ST_MakeLine(array_agg(ST_SetSRID(ST_MakePoint(n, n), 4326))) FROM generate_series(1, 90) n)"
)

PLACES: Final = (
    *with_arrays(
        "geometries", "geometry",
        "'POINT(1 2)'", "'SRID=4326;POINT(1.5 -2)'", "'LINESTRING(0 0, 1 1)'", "'POINT Z (1 2 3)'",
        "'SRID=4326;POINT ZM (1 2 3 4)'", "'POINT EMPTY'",
        "'GEOMETRYCOLLECTION(POINT(1 2), LINESTRING(0 0, 1 1))'",
    ),
    *with_arrays("geometries_of_points", "geometry(POINT, 4326)", "'SRID=4326;POINT(1 2)'"),
    *with_arrays("geographies", "geography", "'POINT(1 2)'", "'SRID=4326;POLYGON((0 0,1 0,1 1,0 0))'"),
    *with_arrays("boxes_of_two", "box2d", "'BOX(1 2,3 4)'"),
    family(
        "points_of_other_bytes", "x geometry",
        "ST_GeomFromEWKB(ST_AsEWKB('SRID=4326;POINT(1 2)', 'XDR'))",
    ),
    _toasted("toasted_places", f"{_LINE}, {_LINE}::geography", g="geometry", p="geography"),
    _LAST,
)  # fmt: skip
