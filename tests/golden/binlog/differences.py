"""Where our records of MySQL and MariaDB differ from Debezium's on purpose.

`docs/debezium-differences.md` says the same to people, with the reasons; a test compares the two.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Final

from tests.golden.differences import Difference
from tests.servers.mysql_releases import RELEASES, Flavor

_REFUSED: Final = '{"error": "TR-FMT-001"}'
_TOMBSTONE: Final = '{"key": *, "value": null}'


#: Sets of options in which bytes are written as text, as a uuid is.
_BYTES_AS_TEXT: Final = ("doubles", "strings", "microseconds")


def _shown_as(table: str, column: str, *pairs: tuple[str, str], documented: str) -> tuple[Difference, ...]:
    """Other values of a column, in new rows and in old ones."""
    return tuple([Difference(documented, f"{table}/*/{column}", *pair) for pair in pairs])


def _as_bytes(table: str, *theirs: str, documented: str) -> Iterator[Difference]:
    """A column that is bytes here: its schema, and its values, which `theirs` begin like."""
    schema = f"{table}/1/schema of value/fields/*/fields/x"
    yield Difference(documented, f"{schema}/type", "*", '"bytes"', unless=_BYTES_AS_TEXT)
    yield from (Difference(documented, f"{schema}/{part}", "*", "") for part in ("name", "version"))
    yield from (Difference(documented, f"{table}/*/value/*/x", f"{begin}*", '"*"') for begin in theirs)


_LARGE: Final = "bigint unsigned from 2^63 on"
_ZERO: Final = "dates that no calendar has"
_YOUNG: Final = "date and datetime of a year below 100"
_JSON: Final = "JSON: no blanks"
_COMMA: Final = "label of an enum with a comma"
_FLOAT: Final = "float(M,D)"
_NANO: Final = "timestamp in nanoseconds"
_BEYOND: Final = "time below zero or beyond a day"

#: On every server, with whatever settings.
_EVERY: Final = (
    Difference("float and double", "floats/*/f4", "1.17549435e-38", "1.1754944e-38"),
    Difference(_FLOAT, "floats_with_digits/1/schema of value/fields/*/f4/type", '"double"', '"float"'),
    *_shown_as(
        "floats_with_digits",
        "f4",
        ("1.100000023841858", "1.1"),
        ("-999.9998779296875", "-999.9999"),
        documented=_FLOAT,
    ),
    Difference("year `0000`", "years_zero/1/value/after/y", "1900", "0"),
    Difference(_COMMA, "moods_with_commas/*/m", r'"so\\, so"', '"so, so"'),
    Difference(_COMMA, "moods_with_commas/1/*/m/parameters/allowed", r'"so\\, so,a"', '"so, so,a"'),
    Difference("TRUNCATE", "truncated/2", "", '*"op": "t"*'),
    Difference(
        "the fields of `before`", "*/schema of value/fields/before/fields/*/optional", "false", "true"
    ),
    Difference("the column's DEFAULT", "defaults/1/schema of value/fields/*/default", "*", ""),
    Difference("the column's DEFAULT", "defaults/2/value/after/*", "*", "null"),
)

#: On one kind of server, with whatever settings.
_OF_MYSQL: Final = (
    Difference("`source.thread` of an XA transaction", "together/11/source/thread", "null", ""),
    *_shown_as(
        "documents_nested",
        "j",
        (r'"{\"a\":[null,*', r'"{\"a\": [null, *'),
        ('"[1,-2,3]"', '"[1, -2, 3]"'),
        documented=_JSON,
    ),
    *_shown_as(
        "documents_of_fractions",
        "j",
        ('"[1.0,0.1,100000000000000000000,0.00000009999*]"', '"[1.0, 0.1, 1e20, 0.0000001]"'),
        documented=_JSON,
    ),
    *_shown_as(
        "documents_of_times",
        "j",
        (r'"[\"13:14:15.5\",\"01:00:00\"]"', r'"[\"13:14:15.500000\", \"-01:00:00.000000\"]"'),
        (r'"[\"2026-01-31 13:14:15\"]"', r'"[\"2026-01-31 13:14:15.000000\"]"'),
        (r'"[\"AP8=\"]"', r'"[\"base64:type15:AP8=\"]"'),
        documented="times, datetimes and binary strings in JSON",
    ),
    *_shown_as(
        "documents_in_part",
        "j",
        (r'"{\"a\":\"hello*', r'"{\"a\": \"hello*'),
        documented=_JSON,
    ),
    Difference("partial updates of JSON", "documents_in_part/2", "", '*"op": "u"*'),
)
_OF_MARIADB: Final = (*_as_bytes("uuids", '"0000123e-4567-', '"a0eebc99-9c0b-', documented="MariaDB's uuid"),)
_OF_MARIADB_11: Final = (
    *_as_bytes("vectors_of_mariadb", "[1.0, -2.5, ", documented="MariaDB's vector"),
    Difference("MariaDB's vector", "vectors_of_mariadb/1/*/items", '{"type": "float", *', ""),
)

#: Unless a set of options says otherwise.
_LONG: Final = (Difference(_LARGE, "bigints_unsigned_large/*", '*"x": -*', _REFUSED),)
_ZERO_REFUSED: Final = (
    Difference(_ZERO, "dates_zero/*", '*"d": null, "t": null, *', _REFUSED),
    Difference(_ZERO, "dates_zero_required/1", '*"d": *, "z": "1970-01-01T00:00:00Z"*', _REFUSED),
)
_YOUNG_ADJUSTED: Final = (
    Difference(_YOUNG, "dates_of_two_digits/*/d", "*", "-*"),
    Difference(_YOUNG, "datetimes_of_two_digits/*/t*", "*", "-*"),
)
_DEFAULTS: Final = (*_LONG, *_ZERO_REFUSED, *_YOUNG_ADJUSTED)
_NULL_BEYOND: Final = tuple(
    Difference(_BEYOND, f"{table}/*", theirs, _REFUSED)
    for table in ("times_beyond_a_day", "times_below_zero")
    for theirs in ('*"t": null, "t3": null, "t6": null*', _TOMBSTONE)
)

#: What differs with a set of `options.OPTIONS`, beside what differs anyhow.
_WITH_OPTIONS: Final[dict[str, tuple[Difference, ...]]] = {
    "doubles": (
        *_NULL_BEYOND,
        *_YOUNG_ADJUSTED,
        Difference(_ZERO, "dates_zero_required/1/value/after/*", "*", "null"),
        Difference(_ZERO, "dates_zero_required/1/schema of value/fields/after/*/optional", "false", "true"),
    ),
    "strings": (
        *_NULL_BEYOND,
        Difference("time `24:00:00` as text", "times_beyond_a_day/*/t*", '"00:00:00Z"', '"24:00:00Z"'),
        Difference(_YOUNG, "dates_of_two_digits/*/d", "*", '"00*"'),
        Difference(_YOUNG, "datetimes_of_two_digits/*/t*", "*", '"00*"'),
        Difference(_ZERO, "dates_zero/*/value/after/*", "null", '"1970-01-01*"'),
    ),
    "microseconds": (*_ZERO_REFUSED, *_YOUNG_ADJUSTED),
    "nanoseconds": (
        *_LONG,
        *_ZERO_REFUSED,
        Difference(_YOUNG, "dates_of_two_digits/*/d", "*", "-*"),
        Difference(_NANO, "datetimes/*", _TOMBSTONE, _REFUSED),
        # Of its true year, which Debezium does not write.
        Difference(_YOUNG, "datetimes_of_two_digits/*", '*"t": 2341612800000000000, *', _REFUSED),
        Difference(_YOUNG, "datetimes_of_two_digits/*", _TOMBSTONE, _REFUSED),
    ),
    "time_in_microseconds": _DEFAULTS,
}


#: The same of one kind of server.
_WITH_OPTIONS_OF: Final[dict[Flavor, dict[str, tuple[Difference, ...]]]] = {
    "mysql": {
        "nanoseconds": (Difference(_NANO, "datetimes/*", '*"t": null, "t3": null, *', _REFUSED),),
    },
    "mariadb": {
        "doubles": (Difference(_ZERO, "dates_zero/1/value/after/z", '"1970-01-01T00:00:00Z"', "null"),),
        "nanoseconds": tuple(
            [
                Difference(_NANO, "datetimes/*", f'*"t": {overflown}*', _REFUSED)
                for overflown in ("6283264147419103232", "-4852116232933722624")
            ]
        ),
    },
}


def differences(name: str) -> list[Difference]:
    """Those that a golden file shows: `mysql9`, `mysql9-doubles`."""
    release, _, options = name.partition("-")
    own = {
        "mysql9": _OF_MYSQL,
        "mariadb10": _OF_MARIADB,
        "mariadb11": (*_OF_MARIADB, *_OF_MARIADB_11),
    }
    settings = _WITH_OPTIONS_OF[RELEASES[release].flavor].get(options, ())
    found = (*_EVERY, *own[release], *_WITH_OPTIONS.get(options, _DEFAULTS), *settings)
    return [difference for difference in found if options not in difference.unless]


#: Those of all golden files together.
ALL: Final = (
    *_EVERY,
    *_OF_MYSQL,
    *_OF_MARIADB,
    *_OF_MARIADB_11,
    *_DEFAULTS,
    *chain(*_WITH_OPTIONS.values(), *chain(*[of.values() for of in _WITH_OPTIONS_OF.values()])),
)

_STOPS: Final = "Debezium stops, and nothing behind it could be recorded"

#: Rows of `docs/debezium-differences.md` that no recording shows, and why.
UNRECORDED: Final = {
    "records of tables' versions": "the recording is made without them",
    "datetime `2026-02-31`": _STOPS,
    "MariaDB's inet6, inet4": _STOPS,
    "MariaDB's columns with COMPRESSED": _STOPS,
    "MariaDB's tables with SYSTEM VERSIONING": _STOPS,
    "an update or delete in a table of MariaDB 11": _STOPS,
    "`source.pos` of rows of MariaDB 11.8": "positions differ from run to run and are taken out",
    "rows that are not logged whole": _STOPS,
    "`source.query` stays that of the statement before": "all sessions of the recording write statements",
    "a TRUNCATE with": "it is not in the recording of transactions",
    "rows that MariaDB compresses": "it takes a setting of the whole server, which tests share",
    "rows of an XA transaction": "they come at another place among the other rows",
}
