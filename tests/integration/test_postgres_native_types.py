"""Types without a canonical text, or without a kind of their own: what arrives is what the server holds."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest

from tailrace.events import Change
from tests.integration.following import Follower, changes, following, tell
from tests.servers import Postgres

PREPARATION = """
CREATE EXTENSION hstore; CREATE EXTENSION citext; CREATE EXTENSION ltree; CREATE EXTENSION cube;
CREATE DOMAIN price AS numeric(12,2); CREATE DOMAIN bargain AS price CHECK (VALUE < 10);
CREATE DOMAIN tags AS text[]; CREATE TYPE pair AS (number integer, words text);
CREATE TYPE mood AS ENUM ('sad', 'ok'); CREATE DOMAIN feeling AS mood; CREATE TABLE t (id int PRIMARY KEY);
"""

# Values of a type, and SQL that says as JSON what the canonical value of x is.
CASES: dict[str, tuple[list[str], str]] = {
    "oid": (["0", "4294967295"], "to_json(x::int8)"),
    "money": (["-92233720368547758.08", "92233720368547758.07", "1234.5", "0"], "to_json(x::numeric::text)"),
    "bit(5)": (["10101", "00000"], "to_json(x::text)"),
    "varbit": (["", "1", "0001" * 30], "to_json(x::text)"),
    "xml": (['<a b="c">ü</a>', ""], "to_json(x::text)"),
    "point": (["(1.5,-2.25)", "(0,1e300)", "(-0.1,1e-300)"], "json_build_array(x[0], x[1])"),
    "interval": (
        [
            "1 year 2 mons 3 days 04:05:06.789", "-1 year -2 mons +3 days -04:05:06", "0", "-00:00:00.000001",
            "178000000 years", "-178000000 years", "2562047788:00:54.775807", "1 mon -1 day",
        ],
        "json_build_array(extract(year FROM x) * 12 + extract(month FROM x), extract(day FROM x),"
        " (extract(hour FROM x) * 60 + extract(minute FROM x)) * 60000000 + extract(microseconds FROM x))",
    ),
    "interval second(3)": (["1 day 00:00:01.2346"], "json_build_array(0, 1, 1235000)"),
    "hstore": (['"a"=>"1", "b c"=>NULL', "", r'"\\"=>"\"", "ü"=>"=>, "'], "to_json(x)"),
    "price": (["14285.57", "-0.01"], "to_json(x::text)"),
    "bargain": (["1.50"], "to_json(x::text)"),
    "tags": (["{a,NULL,\"b,c\"}"], "to_json(x::text[])"),
    "feeling": (["ok"], "to_json(x::text)"),
    "bargain[]": (["{1.50,NULL}"], "to_json(x::text[])"),
    "money[]": (["{1.50,NULL,-2}"], "to_json(x::numeric[]::text[])"),
    "interval[]": (["{1 day,NULL}"], "json_build_array(json_build_array(0, 1, 0), NULL)"),
    "hstore[]": (['{"a=>1",NULL}'], "to_json(x)"),
    "int4range[]": (['{"[1,5]",empty,NULL}'], "to_json(x::text[])"),
    "box[]": (["{(2,2),(0,0);(1,1),(0,0)}"], "json_build_array(x[1]::text, x[2]::text)"),
    "pair[]": (['{"(1,\\"a b\\")",NULL}'], "to_json(x::text[])"),
}  # fmt: skip

# Types that arrive as the server writes them.
TEXTS: dict[str, list[str]] = {
    "inet": ["10.1.2.3/8", "::1"],
    "cidr": ["10.0.0.0/8"],
    "macaddr": ["08:00:2B:01:02:03"],
    "macaddr8": ["08:00:2b:01:02:03:04:05"],
    "line": ["{1,-1,0.5}"],
    "box": ["(2,2),(0,0)"],
    "circle": ["<(1,2),3>"],
    "int4range": ["[1,5]", "(,3)", "empty"],
    "tstzrange": ["[2026-01-31 13:14:15.1+02,)"],
    "int4multirange": ["{[1,3),[5,8)}", "{}"],
    "tsvector": ["a:1A fat:2,4B cat"],
    "tsquery": ["fat & (rat | !cat:*A)"],
    "pg_lsn": ["16/B374D848"],
    "regclass": ["pg_class"],
    "int2vector": ["1 2 3"],
    "pair": ['(1,"a ""b"", c")', "(,)"],
    "citext": ["Hello Ü"],
    "ltree": ["Top.Science"],
    "cube": ["(1, 2)"],
}


async def _values(follower: Follower, type: str, values: list[str]) -> list[Any]:
    """The values of a column of that type, as they arrive."""
    follower.sql(f"DROP TABLE IF EXISTS t; CREATE TABLE t (id serial PRIMARY KEY, x {type})")
    follower.sql("ALTER PUBLICATION " + follower.name + " ADD TABLE t")
    follower.sql(";".join(f"INSERT INTO t (x) VALUES ('{value}')" for value in [*values]))
    found: list[Change] = changes(await follower.until())
    rows = [tell(change)[3] for change in found]
    return [row["x"] for row in rows if row is not None]


@pytest.fixture
def database(postgres: Postgres, postgres_database: str) -> str:
    postgres.execute(PREPARATION, database=postgres_database)
    return postgres_database


async def test_values_are_what_the_server_holds(postgres: Postgres, database: str) -> None:
    async with following(postgres, database) as follower:
        for type, (texts, canonical) in CASES.items():
            found = await _values(follower, type, texts)
            expected = [
                json.loads(text) for (text,) in follower.sql(f"SELECT ({canonical})::text FROM t ORDER BY id")
            ]
            assert len(found) == len(texts), type
            assert json.loads(json.dumps(found, default=str)) == expected, type


async def test_texts_are_the_servers_own(postgres: Postgres, database: str) -> None:
    async with following(postgres, database) as follower:
        for type, texts in TEXTS.items():
            found = await _values(follower, type, texts)
            expected = [text for (text,) in follower.sql("SELECT format('%s', x) FROM t ORDER BY id")]
            assert found == expected, type


async def test_infinite_intervals(postgres18: Postgres, make_database: Callable[[Postgres], str]) -> None:
    database = make_database(postgres18)
    postgres18.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    async with following(postgres18, database) as follower:
        assert await _values(follower, "interval", ["infinity", "-infinity"]) == [math.inf, -math.inf]
