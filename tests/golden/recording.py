"""Records as the golden files keep them, and the comparison of two recordings.

What differs from run to run is taken out of every recording: positions, transaction ids, moments and the
writer's version, unless they are null; and the database is called `golden`. A record is its key, its value
and its headers if it has any; its source block and its schemas stand with it where they are not those of the
table's record before. The schemas of the blocks `source` and `transaction`, which all tables share, stand
once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

Json: TypeAlias = Any
Recording: TypeAlias = dict[str, Json]
"""`blocks`: the schemas that all tables share, by field; `tables`: the records of each."""

DATABASE: Final = "golden"
"""What the database, and the pipeline, is called in recordings."""

_BLOCKS: Final = ("source", "transaction")
_MOMENTS: Final = ("ts_ms", "ts_us", "ts_ns")
_VARYING: Final = (
    "version", *_MOMENTS, "sequence", "txId", "lsn", "server_id", "gtid", "file", "pos", "thread"
)  # fmt: skip
_RUN: Final = "__debezium.context."  # headers that say which run of the engine wrote the record
_WIDTH: Final = 110


class Recorder:
    """Builds a recording of records in their order. `database`: the name to be replaced in them."""

    def __init__(self, database: str) -> None:
        self.recording: Recording = {"blocks": {}, "tables": {}}
        self._database = database
        self._told: dict[tuple[str, str], Json] = {}

    def add(self, table: str, text: str) -> None:
        """A record: {key, value, headers}; key and value are {schema, payload} or null."""
        found = json.loads(text.replace(self._database, DATABASE))
        parts = {name: part for name in ("key", "value") if (part := found[name]) is not None}
        schemas = {name: part["schema"] for name, part in parts.items()}
        record = {"key": None, "value": None} | {name: part["payload"] for name, part in parts.items()}
        if value := record["value"]:
            _take_out(value, _MOMENTS)
            source = value.pop("source")
            _take_out(source, _VARYING)
            self._share(schemas["value"])
            self._tell(table, record, "source", source)
        for name, schema in schemas.items():
            self._tell(table, record, f"schema of {name}", schema)
        headers = {name: part["payload"] for name, part in found["headers"].items()}
        if kept := {name: value for name, value in headers.items() if not name.startswith(_RUN)}:
            record["headers"] = kept
        self._append(table, record)

    def refuse(self, table: str, code: str) -> None:
        """A change that makes no record, but an error."""
        self._append(table, {"error": code})

    def _append(self, table: str, record: Json) -> None:
        self.recording["tables"].setdefault(table, []).append(record)

    def _tell(self, table: str, record: Json, name: str, what: Json) -> None:
        """Put into a record what its table's records before it did not tell."""
        if self._told.get((table, name)) != what:
            self._told[table, name] = record[name] = what

    def _share(self, schema: Json) -> None:
        for i, field in enumerate(schema["fields"]):
            if (name := field["field"]) in _BLOCKS:
                if self.recording["blocks"].setdefault(name, field) != field:
                    raise ValueError(f"the schema of {name} is not that of the records before: {field}")
                schema["fields"][i] = {"field": name}


def _take_out(block: Json, names: Iterable[str]) -> None:
    for name in names:
        if block.get(name) is not None:
            del block[name]


def path(name: str) -> Path:
    """The golden file of that name: `postgres18`, or `postgres18-doubles` of a set of options."""
    return Path(__file__).with_name("recorded") / f"{name}.json"


def write(name: str, recording: Recording) -> None:
    """Write a golden file."""
    path(name).write_text(text(recording) + "\n")


def read(name: str) -> Recording:
    """What a golden file holds."""
    recording: Recording = json.loads(path(name).read_text())
    return recording


def apart(recording: Recording, base: Recording) -> Recording:
    """A recording without the tables that are the same in another one."""
    tables = {
        name: records for name, records in recording["tables"].items() if records != base["tables"].get(name)
    }
    return {**recording, "tables": tables}


def upon(recording: Recording, base: Recording) -> Recording:
    """A recording that was told apart, whole again."""
    return {**recording, "tables": base["tables"] | recording["tables"]}


def text(value: Json, indent: int = 0) -> str:
    """JSON in which a value stands on one line if it fits there or has nothing nested in it; else each of its
    parts does."""
    line = json.dumps(value, ensure_ascii=False)
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    if len(line) + indent <= _WIDTH or not any(isinstance(item, dict | list) for item in items):
        return line
    inner = "\n" + " " * (indent + 1)
    if isinstance(value, list):
        return "[" + inner + f",{inner}".join(text(item, indent + 1) for item in value) + "]"
    parts = (
        f"{json.dumps(name, ensure_ascii=False)}: {text(item, indent + 1)}" for name, item in value.items()
    )
    return "{" + inner + f",{inner}".join(parts) + "}"


def compare(one: Recording, other: Recording) -> dict[str, tuple[str, str]]:
    """Where two recordings differ: path → what stands here and there, as JSON; "" where nothing does.

    Paths are `blocks/…` and `table/number of the record/…`, in schemas by the names of fields. Where there is
    nothing on one side, or an error, the other is shown whole.
    """
    sides = (_tree(recording) for recording in (one, other))
    return dict(_differences("", *sides))


def _tree(recording: Recording) -> Json:
    """A recording with what is known by its number or its name in an object."""
    tables = {
        table: {str(number): record for number, record in enumerate(records, 1)}
        for table, records in recording["tables"].items()
    }
    return {"blocks": recording["blocks"], **tables}


def _differences(path: str, one: Json, other: Json) -> Iterator[tuple[str, tuple[str, str]]]:
    one, other = _named(one), _named(other)
    if not (isinstance(one, dict) and isinstance(other, dict)) or "error" in one | other:
        if (here := _leaf(one)) != (there := _leaf(other)):
            yield path, (here, there)
        return
    for name in one | other:
        below = f"{path}/{name}" if path else name
        if name in one and name in other:
            yield from _differences(below, one[name], other[name])
        else:
            yield (
                below,
                (_leaf(one[name]) if name in one else "", _leaf(other[name]) if name in other else ""),
            )
    orders = [[name for name in side if name in one and name in other] for side in (one, other)]
    if orders[0] != orders[1]:
        yield path, (_leaf(orders[0]), _leaf(orders[1]))


def _named(value: Json) -> Json:
    """The fields of a schema by their names."""
    if (
        isinstance(value, list)
        and value
        and all(isinstance(item, dict) and "field" in item for item in value)
    ):
        return {item["field"]: item for item in value}
    return value


def _leaf(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False)
