"""Tables for every family of types: the usual values, the extremes, NULL and what is special.

Where the two sides are known to part, the values stand in tables of their own, so that the list of
differences can name them. What Debezium stops at cannot be among them: a timetz whose offset has seconds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from tests.golden.tables import Table


def family(name: str, definition: str, *rows: str, since: int = 14) -> Table:
    """A table of values beside a key. Its old rows are whole, so that each value is also written as one."""
    table = _special(name, definition, *rows, since=since)
    full = f"ALTER TABLE {name} REPLICA IDENTITY FULL"
    return replace(table, statements=(*table.statements, f"DELETE FROM {name}"), altered=(full,))


def _special(name: str, definition: str, *rows: str, since: int = 14) -> Table:
    """A table of values for which there is no record on one side."""
    inserts = [f"INSERT INTO {name} VALUES ({number}, {row})" for number, row in enumerate(rows, 1)]
    return Table(name, f"id integer PRIMARY KEY, {definition}", inserts, since=since)


FAMILIES: Final = (
    family(
        "integers",
        "i2 smallint, i4 integer, i8 bigint",
        "1, 2, 3",
        "-32768, -2147483648, -9223372036854775808",
        "32767, 2147483647, 9223372036854775807",
        "0, -1, 9007199254740993",
        "NULL, NULL, NULL",
    ),
    family("booleans", "b boolean", "true", "false", "NULL"),
    family(
        "floats",
        "f4 real, f8 double precision",
        "1.5, -2.25",
        "1.1, 0.1",
        "0, -0.0",
        "100000, 1e15",
        "16777217, 1e20",
        "0.0001, 0.00001",
        "3.4028235e38, 1.7976931348623157e308",
        "1.17549435e-38, 2.2250738585072014e-308",
        "'NaN', 'NaN'",
        "'Infinity', 'Infinity'",
        "'-Infinity', '-Infinity'",
        "NULL, NULL",
    ),
    family("floats_subnormal", "f4 real, f8 double precision", "1e-45, 5e-324", "-1e-40, -1e-310"),
    family(
        "numerics",
        "fixed numeric(12,2), whole numeric(6,0), free numeric",
        "14285.57, 42, 1.10",
        "-0.01, -999999, -123456789012345678901234567890.12345",
        "9999999999.99, 999999, 1e30",
        "0, 0, 0",
        "-1, 128, 100",
        "1.28, -128, -0.000000000000000000001",
        "NULL, NULL, NULL",
    ),
    family(
        "numerics_scaled",
        "thousands numeric(5,-3), small numeric(3,5)",
        "12345678, 0.00123",
        "-499, -0.00999",
        "NULL, NULL",
        since=15,
    ),
    _special("numerics_nan", "fixed numeric(12,2), free numeric", "'NaN', 1", "1, 'NaN'"),
    _special("numerics_infinite", "free numeric", "'Infinity'", "'-Infinity'"),
    family(
        "texts",
        't text, v varchar(5), c char(5), c1 "char"',
        "'hello', 'abc', 'ab', 'x'",
        "'', '', '', ''",
        "'ünï', 'äöüßé', 'ß', '\\'",
        r"""E'a\tb\\n\nc\x01\x7f', '"''{},', '\', ' '""",
        "'𝄞\u2028', '日本', '𝄞', 'y'",
        "NULL, NULL, NULL, NULL",
    ),
    family("names", "n name", "'a name'", "'ünï'", "''", "NULL"),
    family("binaries", "b bytea", r"'\x00ff5c27'", r"'\xdeadbeef'", r"'\x'", "NULL"),
    family("uuids", "u uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "NULL"),
    family(
        "documents",
        "j json, b jsonb",
        """'{ "a" : 1.0, "a": null }', '{ "b" : 1.0, "a": null }'""",
        r"""'"ü"', '"\u00fc"'""",
        "'[ ]', '1e3'",
        "'null', 'null'",
        "NULL, NULL",
    ),
    family("moods", "m mood", "'sad'", "'so, so'", """'it''s "ok"'""", "'glücklich'", "NULL"),
    family(
        "dates",
        "d date",
        "'2026-01-31'",
        "'1969-12-31'",
        "'0001-01-01'",
        "'0044-03-15 BC'",
        "'4713-01-01 BC'",
        "'10000-01-01'",
        "'5874897-12-31'",
        "NULL",
    ),
    family("dates_infinite", "d date", "'infinity'", "'-infinity'"),
    family(
        "times",
        "t time, t0 time(0), t3 time(3)",
        "'13:14:15.123456', '13:14:15', '13:14:15.123'",
        "'00:00', '00:00', '00:00'",
        "'23:59:59.999999', '23:59:59', '23:59:59.999'",
        "'24:00', '24:00', '24:00'",
        "NULL, NULL, NULL",
    ),
    family(
        "times_zoned",
        "t timetz, t3 timetz(3)",
        "'13:14:15.123456+05:30', '13:14:15.12-07'",
        "'00:00+00', '00:00:30+00'",
        "'23:59:59.999999-15:59', '01:00+02'",
        "'24:00+00', '24:00+01'",
        "NULL, NULL",
    ),
    family(
        "timestamps",
        "t timestamp, t0 timestamp(0), t3 timestamp(3), t4 timestamp(4)",
        "'2026-01-31 13:14:15.123456', '2026-01-31 13:14', '2026-01-31 13:14:15.123', '2026-01-31 13:14'",
        "'1969-12-31 23:59:59.999999', '1936-10-25 22:10:12', '1936-10-25 22:10:12.6', '1970-01-01'",
        "'0001-01-01 00:00:00.5', '0044-03-15 BC', '0001-12-31 23:59:59.999 BC', '4713-01-01 BC'",
        "'10000-01-01', '290000-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.9999'",
        "NULL, NULL, NULL, NULL",
    ),
    family(
        "timestamps_infinite",
        "t timestamp, t3 timestamp(3)",
        "'infinity', 'infinity'",
        "'-infinity', '-infinity'",
    ),
    _special("timestamps_last", "t timestamp", "'294276-12-31 23:59:59.999999'"),
    family(
        "instants",
        "t timestamptz, t0 timestamptz(0), t3 timestamptz(3)",
        "'2026-01-31 13:14:15.123456+02', '2026-01-31 13:14:15+00', '2026-01-31 13:14:15.12+00'",
        "'1969-12-31 23:59:59.999999+00', '1880-01-01 00:00 Europe/Berlin', '1970-01-01 00:00+00'",
        "'0001-01-01 00:00+00', '0044-03-15 BC', '0001-12-31 23:59:59.999+00 BC'",
        "'10000-01-01 00:00+00', '9999-12-31 23:59:59+00', '290000-12-31 23:59:59.999+00'",
        "NULL, NULL, NULL",
    ),
    family("instants_infinite", "t timestamptz", "'infinity'", "'-infinity'"),
    family(
        "arrays_of_numbers",
        "i2 smallint[], i4 integer[], i8 bigint[], f4 real[], f8 double precision[], b boolean[]",
        "'{1,-2}', '{3}', '{9223372036854775807}', '{1.5}', '{0.1,-1e20}', '{t,f}'",
        "'{1,NULL}', '{NULL}', '{NULL,1}', '{NULL,1.5}', '{NaN,NULL,-Infinity}', '{t,NULL}'",
        "'{}', '{}', '{}', '{}', '{}', '{}'",
        "NULL, NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "arrays_of_numerics",
        "fixed numeric(5,1)[], free numeric[]",
        "'{1.25,-3}', '{1.10,1e30}'",
        "'{1.5,NULL}', '{NULL,2}'",
        "'{}', '{}'",
        "NULL, NULL",
    ),
    _special("arrays_of_numerics_nan", "free numeric[]", "'{1,NaN}'"),
    family(
        "arrays_of_texts",
        "t text[], v varchar(3)[], c char(3)[]",
        """'{hello,"a,b"}', '{abc}', '{ab,c}'""",
        """'{"",NULL,"NULL"," a "}', '{NULL}', '{NULL,a}'""",
        r"""'{"\"","\\","ü","x	y"}', '{äöü}', '{ß}'""",
        "'{}', '{}', '{}'",
        "NULL, NULL, NULL",
    ),
    family("arrays_of_chars", 'c "char"[], n name[]', """'{a,"\\\\"}', '{a,"b c"}'""", "'{NULL}', '{NULL}'"),
    family(
        "arrays_of_others",
        "b bytea[], u uuid[], j json[], jb jsonb[]",
        r"""'{"\\x0f","\\x"}', '{a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11}', '{"{ \"a\":1}"}', '{"{\"a\":1}"}'""",
        """'{NULL}', '{NULL}', '{NULL,null}', '{NULL,"null"}'""",
        "'{}', '{}', '{}', '{}'",
        "NULL, NULL, NULL, NULL",
    ),
    family("arrays_of_moods", "m mood[]", """'{sad,"so, so"}'""", "'{}'", "NULL"),
    family("arrays_of_moods_null", "m mood[]", "'{sad,NULL}'"),
    family(
        "arrays_of_times",
        "d date[], t time[], ts timestamp[], tz timestamptz[], tt timetz[]",
        "'{2026-01-31}', '{13:14:15.123456}', '{2026-01-31 13:14:15.123456}', '{2026-01-31 13:14:15.1+02}',"
        " '{13:14:15.1+05:30}'",
        "'{NULL,0044-03-15 BC}', '{NULL,00:00}', '{NULL,1969-12-31 23:59:59.9}', '{NULL,1970-01-01 00:00}',"
        " '{NULL,00:00+00}'",
        "'{}', '{}', '{}', '{}', '{}'",
        "NULL, NULL, NULL, NULL, NULL",
    ),
    family("arrays_bounded", "i integer[]", "'[5:6]={1,NULL}'"),
    _special("arrays_nested", "i integer[]", "'{{1,2},{3,4}}'"),
)


