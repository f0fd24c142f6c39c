"""Tables for every family of types: the usual values, the extremes, NULL and what is special.

Where the two sides are known to part, the values stand in tables of their own, so that the list of
differences can name them. What Debezium stops at cannot be among them, see `differences.UNRECORDED`.
"""

from __future__ import annotations

from typing import Final

from tests.golden.binlog.tables import Table

MYSQL: Final = ("mysql9",)
MARIADB: Final = ("mariadb10", "mariadb11")


def family(name: str, definition: str, *rows: str, only: tuple[str, ...] = ()) -> Table:
    """A table of values beside a key. At the end its rows are deleted, so that each value is also written as
    an old one."""
    table = _special(name, definition, *rows, only=only)
    return Table(name, table.definition, (*table.statements, f"DELETE FROM {name}"), only)


def _special(name: str, definition: str, *rows: str, only: tuple[str, ...] = ()) -> Table:
    """A table of values for which there is no record on one side."""
    inserts = [f"INSERT INTO {name} VALUES ({number}, {row})" for number, row in enumerate(rows, 1)]
    return Table(name, f"id int PRIMARY KEY, {definition}", inserts, only)


_LABELS: Final = ", ".join([f"'l{n}'" for n in range(1, 301)])
_MEMBERS: Final = ", ".join([f"'l{n}'" for n in range(1, 65)])
_NINES: Final = "9" * 35 + "." + "9" * 30

