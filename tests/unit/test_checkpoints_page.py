"""docs/checkpoints.md: its configurations are valid, and its DDL is the store's."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from offsets.postgres import PostgresOffsetSettings, PostgresOffsetStore
from tailrace.config.load import loads

PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()
REST = """
name: orders
source: {type: postgres, url: postgresql://app@127.0.0.1:5432/shop, tables: [public.*], snapshot: never}
sinks: [{type: stdout}]
"""


@pytest.mark.parametrize("block", re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL))
def test_a_configuration_is_valid(block: str, tmp_path: Path) -> None:
    loads(REST + block, tmp_path / "orders.yaml", {"PGPASSWORD": "secret"})


def test_every_store_is_named() -> None:
    named = set(re.findall(r"^\| `(\w+)`", PAGE.partition("## The document")[0], re.MULTILINE))
    assert named == {point.name for point in entry_points(group="tailrace.offsets")}


def test_the_statements_are_those_of_the_store() -> None:
    settings = PostgresOffsetSettings.model_validate({"url": "postgresql://app@127.0.0.1:5432/shop"})
    [statements] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert PostgresOffsetStore(settings, Path())._ddl.split("; ") == statements.strip().split(";\n")
