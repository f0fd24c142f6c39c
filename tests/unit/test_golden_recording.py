"""Recordings tell apart what is not the same."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.golden import debezium
from tests.golden.binlog import corpus, engine
from tests.golden.binlog import files as binlog
from tests.golden.differences import Difference
from tests.golden.files import FILES
from tests.golden.recording import Recorder, Recording, compare, read
from tests.servers.mysql_releases import RELEASES

SOURCE = {"version": "1", "lsn": 5, "xmin": None, "table": "t"}


def recorded(*payloads: Any, fields: tuple[str, ...] = ("op", "x"), source: Any = SOURCE) -> Recording:
    """A recording of one table's records, out of a database of the name `db7`."""
    recorder = Recorder("db7")
    schema = {
        "type": "struct",
        "fields": [{"type": "string", "field": name} for name in fields],
        "name": "db7.t",
    }
    for payload in payloads:
        value = {"schema": schema, "payload": {**payload, "source": source}}
        recorder.add("t", json.dumps({"key": None, "value": value, "headers": {}}))
    return recorder.recording


@pytest.mark.parametrize("name", FILES)
def test_golden_files_are_of_these_statements_and_this_debezium(name: str) -> None:
    golden, of = read(name), FILES[name]
    expected = (debezium.VERSION, of.corpus.fingerprint(of.major))
    assert (golden["debezium"], golden["corpus"]) == expected, "make golden"


@pytest.mark.parametrize("name", binlog.FILES)
def test_golden_files_of_mysql_are_of_these_statements_and_this_debezium(name: str) -> None:
    golden, release = read(name), binlog.FILES[name].release
    expected = (engine.VERSIONS[RELEASES[release].flavor], corpus.fingerprint(release))
    assert (golden["debezium"], golden["corpus"]) == expected, "make golden"


def test_what_varies_from_run_to_run_is_the_same() -> None:
    one = recorded({"op": "c", "ts_ms": 1})
    other = recorded({"op": "c", "ts_ms": 2}, source={**SOURCE, "lsn": 6, "version": "2"})
    assert compare(one, other) == {}
    assert one["tables"]["t"][0]["schema of value"]["name"] == "golden.t"


def test_that_something_is_null_is_told() -> None:
    other = recorded({"op": "c"}, source={**SOURCE, "lsn": None})
    assert compare(recorded({"op": "c"}), other) == {"t/1/source/lsn": ("", "null")}


@pytest.mark.parametrize(
    ("one", "other"), [(1, 1.0), (1, True), (0, None), ("1", 1), ([1, None], [1]), (0.0, -0.0)]
)
def test_values_of_other_types_differ(one: Any, other: Any) -> None:
    found = compare(recorded({"op": "c", "x": one}), recorded({"op": "c", "x": other}))
    assert found == {"t/1/value/x": (json.dumps(one), json.dumps(other))}


def test_fields_are_compared_by_name_and_by_order() -> None:
    one, other = recorded({"op": "c"}), recorded({"op": "c"}, fields=("x", "op"))
    assert compare(one, other) == {"t/1/schema of value/fields": ('["op", "x"]', '["x", "op"]')}


def test_a_record_too_many_and_an_error_are_told_whole() -> None:
    one, other = recorded({"op": "c"}, {"op": "d"}), recorded({"op": "c"})
    whole = '{"key": null, "value": {"op": "d"}}'
    assert compare(one, other) == {"t/2": (whole, "")}
    other["tables"]["t"].append({"error": "TR-FMT-001"})
    assert compare(one, other) == {"t/2": (whole, '{"error": "TR-FMT-001"}')}


def test_a_difference_is_no_other() -> None:
    difference = Difference("", "t/*/x", "null", "[1, *]")
    assert difference.explains("t/1/value/x", "null", "[1, 2, 3]")
    assert not difference.explains("t/1/value/xy", "null", "[1, 2, 3]")
    assert not difference.explains("t/1/value/x", "0", "[1, 2, 3]")
    assert not difference.explains("t/1/value/x", "null", "1, 2")