FAMILIES: Final = (
    family(
        "integers",
        "i1 tinyint, i2 smallint, i3 mediumint, i4 int, i8 bigint",
        "1, 2, 3, 4, 5",
        "-128, -32768, -8388608, -2147483648, -9223372036854775808",
        "127, 32767, 8388607, 2147483647, 9223372036854775807",
        "0, 0, 0, -1, 9007199254740993",
        "NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "integers_unsigned",
        "i1 tinyint unsigned, i2 smallint unsigned, i3 mediumint unsigned, i4 int unsigned",
        "1, 2, 3, 4",
        "255, 65535, 16777215, 4294967295",
        "0, 0, 0, 0",
        "NULL, NULL, NULL, NULL",
    ),
    family("bigints_unsigned", "x bigint unsigned", "1", "9223372036854775807", "0", "NULL"),
    _special("bigints_unsigned_large", "x bigint unsigned", "9223372036854775808", "18446744073709551615"),
    family(
        "integers_with_zeros",
        "i1 tinyint zerofill, i2 smallint(7) zerofill, i3 mediumint zerofill, i4 int zerofill",
        "7, 7, 7, 7",
        "255, 65535, 16777215, 4294967295",
        "NULL, NULL, NULL, NULL",
    ),
    family(
        "integers_with_widths",
        "i4 int(5) zerofill, i8 bigint(3), b tinyint(1), l boolean, n serial",
        "7, 7, 1, true, 1",
        "123456, 123456, -128, false, 2",
        "NULL, NULL, NULL, NULL, 3",
    ),
    family(
        "floats",
        "f4 float, f8 double",
        "1.5, -2.25",
        "1.1, 0.1",
        "0, -0.0",
        "100000, 1e15",
        "16777217, 1e20",
        "0.0001, 0.00001",
        "3.4028234e38, 1.7976931348623157e308",
        "1.17549435e-38, 2.2250738585072014e-308",
        "NULL, NULL",
    ),
    family(
        "numbers_unsigned",
        "f4 float unsigned, f8 double unsigned, z double zerofill, n decimal(9,2) zerofill",
        "1.5, 0.1, 2.25, 12.5",
        "0, 1e300, 0, 0",
        "NULL, NULL, NULL, NULL",
    ),
    family("floats_with_digits", "f4 float(7,4)", "1.5", "1.1", "-999.9999", "NULL"),
    family("doubles_with_digits", "f8 double(9,2), f real", "1.5, 2.5", "1234567.89, 1e-5", "NULL, NULL"),
    family("floats_by_bits", "f4 float(24), f8 float(53)", "1.5, 0.1", "1.1, 1e300", "NULL, NULL"),
    family(
        "decimals",
        "fixed decimal(12,2), whole decimal(6), wide decimal(65,30), positive decimal(20,11) unsigned,"
        " n numeric(9,9)",
        "14285.57, 42, 1.10, 1.5, 0.5",
        f"-0.01, -999999, -{_NINES}, 0, -0.000000001",
        f"9999999999.99, 999999, {_NINES}, 123456789.12345678901, 0.999999999",
        "0, 0, 0, 0, 0",
        "-1, 128, 1, 128, -0.999999999",
        "1.28, -128, -0.000000000000000000000000000001, 0.1, 0.1",
        "NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "bits",
        "one bit(1), few bit(5), nine bit(9), most bit(64)",
        "1, 5, 5, 5",
        "0, 0, 0, 0",
        "b'1', b'10110', b'101100001', 18446744073709551615",
        "NULL, NULL, NULL, 1",
        "NULL, NULL, 256, 9223372036854775808",
    ),
    family(
        "bits_of_each_width",
        "b7 bit(7), b8 bit(8), b15 bit(15), b16 bit(16), b24 bit(24), b33 bit(33)",
        "1, 1, 1, 1, 1, 1",
        "0, 0, 0, 0, 0, 0",
        "127, 255, 32767, 65535, 16777215, 8589934591",
        "NULL, NULL, NULL, NULL, NULL, NULL",
    ),
    family("years", "y year", "2026", "1901", "2155", "1970", "NULL"),
    _special("years_zero", "y year", "0"),
    family(
        "dates",
        "d date",
        "'2026-01-31'",
        "'1969-12-31'",
        "'0101-01-01'",
        "'1000-01-01'",
        "'9999-12-31'",
        "'1582-10-10'",
        "'1500-02-28'",
        "NULL",
    ),
    family("dates_of_two_digits", "d date", "'0001-01-01'", "'0044-03-15'", "'0099-12-31'", "'0070-01-01'"),
    family(
        "datetimes",
        "t datetime, t3 datetime(3), t4 datetime(4), t6 datetime(6)",
        "'2026-01-31 13:14:15', '2026-01-31 13:14:15.123', '2026-01-31 13:14:15.1234',"
        " '2026-01-31 13:14:15.123456'",
        "'1969-12-31 23:59:59', '1969-12-31 23:59:59.999', '1969-12-31 23:59:59.9999',"
        " '1969-12-31 23:59:59.999999'",
        "'1000-01-01', '1000-01-01', '1000-01-01', '1000-01-01'",
        "'9999-12-31 23:59:59', '9999-12-31 23:59:59.999', '9999-12-31 23:59:59.9999',"
        " '9999-12-31 23:59:59.999999'",
        "'2026-03-29 02:30', '2026-03-29 02:30', '2026-03-29 02:30', '2026-03-29 02:30'",
        "NULL, NULL, NULL, NULL",
    ),
    family(
        "datetimes_of_each_fraction",
        "t1 datetime(1), t2 datetime(2), t5 datetime(5)",
        "'2026-01-31 13:14:15.1', '2026-01-31 13:14:15.12', '2026-01-31 13:14:15.12345'",
        "'1969-12-31 23:59:59.9', '1969-12-31 23:59:59.99', '1969-12-31 23:59:59.99999'",
        "'2026-01-31', '2026-01-31 13:14:15.10', '2026-01-31 13:14:15.12000'",
        "NULL, NULL, NULL",
    ),
    family("datetimes_of_two_digits", "t datetime, t6 datetime(6)", "'0044-03-15', '0001-01-01 00:00:00.5'"),
    family(
        "timestamps",
        "t timestamp NULL, t1 timestamp(1) NULL, t3 timestamp(3) NULL, t6 timestamp(6) NULL",
        "'2026-01-31 13:14:15', '2026-01-31 13:14:15.1', '2026-01-31 13:14:15.123',"
        " '2026-01-31 13:14:15.123456'",
        "'1970-01-01 00:00:01', '1970-01-01 00:00:01', '1970-01-01 00:00:01', '1970-01-01 00:00:01'",
        "'2038-01-19 03:14:07', '2038-01-19 03:14:07.9', '2038-01-19 03:14:07.999',"
        " '2038-01-19 03:14:07.999999'",
        "'2026-01-31 13:14:15', '2026-01-31 13:14:15.5', '2026-01-31 13:14:15.120',"
        " '2026-01-31 13:14:15.100000'",
        "NULL, NULL, NULL, NULL",
    ),
    family(
        "timestamps_of_each_fraction",
        "t2 timestamp(2) NULL, t4 timestamp(4) NULL, t5 timestamp(5) NULL",
        "'2026-01-31 13:14:15.12', '2026-01-31 13:14:15.1234', '2026-01-31 13:14:15.12345'",
        "'2026-01-31', '2026-01-31 13:14:15.10', '2026-01-31 13:14:15.12000'",
        "NULL, NULL, NULL",
    ),
    family(
        "times_of_each_fraction",
        "t2 time(2), t4 time(4), t5 time(5)",
        "'13:14:15.12', '13:14:15.1234', '13:14:15.12345'",
        "'13:14', '13:14:15.10', '13:14:15.12000'",
        "NULL, NULL, NULL",
    ),
    family(
        "times",
        "t time, t1 time(1), t3 time(3), t6 time(6)",
        "'13:14:15', '13:14:15.1', '13:14:15.123', '13:14:15.123456'",
        "'00:00', '00:00', '00:00', '00:00'",
        "'23:59:59', '23:59:59.9', '23:59:59.999', '23:59:59.999999'",
        "'13:14:00', '13:14:15', '13:14:15.120', '13:14:15.100000'",
        "NULL, NULL, NULL, NULL",
    ),
    family(
        "times_beyond_a_day",
        "t time, t3 time(3), t6 time(6)",
        "'24:00', '24:00', '24:00'",
        "'838:59:59', '838:59:59', '838:59:59'",
    ),
    family(
        "times_below_zero",
        "t time, t3 time(3), t6 time(6)",
        "'-00:00:01', '-00:00:00.5', '-00:00:00.000001'",
        "'-838:59:59', '-838:59:59', '-838:59:59'",
        "'-12:34:56', '-12:34:56.123', '-12:34:56.987654'",
    ),
    _special(
        "dates_zero",
        "d date, t datetime, t6 datetime(6), z timestamp NULL",
        "'0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00'",
        "'2026-01-00', '2026-01-00', '2026-01-00 13:14:15', NULL",
    ),
    _special(
        "dates_zero_required",
        "d date NOT NULL, t datetime NOT NULL, t6 datetime(6) NOT NULL, z timestamp NOT NULL",
        "'0000-00-00', '0000-00-00', '0000-00-00', '0000-00-00'",
    ),
    family(
        "texts",
        "c char(5), v varchar(5), t tinytext, t2 text, t3 mediumtext, t4 longtext",
        "'ab', 'abc', 'hello', 'hello', 'hello', 'hello'",
        "'', '', '', '', '', ''",
        "'äöüßé', '𝄞', 'ünï', '日本', 'ß', '€'",
        r"""'a"b', 'a\\b', 'a\tb\nc', '\\', '{}', '\''""",
        "'ab  ', 'ab  ', ' ', ' a ', '\x7f', '\u2028'",
        "NULL, NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "texts_of_other_sets",
        "l varchar(9) CHARACTER SET latin1, g varchar(9) CHARACTER SET gbk, u varchar(9) CHARACTER SET utf16,"
        " s varchar(9) CHARACTER SET sjis, k text CHARACTER SET koi8r, a char(9) CHARACTER SET ascii",
        "'Ärger €', '中文', 'äöü€', '日本語', 'Привет', 'abc'",
        "'', '', '', '', '', ''",
        "NULL, NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "binaries",
        "v varbinary(9), t tinyblob, b blob, m mediumblob, l longblob",
        "x'00ff5c27', x'00ff', x'deadbeef', x'01', x'ff'",
        "x'', x'', x'', x'', x''",
        "x'0100', x'00', x'fbff', x'0000', x'3e3f'",
        "NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "binaries_padded",
        "b binary(4), c char(5) CHARACTER SET binary",
        "x'01020304', x'0102030405'",
        "x'01000000', x'ff'",
        "x'', x''",
        "NULL, NULL",
    ),
    family(
        "moods",
        "m enum('sad','it''s \"ok\"','glücklich','')",
        "'sad'",
        "'it''s \"ok\"'",
        "'glücklich'",
        "''",
        "NULL",
    ),
    family("moods_of_many", f"m enum({_LABELS})", "'l1'", "'l255'", "'l256'", "'l300'", "NULL"),
    family("moods_invalid", "m enum('sad','happy')", "'none'", "2"),
    family("moods_with_commas", "m enum('so, so','a')", "'so, so'", "'a'"),
    family("sets", "s set('a','b','ü')", "'a'", "''", "'a,b,ü'", "'ü,a'", "NULL"),
    family("sets_of_many", f"s set({_MEMBERS})", "'l1'", "'l64'", "'l9,l33,l64'", "''", "NULL"),
    family(
        "places_of_each_kind",
        "g geometry",
        "st_geomfromtext('LINESTRING(0 0,1 1)')",
        "st_geomfromtext('POLYGON((0 0,0 9,9 9,0 0),(1 2,1 3,2 3,1 2))')",
        "st_geomfromtext('MULTIPOINT(1 1,2 2)')",
        "st_geomfromtext('MULTILINESTRING((0 0,1 1),(2 2,3 3))')",
        "st_geomfromtext('MULTIPOLYGON(((0 0,0 1,1 1,0 0)))')",
        "st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
    ),
    family(
        "places",
        "g geometry, p point, l linestring, f polygon, m multipoint, c geometrycollection",
        "st_geomfromtext('POINT(1 2)'), st_geomfromtext('POINT(1.5 -2)'),"
        " st_geomfromtext('LINESTRING(0 0,1 1)'), st_geomfromtext('POLYGON((0 0,0 1,1 1,0 0))'),"
        " st_geomfromtext('MULTIPOINT(1 1,2 2)'),"
        " st_geomfromtext('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')",
        "st_geomfromtext('POINT(1 2)', 4326), st_geomfromtext('POINT(1 2)', 4326), NULL, NULL, NULL, NULL",
        "NULL, NULL, NULL, NULL, NULL, NULL",
    ),
    family(
        "places_of_many",
        "l multilinestring, f multipolygon",
        "st_geomfromtext('MULTILINESTRING((0 0,1 1),(2 2,3 3))'),"
        " st_geomfromtext('MULTIPOLYGON(((0 0,0 1,1 1,0 0)))')",
        "NULL, NULL",
    ),
    family(
        "documents",
        "j json",
        """'"ü"'""",
        "'1'",
        "'null'",
        "'[]'",
        "'{}'",
        "NULL",
    ),
    family("documents_nested", "j json", """'{"b": 1, "a": [null, true, {"c": "d"}]}'""", "'[1, -2, 3]'"),
    family("documents_of_fractions", "j json", "'[1.0, 0.1, 1e20, 1e-7]'"),
    family(
        "documents_of_times",
        "j json",
        "json_array(cast('2026-01-31' as date))",
        "json_array(cast('13:14:15.5' as time(6)), cast('-01:00:00' as time))",
        "json_array(cast('2026-01-31 13:14:15' as datetime))",
        "json_array(cast('12.50' as decimal(10,2)))",
        "json_array(cast(x'00ff' as binary))",
        only=MYSQL,
    ),
    family(
        "vectors",
        "x vector(3)",
        "string_to_vector('[1,-2.5,65536]')",
        "string_to_vector('[0.1,0,1e-20]')",
        "NULL",
        only=MYSQL,
    ),
    family(
        "uuids",
        "x uuid",
        "'123e4567-e89b-12d3-a456-426655440000'",
        "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
        "NULL",
        only=MARIADB,
    ),
    family("vectors_of_mariadb", "x vector(3)", "vec_fromtext('[1,-2.5,65536]')", only=("mariadb11",)),
)
