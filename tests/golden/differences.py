"""Where our records differ from Debezium's on purpose.

`docs/debezium-differences.md` says the same to people, with the reasons; a test compares the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Difference:
    """Differences of one kind. `documented`: what the row that gives the reason begins with; `path`, `theirs`
    and `ours`: as `recording.compare` tells them, `*` for anything. It shows from PostgreSQL `since` on, but
    not in the sets of options that are named in `unless`."""

    documented: str
    path: str
    theirs: str
    ours: str
    since: int = 14
    unless: tuple[str, ...] = ()

    def explains(self, path: str, theirs: str, ours: str) -> bool:
        """Whether that is this difference."""
        pairs = ((self.path, path), (self.theirs, theirs), (self.ours, ours))
        return all(_fits(pattern, text) for pattern, text in pairs)


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


_REFUSED = '{"error": "TR-FMT-001"}'
_PLACEHOLDER = "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="
_NUMBERS = "[95, 95, 100, 101, *, 108, 117, 101]"
_FLOATS = "[95.0, 95.0, 100.0, 101.0, *, 108.0, 117.0, 101.0]"

#: Sets of options in which numeric, or time, is not written as by default; the first two have another
#: placeholder too.
_NUMERIC_OTHERWISE: Final = ("doubles", "strings")
_TIME_OTHERWISE: Final = ("doubles", "strings", "nanoseconds")

_UNKNOWN_TYPES: Final = (
    "lines", "segments", "boxes", "paths", "polygons", "circles", "int4multiranges", "int8multiranges",
    "nummultiranges", "tsmultiranges", "tstzmultiranges", "datemultiranges", "tsqueries", "pg_lsns", "pairs",
    "isbns_of_thirteen", "issns", "upcs", "eans",
)  # fmt: skip
_UNKNOWN_ARRAYS: Final = (
    "moneys", "bits_varying", "intervals", "intervals_to_the_second", "xmls", "points", "quantities",
    "stocks", "amounts", "labels", "moments", "lists",
)  # fmt: skip
_BITS: Final = ("bits", "bits_of_five", "bits_of_seventy")
_LEFT_OUT: Final = "columns of types that Debezium does not know"


def _toasted(*columns: str, ours: str) -> Iterator[Difference]:
    """Unchanged arrays, for which Debezium has no placeholder."""
    for column in columns:
        yield Difference("unchanged TOAST", f"toasted_arrays/2/value/after/{column}", "null", ours)


_ORIGIN: Final = (
    Difference("`source.origin`", "blocks/source/fields/origin*", "*", ""),
    Difference("`source.origin`", "*/source/origin*", "null", ""),
)
_VECTORS: Final = ("vectors", "vectors_of_any_size", "halves", "sparse")

DIFFERENCES: Final = (
    *(Difference(_LEFT_OUT, f"{name}/*/x", "", "*") for name in _UNKNOWN_TYPES),
    *(Difference(_LEFT_OUT, f"{name}_arrays/*/xs", "", "*") for name in _UNKNOWN_TYPES),
    *(Difference("arrays of domains", f"{name}_arrays/*/xs", "", "*") for name in _UNKNOWN_ARRAYS),
    Difference("arrays of domains", "intervals_infinite_arrays/*/xs", "", "*", since=17),
    *(Difference("arrays of bit", f"{name}_arrays/*/xs", "null", "[*") for name in _BITS),
    *(Difference("arrays of bit", f"{name}_arrays/1/schema of value/*/xs/*", "*", "*") for name in _BITS),
    Difference("array of ltree", "ltrees_arrays/*/xs", "null", "[*, null]"),
    Difference("array of ltree", "tsvectors_arrays/*/xs", "null", "[*, null]"),
    Difference("array of ltree", "isbns_arrays/*/xs", "null", "[*, null]"),
    Difference("array of ltree", "tsvectors_arrays/*/xs/items/optional", "false", "true"),
    Difference("array of ltree", "isbns_arrays/*/xs/items/optional", "false", "true"),
    Difference(
        "interval `infinity`",
        "intervals_infinite/*/x",
        "0",
        "9223372036854775807",
        since=17,
        unless=("doubles",),
    ),
    Difference(
        "interval `infinity`",
        "intervals_infinite/*/x",
        "0",
        "-9223372036854775807",
        since=17,
        unless=("doubles",),
    ),
    *_ORIGIN,
    Difference("`before` of a row that holds its key alone", "keyed/*/value/before/n", "0", "null"),
    Difference("`before` of a row that holds its key alone", "keyed/*/value/before/s", '""', "null"),
    Difference("`before` of a row that holds its key alone", "identity_index/*/value/before/id", "0", "null"),
    Difference("TRUNCATE", "truncated/2", "", '*"op": "t"*'),
    Difference("a delete in a table without a key", "keyless_full/4", '{"key": null, "value": null}', ""),
    Difference("`REPLICA IDENTITY USING INDEX`", "identity_index/*/key/id", "*", ""),
    Difference("`REPLICA IDENTITY USING INDEX`", "identity_index/*/key/code", "", "*"),
    Difference("`REPLICA IDENTITY USING INDEX`", "identity_index/*/headers/*/id", "*", ""),
    Difference("`REPLICA IDENTITY USING INDEX`", "identity_index/*/headers/*/code", "", "*"),
    Difference("`REPLICA IDENTITY USING INDEX`", "identity_index/1/schema of key/fields/id", "*", ""),
    Difference("`REPLICA IDENTITY USING INDEX`", "identity_index/1/schema of key/fields/code", "", "*"),
    Difference("numeric NaN", "numerics_nan/1", '*"fixed": null, *', _REFUSED, unless=_NUMERIC_OTHERWISE),
    Difference("numeric NaN", "numerics_nan/2", '*"free": null}*', _REFUSED, unless=_NUMERIC_OTHERWISE),
    Difference("numeric NaN", "numerics_infinite/*", '*"free": null}*', _REFUSED, unless=_NUMERIC_OTHERWISE),
    Difference(
        "numeric NaN", "arrays_of_numerics_nan/1", '*"free": null}*', _REFUSED, unless=_NUMERIC_OTHERWISE
    ),
    Difference(
        "numeric with a negative scale",
        "numerics_scaled/1/schema of value/*/scale",
        '"2045"',
        '"-3"',
        since=15,
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "numeric with a negative scale",
        "numerics_scaled/*/thousands",
        '"Ad3gatCDox*"',
        '"MDo="',
        since=15,
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference("date `infinity`", "dates_infinite/*/d", "-2147472692", "2147483647", unless=("strings",)),
    Difference("date `infinity`", "dates_infinite/*/d", "-2147472691", "-2147483648", unless=("strings",)),
    Difference(
        "timestamp beyond year 294247",
        "timestamps_last/1",
        "*-9223372036853775810*",
        _REFUSED,
        unless=("doubles", "strings", "nanoseconds"),
    ),
    Difference("timetz `24:00:00`", "times_zoned/*/t", '"00:00:00Z"', '"24:00:00Z"'),
    Difference("array of an enum", "arrays_of_moods*/fields/m/items/optional", "false", "true"),
    Difference("array of an enum", "toasted_arrays/*/fields/m/items/optional", "false", "true"),
    Difference("array of an enum", "arrays_of_moods_null/*/m", "null", '["sad", null]'),
    Difference("array of two or more dimensions", "arrays_nested/1", '*"i": [null, null]*', _REFUSED),
    Difference(
        "array of date", "arrays_of_times/*/d", "[null, -703383]", "[null, -735160]", unless=("strings",)
    ),
    Difference(
        "array of time or timetz",
        "arrays_of_times/*/t",
        "[47655123000]",
        "[47655123456]",
        unless=_TIME_OTHERWISE,
    ),
    Difference("array of time or timetz", "arrays_of_times/*/tt", '["07:44:15Z"]', '["07:44:15.1Z"]'),
    Difference("columns of type `name`", "names/*/n", "null", '"*"'),
    Difference("columns of type `name`", "arrays_of_chars/*/n", "", "*"),
    Difference(
        "unchanged TOAST",
        "toasted/2/value/after/fixed",
        "null",
        f'"{_PLACEHOLDER}"',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST",
        "toasted/2/value/after/free",
        "null",
        f'*"{_PLACEHOLDER}"}}',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST",
        "toasted_arrays/2/value/after/fixed",
        "null",
        f'["{_PLACEHOLDER}"]',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST",
        "toasted_arrays/2/value/after/free",
        "null",
        f'[*"{_PLACEHOLDER}"}}]',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/i2", "null", _NUMBERS, unless=_NUMERIC_OTHERWISE
    ),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/f4", "null", _FLOATS, unless=_NUMERIC_OTHERWISE
    ),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/f8", "null", _FLOATS, unless=_NUMERIC_OTHERWISE
    ),
    Difference(
        "unchanged TOAST",
        "toasted_arrays/2/value/after/l",
        "null",
        "[false, true, *, true]",
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST",
        "toasted_arrays/2/value/after/m",
        "null",
        '["__debezium_unavailable_value"]',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/ti", "null", _NUMBERS, unless=_NUMERIC_OTHERWISE
    ),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/ts", "null", _NUMBERS, unless=_NUMERIC_OTHERWISE
    ),
    Difference(
        "unchanged TOAST",
        "toasted_arrays/2/value/after/tz",
        "null",
        '["__debezium_unavailable_value"]',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference(
        "unchanged TOAST",
        "toasted_arrays/2/value/after/tt",
        "null",
        '["__debezium_unavailable_value"]',
        unless=_NUMERIC_OTHERWISE,
    ),
    Difference("float and double", "floats/*/f4", "1.17549435e-38", "1.1754944e-38"),
    Difference("float and double", "floats_subnormal/*/f4", "1.4e-45", "1e-45"),
    Difference(
        "the fields of `before`", "*/schema of value/fields/before/fields/*/optional", "false", "true"
    ),
    Difference("the column's DEFAULT", "defaults/1/schema of value/fields/*/default", "*", ""),
    Difference("the column's DEFAULT", "defaults/2/value/after/*", "*", "null"),
)

#: What differs beside these, or in place of them, in a set of `options.OPTIONS`.
WITH_OPTIONS: Final[dict[str, tuple[Difference, ...]]] = {
    "doubles": (
        *_toasted("i2", "d", "ti", "ts", ours="[103, 111, 110, 101]"),
        *_toasted("f4", "f8", "fixed", "free", ours="[103.0, 111.0, 110.0, 101.0]"),
        *_toasted("b", "m", "tz", "tt", ours='["gone"]'),
        *_toasted("l", ours="[false, true, *]"),
        Difference("unchanged TOAST", "toasted/2", '*"b": null, "fixed": null, *', '{"error": "TR-FMT-002"}'),
        Difference("numeric beyond the range", "toasted/1", '*"fixed": "Infinity"*', _REFUSED),
        Difference("numeric beyond the range", "toasted_full/*", '*"fixed": "Infinity"*', _REFUSED),
        Difference("array of numeric with NaN", "arrays_of_numerics_nan/1/*/free", "null", '[1.0, "NaN"]'),
        Difference("interval with a fraction", "intervals_to_*/x", '"*1.234999999S"', '"*1.235S"'),
        Difference("interval `infinity`", "intervals_infinite/*/x", '"P0Y0M0DT0H0M0S"', '"infinity"'),
        Difference("interval `infinity`", "intervals_infinite/*/x", '"P0Y0M0DT0H0M0S"', '"-infinity"'),
    ),
    "strings": (
        *_toasted("i2", ours="[103, 111, 110, 101]"),
        *_toasted("f4", "f8", ours="[103.0, 111.0, 110.0, 101.0]"),
        *_toasted("l", ours="[false, true, *]"),
        *_toasted("fixed", "free", "b", "m", "d", "ti", "ts", "tz", "tt", ours='["gone"]'),
        Difference(
            "numeric with a negative scale", "numerics_scaled/*/thousands", '"12346000.000*"', '"12346000"'
        ),
        Difference("numeric with a negative scale", "numerics_scaled/*/thousands", '"0.000*"', '"0"'),
        Difference("array of numeric with NaN", "arrays_of_numerics_nan/1/*/free", "null", '["1", "NAN"]'),
        Difference("date `infinity`", "dates_infinite/*/d", '"-5877611-06-21Z"', '"infinity"'),
        Difference("date `infinity`", "dates_infinite/*/d", '"-5877611-06-22Z"', '"-infinity"'),
        Difference("time `24:00:00` as text", "times/*/t*", '"00:00:00Z"', '"24:00:00Z"'),
        Difference("timestamp `infinity` as text", "timestamps_infinite/*/t*", '"+294247*"', '"infinity"'),
        Difference("timestamp `infinity` as text", "timestamps_infinite/*/t*", '"-290308*"', '"-infinity"'),
        Difference(
            "array of time or timetz", "arrays_of_times/*/t", '["13:14:15.123Z"]', '["13:14:15.123456Z"]'
        ),
        Difference("array of date", "arrays_of_times/*/d", '[null, "0044-*"]', '[null, "-0043-03-15Z"]'),
    ),
    "microseconds": (
        Difference("unchanged TOAST", "toasted/2/value/after/b", "null", '"__debezium_unavailable_value"'),
        *_toasted("b", ours='["__debezium_unavailable_value"]'),
    ),
    "nanoseconds": (
        *(
            Difference("timestamp in nanoseconds", path, '*"t": null*', _REFUSED)
            for path in (
                "timestamps/3",
                "timestamps/4",
                "timestamps/10",
                "timestamps/12",
                "timestamps_last/1",
            )
        ),
        *(
            Difference("timestamp in nanoseconds", path, '*"value": null*', _REFUSED)
            for path in (
                "timestamps/11",
                "timestamps/13",
                "moments/7",
            )
        ),
        Difference("timestamp in nanoseconds", "moments/2", '*"x": null*', _REFUSED),
        Difference("timestamp in nanoseconds", "moments/6", '*"x": null*', _REFUSED),
        *(
            Difference("timestamp in nanoseconds", f"moments_arrays/{n}", "*", _REFUSED)
            for n in (1, 2, 5, 6, 7, 8)
        ),
        Difference("timestamp in nanoseconds", "moments_arrays/3/source", "", "*"),
        Difference("timestamp in nanoseconds", "moments_arrays/3/schema of *", "", "*"),
        Difference("array of time or timetz", "arrays_of_times/*/t", "[47655123000000]", "[47655123456000]"),
    ),
}


#: What differs in the recordings of extensions' types.
OF_EXTENSIONS: Final[dict[str, tuple[Difference, ...]]] = {
    name: (
        *_ORIGIN,
        *(Difference("array of pgvector", f"{table}_arrays/*/xs", "null", "[*, null]") for table in _VECTORS),
        *(
            Difference("array of pgvector", f"{table}_arrays/*/items/optional", "false", "true")
            for table in _VECTORS
        ),
        Difference("array of pgvector", "sparse_arrays/*/xs", "null", '[*"vector": []}]'),
        Difference("sparsevec of more", "sparse_large/2", '*"x": null*', _REFUSED),
        *(Difference("unchanged TOAST", f"toasted_vectors/2/value/after/{x}", "null", _FLOATS) for x in "vh"),
        Difference("unchanged TOAST", "toasted_vectors/2/value/after/s", "null", '{"dimensions": 28, *}'),
    )
    for name in ("pgvector16", "pgvector18")
} | {
    "postgis15": (
        *_ORIGIN,
        Difference(_LEFT_OUT, "boxes_of_two/*/x", "", "*"),
        Difference(_LEFT_OUT, "boxes_of_two_arrays/*/xs", "", "*"),
        *(
            Difference("unchanged TOAST", f"toasted_places/2/value/after/{x}", "null", f"*{_PLACEHOLDER}*")
            for x in "gp"
        ),
    )
}


def differences(name: str) -> list[Difference]:
    """Those that a golden file shows: `postgres18`, `postgres18-doubles`."""
    if name in OF_EXTENSIONS:
        return [*OF_EXTENSIONS[name]]
    base, _, options = name.partition("-")
    major = int(base.removeprefix("postgres"))
    found = (*DIFFERENCES, *WITH_OPTIONS.get(options, ()))
    return [d for d in found if d.since <= major and options not in d.unless]


#: Rows of `docs/debezium-differences.md` that no recording shows, and why.
UNRECORDED: Final = {
    "`ts_ms`, `ts_us`, `ts_ns` of the envelope": "moments differ from run to run and are taken out",
    "`source.version`": "versions are taken out",
    "`source.name`": "the pipeline of the test is called like the topic prefix",
    "a transaction in which nothing is captured": "recorded apart, see transactions.py",
    "logical messages are counted": "recorded apart, see transactions.py",
    "tables whose names become equal": "the recording holds tables, not the topics that they share",
    "varbit(1)": "no table of the corpus has one",
    "timetz with an offset of seconds": "Debezium stops, and nothing behind it could be recorded",
    "characters beyond U+FFFF": "recordings are read as JSON, where both are the same string",
    "NULL in a column that the catalogue by now calls NOT NULL": "Debezium cannot write the record",
}
