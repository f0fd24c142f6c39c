"""`tailrace schema`: takes every valid file, and shows what is wrong with others."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner

from tailrace.cli.main import main
from tailrace.config.schema import pipeline_schema

ROOT = Path(__file__).parents[2]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))
SOURCE: dict[str, Any] = {
    "type": "postgres",
    "url": "postgresql://a@b/c",
    "tables": ["public.*"],
    "snapshot": "never",
}
VALID: dict[str, Any] = {"name": "shop", "source": SOURCE, "sinks": [{"type": "log", "path": "log.db"}]}


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = pipeline_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def sink(**keys: Any) -> dict[str, Any]:
    return {**VALID, "sinks": [{"type": "log", "path": "log.db", **keys}]}


@pytest.mark.parametrize("file", CONFIGS, ids=[file.name for file in CONFIGS])
def test_every_example_is_valid(file: Path) -> None:
    validator().validate(yaml.safe_load(file.read_text()))


@pytest.mark.parametrize(
    "document",
    [
        VALID,
        sink(name="a", format="debezium", delivery="exactly_once", retention_bytes="10 GB"),
        sink(format={"type": "debezium", "schemas": True}, retention_hours=1.5, retention_bytes=17),
        sink(format="${FORMAT}", retention_hours="${HOURS}"),
        sink(transforms=[{"type": "filter", "tables": ["public.*"], "where": "row.a > 3"}]),
        {**VALID, "transforms": [{"type": "columns", "mask": {"a": 3, "b": "x", "c": None}}]},
        {**VALID, "sinks": [{"type": "kafka", "bootstrap_servers": "h:1", "headers": {"position": True}}]},
        {**VALID, "offsets": {"type": "sqlite"}, "data_dir": "${DATA}", "transforms": []},
        {**VALID, "transforms": [{"type": "filter", "tables": ["public.*"], "where": "op == 'c'"}]},
        sink(transforms=[{"type": "columns", "exclude": ["x"]}]),
        {**VALID, "name": "${NAME}", "source": {**SOURCE, "status_interval": "${SECONDS:-10}"}},
    ],
)
def test_what_is_valid(document: dict[str, Any]) -> None:
    validator().validate(document)


@pytest.mark.parametrize(
    ("document", "where", "said"),
    [
        ({**VALID, "name": "Shop"}, "name", "Shop"),
        ({**VALID, "sinks": []}, "sinks", "non-empty"),
        ({**VALID, "sink": []}, "", "'sink' was unexpected"),
        ({key: VALID[key] for key in ("name", "sinks")}, "", "'source' is a required property"),
        ({**VALID, "source": {**SOURCE, "type": "postgre"}}, "source.type", "postgre"),
        ({**VALID, "source": {**SOURCE, "table": []}}, "source", "'table' was unexpected"),
        ({**VALID, "source": {**SOURCE, "snapshot": "initial"}}, "source.snapshot", "initial"),
        ({**VALID, "source": {**SOURCE, "status_interval": 0}}, "source.status_interval", "0"),
        (
            {**VALID, "transforms": [{"type": "filter", "where": "x", "if": 1}]},
            "transforms.0",
            "'if' was unexpected",
        ),
        (sink(transforms=[{"type": "nothing"}]), "sinks.0.transforms.0.type", "nothing"),
        (sink(delivery="twice"), "sinks.0.delivery", "twice"),
        (sink(format="avro"), "sinks.0.format", "avro"),
        (sink(format={"type": "debezium", "schema": True}), "sinks.0.format", "schema"),
        (sink(retention_hours="long"), "sinks.0.retention_hours", "long"),
        (sink(transforms=[{"type": "filter", "where": "x", "were": 1}]), "sinks.0.transforms.0", "were"),
        ({**VALID, "transforms": [{"type": "skip", "operations": ["x"]}]}, "transforms.0.operations.0", "x"),
        ({**VALID, "sinks": [{"type": "log"}]}, "sinks.0", "'path' is a required property"),
        ({**VALID, "sinks": [{"path": "log.db"}]}, "sinks.0", "'type' is a required property"),
        ({**VALID, "offsets": {"type": "sqlite", "file": "x"}}, "offsets", "'file' was unexpected"),
    ],
)
def test_what_is_wrong_is_shown_where_it_stands(document: dict[str, Any], where: str, said: str) -> None:
    errors = list(validator().iter_errors(document))
    assert [".".join(str(part) for part in error.absolute_path) for error in errors] == [where]
    assert said in errors[0].message


def test_every_key_is_described() -> None:
    schema = pipeline_schema()

    def undescribed(node: Any, path: str) -> list[str]:
        if not isinstance(node, dict):
            return []
        found = []
        for name, field in node.get("properties", {}).items():
            if name != "type" and "description" not in field and "$ref" not in field:
                found.append(f"{path}.{name}")
            found += undescribed(field, f"{path}.{name}")
        return found

    parts = {"": schema, **schema["$defs"]}
    assert [key for name, part in parts.items() for key in undescribed(part, name)] == []


def test_the_plugins_of_others_are_in_it(file_plugins: Path) -> None:
    result = CliRunner().invoke(main, ["schema"])
    assert result.exit_code == 0
    schema = json.loads(result.stdout)
    block = {"type": "file", "path": "log.txt", "snapshot": "never", "tables": ["a", {"name": "b"}]}
    document: dict[str, Any] = {
        "name": "a",
        "source": block,
        "sinks": [{"type": "file", "path": "p", "format": "numbers"}],
    }
    check = jsonschema.Draft202012Validator(schema)
    check.validate(document)
    assert check.is_valid({**document, "transforms": [{"type": "odd", "strict": True}]})
    assert not check.is_valid({**document, "transforms": [{"type": "odd", "strick": True}]})
    assert not check.is_valid({**document, "source": {**block, "tables": [{"name": 1}]}})