def with_arrays(name: str, type: str, *values: str, since: int = 14) -> tuple[Table, Table]:
    """Tables of a type and of its arrays, which hold the same values."""
    array = f"ARRAY[{', '.join(values)}]::{type}[]"
    arrays = (array, f"{array} || NULL::{type}", f"'{{}}'::{type}[]", "NULL")
    return (
        family(name, f"x {type}", *values, "NULL", since=since),
        family(f"{name}_arrays", f"xs {type}[]", *arrays, since=since),
    )


#: Types of one table each, and one of their arrays.
ALONE_AND_IN_ARRAYS: Final = tuple(
    table
    for tables in (
        with_arrays("oids", "oid", "0", "4294967295"),
        with_arrays("moneys", "money", "'12.34'", "'-92233720368547758.08'", "'92233720368547758.07'", "0"),
        with_arrays("bits", "bit", "B'1'", "B'0'"),
        with_arrays("bits_of_five", "bit(5)", "B'10101'", "B'00000'", "B'00001'"),
        with_arrays("bits_of_seventy", "bit(70)", "B'1'::bit(70)", "B'1'::bit(70) >> 69"),
        with_arrays("bits_varying", "varbit(70)", "B'101'", "B''", "B'1'::bit(70)"),
        with_arrays(
            "intervals",
            "interval",
            "'1 year 2 mons 3 days 04:05:06.789'",
            "'0'",
            "'-1 year -2 mons +3 days -04:05:06'",
            "'178000000 years'",
            "'-00:00:00.000001'",
        ),
        with_arrays("intervals_to_the_second", "interval second(3)", "'1 day 00:00:01.2346'"),
        with_arrays("intervals_infinite", "interval", "'infinity'", "'-infinity'", since=17),
        with_arrays("xmls", "xml", "'<a b=\"c\">ü</a>'", "''"),
        with_arrays("inets", "inet", "'192.168.0.1'", "'10.1.2.3/8'", "'::1'", "'2001:db8::1/64'"),
        with_arrays("cidrs", "cidr", "'10.0.0.0/8'", "'192.168.0.1/32'", "'2001:db8::/32'"),
        with_arrays("macaddrs", "macaddr", "'08:00:2B:01:02:03'"),
        with_arrays("macaddrs_of_eight", "macaddr8", "'08:00:2b:01:02:03:04:05'"),
        with_arrays("points", "point", "'(1.5,-2.25)'", "'(0,1e300)'", "'(NaN,Infinity)'"),
        with_arrays("lines", "line", "'{1,-1,0.5}'"),
        with_arrays("segments", "lseg", "'[(0,0),(1.5,2)]'"),
        with_arrays("boxes", "box", "'(2,2),(0,0)'"),
        with_arrays("paths", "path", "'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0))'"),
        with_arrays("polygons", "polygon", "'((0,0),(1,1),(2,0))'"),
        with_arrays("circles", "circle", "'<(1,2),3>'"),
        with_arrays("int4ranges", "int4range", "'[1,5]'", "'(,3)'", "'empty'", "'(,)'"),
        with_arrays("int8ranges", "int8range", "'[1,9223372036854775806]'"),
        with_arrays("numranges", "numrange", "'[1.10,2)'", "'(,NaN)'"),
        with_arrays("tsranges", "tsrange", "'[2026-01-31 13:14:15.1,infinity)'"),
        with_arrays("tstzranges", "tstzrange", "'(2026-01-31 13:14:15.1+02,)'", "'[0044-03-15 00:00 BC,)'"),
        with_arrays("dateranges", "daterange", "'[2026-01-31,2026-02-28]'"),
        with_arrays("int4multiranges", "int4multirange", "'{[1,3),[5,8)}'", "'{}'"),
        with_arrays("int8multiranges", "int8multirange", "'{[1,3)}'"),
        with_arrays("nummultiranges", "nummultirange", "'{[1.1,2.2]}'"),
        with_arrays("tsmultiranges", "tsmultirange", "'{[2026-01-31 00:00,2026-02-01 00:00)}'"),
        with_arrays("tstzmultiranges", "tstzmultirange", "'{[2026-01-31 00:00+00,)}'"),
        with_arrays("datemultiranges", "datemultirange", "'{[2026-01-31,2026-02-28]}'"),
        with_arrays("tsvectors", "tsvector", "'a:1A fat:2,4B cat'::tsvector", "''"),
        with_arrays("tsqueries", "tsquery", "'fat & (rat | !cat:*A)'::tsquery"),
        with_arrays("pg_lsns", "pg_lsn", "'16/B374D848'", "'0/0'", "'FFFFFFFF/FFFFFFFF'"),
        with_arrays("quantities", "quantity", "1", "2147483647"),
        with_arrays("stocks", "stock", "1", "999"),
        with_arrays("amounts", "amount", "14285.57", "-0.01"),
        with_arrays("labels", "label", "'ünï'", "''"),
        with_arrays("moments", "moment", "'2026-01-31 13:14:15.123'", "'0044-03-15 BC'"),
        with_arrays("lists", "numbers", "'{1,NULL,3}'"),
        with_arrays("pairs", "pair", "(1, 'one')::pair", "(NULL, 'a \"b\", c')::pair"),
        with_arrays("hstores", "hstore", "'a=>1, \"b c\"=>NULL'", "''"),
        with_arrays("citexts", "citext", "'Hello Ü'", "''"),
        with_arrays("ltrees", "ltree", "'Top.Science.Astronomy'", "''"),
        with_arrays("isbns", "isbn", "'0-393-04002-X'"),
        with_arrays("isbns_of_thirteen", "isbn13", "'978-0-393-04002-9'"),
        with_arrays("issns", "issn", "'1436-4522'"),
        with_arrays("upcs", "upc", "'220356483481'"),
        with_arrays("eans", "ean13", "'220-356-483-481-6'"),
    )
    for table in tables
)
