"""Where our records differ from Debezium's on purpose.

`docs/debezium-differences.md` says the same to people, with the reasons; a test compares the two.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Difference:
    """Differences of one kind. `documented`: what the row that gives the reason begins with; `path`, `theirs`
    and `ours`: as `recording.compare` tells them, `*` for anything. It shows from PostgreSQL `since` on."""

    documented: str
    path: str
    theirs: str
    ours: str
    since: int = 14

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
    Difference("interval `infinity`", "intervals_infinite/*/x", "0", "9223372036854775807", since=17),
    Difference("interval `infinity`", "intervals_infinite/*/x", "0", "-9223372036854775807", since=17),
    Difference("`source.origin`", "blocks/source/fields/origin*", "*", ""),
    Difference("`source.origin`", "*/source/origin*", "null", ""),
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
    Difference("numeric NaN", "numerics_nan/1", '*"fixed": null, *', _REFUSED),
    Difference("numeric NaN", "numerics_nan/2", '*"free": null}*', _REFUSED),
    Difference("numeric NaN", "numerics_infinite/*", '*"free": null}*', _REFUSED),
    Difference("numeric NaN", "arrays_of_numerics_nan/1", '*"free": null}*', _REFUSED),
    Difference(
        "numeric with a negative scale", "numerics_scaled/1/schema of value/*/scale", '"2045"', '"-3"'
    ),
    Difference("numeric with a negative scale", "numerics_scaled/*/thousands", '"Ad3gatCDox*"', '"MDo="'),
    Difference("date `infinity`", "dates_infinite/*/d", "-2147472692", "2147483647"),
    Difference("date `infinity`", "dates_infinite/*/d", "-2147472691", "-2147483648"),
    Difference("timestamp beyond year 294247", "timestamps_last/1", "*-9223372036853775810*", _REFUSED),
    Difference("timetz `24:00:00`", "times_zoned/*/t", '"00:00:00Z"', '"24:00:00Z"'),
    Difference("array of an enum", "arrays_of_moods*/fields/m/items/optional", "false", "true"),
    Difference("array of an enum", "toasted_arrays/*/fields/m/items/optional", "false", "true"),
    Difference("array of an enum", "arrays_of_moods_null/*/m", "null", '["sad", null]'),
    Difference("array of two or more dimensions", "arrays_nested/1", '*"i": [null, null]*', _REFUSED),
    Difference("array of date", "arrays_of_times/*/d", "[null, -703383]", "[null, -735160]"),
    Difference("array of time or timetz", "arrays_of_times/*/t", "[47655123000]", "[47655123456]"),
    Difference("array of time or timetz", "arrays_of_times/*/tt", '["07:44:15Z"]', '["07:44:15.1Z"]'),
    Difference("columns of type `name`", "names/*/n", "null", '"*"'),
    Difference("columns of type `name`", "arrays_of_chars/*/n", "", "*"),
    Difference("unchanged TOAST", "toasted/2/value/after/fixed", "null", f'"{_PLACEHOLDER}"'),
    Difference("unchanged TOAST", "toasted/2/value/after/free", "null", f'*"{_PLACEHOLDER}"}}'),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/fixed", "null", f'["{_PLACEHOLDER}"]'),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/free", "null", f'[*"{_PLACEHOLDER}"}}]'),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/i2", "null", _NUMBERS),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/f4", "null", _FLOATS),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/f8", "null", _FLOATS),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/l", "null", "[false, true, *, true]"),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/m", "null", '["__debezium_unavailable_value"]'
    ),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/ti", "null", _NUMBERS),
    Difference("unchanged TOAST", "toasted_arrays/2/value/after/ts", "null", _NUMBERS),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/tz", "null", '["__debezium_unavailable_value"]'
    ),
    Difference(
        "unchanged TOAST", "toasted_arrays/2/value/after/tt", "null", '["__debezium_unavailable_value"]'
    ),
    Difference("float and double", "floats/*/f4", "1.17549435e-38", "1.1754944e-38"),
    Difference("float and double", "floats_subnormal/*/f4", "1.4e-45", "1e-45"),
    Difference(
        "the fields of `before`", "*/schema of value/fields/before/fields/*/optional", "false", "true"
    ),
    Difference("the column's DEFAULT", "defaults/1/schema of value/fields/*/default", "*", ""),
    Difference("the column's DEFAULT", "defaults/2/value/after/*", "*", "null"),
)

#: Rows of `docs/debezium-differences.md` that no recording shows, and why.
UNRECORDED: Final = {
    "`ts_ms`, `ts_us`, `ts_ns` of the envelope": "moments differ from run to run and are taken out",
    "`source.version`": "versions are taken out",
    "`source.name`": "the pipeline of the test is called like the topic prefix",
    "`transaction` block": "recorded with the default settings, which write none",
    "tables whose names become equal": "the recording holds tables, not the topics that they share",
    "timetz with an offset of seconds": "Debezium stops, and nothing behind it could be recorded",
    "characters beyond U+FFFF": "recordings are read as JSON, where both are the same string",
    "NULL in a column that the catalogue by now calls NOT NULL": "Debezium cannot write the record",
}
