"""Tables for every kind of change: keys, replica identities, values left out of the log, defaults, names."""

from __future__ import annotations

from typing import Final

from tests.golden.tables import Table

#: The table that is written to last of all, behind logical messages, which are no table's.
LAST: Final = "last"

# Values of hundreds of bytes: rows of more than 2 KiB, of which the server then moves out each it can.
_LARGE: Final = {
    "t": ("text", "repeat('x', 400)"),
    "v": ("varchar(400)", "repeat('x', 400)"),
    "c": ("char(400)", "'x'"),
    "j": ("json", """('"' || repeat('x', 400) || '"')::json"""),
    "jb": ("jsonb", """('"' || repeat('x', 400) || '"')::jsonb"""),
    "b": ("bytea", "convert_to(repeat('x', 400), 'UTF8')"),
    "fixed": ("numeric(800,2)", "repeat('1234', 100)::numeric"),
    "free": ("numeric", "repeat('1234', 100)::numeric"),
}
_LARGE_ARRAYS: Final = {
    "t": ("text[]", "'hello'::text"),
    "v": ("varchar(9)[]", "'hello'::varchar"),
    "c": ("char(9)[]", "'hello'::char(9)"),
    "i2": ("smallint[]", "1::smallint"),
    "i4": ("integer[]", "1"),
    "i8": ("bigint[]", "1::bigint"),
    "f4": ("real[]", "1.5::real"),
    "f8": ("double precision[]", "1.5::double precision"),
    "l": ("boolean[]", "true"),
    "fixed": ("numeric(5,1)[]", "1.5::numeric"),
    "free": ("numeric[]", "1.5::numeric"),
    "b": ("bytea[]", r"'\x00ff'::bytea"),
    "u": ("uuid[]", "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid"),
    "j": ("json[]", "'[1]'::json"),
    "jb": ("jsonb[]", "'[1]'::jsonb"),
    "m": ("mood[]", "'sad'::mood"),
    "d": ("date[]", "'2026-01-31'::date"),
    "ti": ("time[]", "'13:14:15'::time"),
    "ts": ("timestamp[]", "'2026-01-31 13:14:15'::timestamp"),
    "tz": ("timestamptz[]", "'2026-01-31 13:14:15+00'::timestamptz"),
    "tt": ("timetz[]", "'13:14:15+00'::timetz"),
}


def _toasted(name: str, columns: dict[str, tuple[str, str]], *identity: str) -> Table:
    """A table whose large values an update leaves alone."""
    definition = "".join(f", {column} {type}" for column, (type, _) in columns.items())
    storage = [f"ALTER TABLE {name} ALTER {column} SET STORAGE EXTERNAL" for column in columns]
    storage.append(f"ALTER TABLE {name} SET (toast_tuple_target = 128)")
    values = ", ".join(value for _, value in columns.values())
    return Table(
        name,
        f"id integer PRIMARY KEY, n integer{definition}",
        (f"INSERT INTO {name} VALUES (1, 1, {values})", f"UPDATE {name} SET n = 2"),
        (*storage, *identity),
    )


CHANGES: Final = (
    Table(
        "keyed",
        "id integer PRIMARY KEY, t text, n integer NOT NULL, s text NOT NULL",
        (
            "INSERT INTO keyed VALUES (1, 'one', 10, 'a'), (2, NULL, 20, '')",
            "UPDATE keyed SET t = 'two' WHERE id = 2",
            "UPDATE keyed SET id = 3 WHERE id = 1",
            "DELETE FROM keyed WHERE id = 3",
        ),
    ),
    Table(
        "keyed_by_two",
        "t text, a integer, b varchar(5), PRIMARY KEY (b, a)",
        (
            "INSERT INTO keyed_by_two VALUES ('x', 1, 'ü')",
            "UPDATE keyed_by_two SET t = NULL",
            "UPDATE keyed_by_two SET a = 2",
            "DELETE FROM keyed_by_two",
        ),
    ),
    Table(
        "identity_full",
        "id integer PRIMARY KEY, t text, n integer NOT NULL",
        (
            "INSERT INTO identity_full VALUES (1, 'one', 10), (2, NULL, 20)",
            "UPDATE identity_full SET t = 'two' WHERE id = 2",
            "UPDATE identity_full SET id = 3 WHERE id = 1",
            "DELETE FROM identity_full",
        ),
        ("ALTER TABLE identity_full REPLICA IDENTITY FULL",),
    ),
    Table(
        "identity_index",
        "id integer PRIMARY KEY, code text NOT NULL UNIQUE, t text",
        (
            "INSERT INTO identity_index VALUES (1, 'a', 'one')",
            "UPDATE identity_index SET t = 'two'",
            "UPDATE identity_index SET code = 'b'",
            "DELETE FROM identity_index",
        ),
        ("ALTER TABLE identity_index REPLICA IDENTITY USING INDEX identity_index_code_key",),
    ),
    Table(
        "keyless_full",
        "n integer, t text",
        (
            "INSERT INTO keyless_full VALUES (1, 'one')",
            "UPDATE keyless_full SET n = 2",
            "DELETE FROM keyless_full",
        ),
        ("ALTER TABLE keyless_full REPLICA IDENTITY FULL",),
    ),
    Table(
        "defaults",
        "id integer PRIMARY KEY, t text DEFAULT 'hello', n integer NOT NULL DEFAULT 7,"
        " d date DEFAULT '2026-01-31', at timestamptz DEFAULT now(), x numeric(5,2) DEFAULT 1.5",
        (
            "INSERT INTO defaults VALUES (1, 'a', 1, '1970-01-01', '1970-01-01 00:00+00', 0)",
            "INSERT INTO defaults VALUES (2, NULL, 2, NULL, NULL, NULL)",
        ),
    ),
    Table(
        "Größe 1.x",
        '"Id" integer PRIMARY KEY, "select" text, "größe ""x""" text, "a.b" text',
        ("""INSERT INTO "Größe 1.x" VALUES (1, 'a', 'b', 'c')""",),
    ),
    Table(
        "generated",
        "id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n integer,"
        " double integer GENERATED ALWAYS AS (n * 2) STORED",
        ("INSERT INTO generated (n) VALUES (21)",),
    ),
    _toasted("toasted", _LARGE),
    _toasted("toasted_full", _LARGE, "ALTER TABLE toasted_full REPLICA IDENTITY FULL"),
    _toasted(
        "toasted_arrays",
        {name: (type, f"array_fill({item}, ARRAY[30])") for name, (type, item) in _LARGE_ARRAYS.items()},
    ),
    Table("truncated", "id integer PRIMARY KEY", ("INSERT INTO truncated VALUES (1)", "TRUNCATE truncated")),
    Table(
        LAST,
        "id integer PRIMARY KEY",
        (
            "SELECT pg_logical_emit_message(true, 'prefix', 'ünï')",
            r"SELECT pg_logical_emit_message(false, 'ünï', '\x00ff'::bytea)",
            f"INSERT INTO {LAST} VALUES (1)",
        ),
    ),
)
