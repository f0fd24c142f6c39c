"""docs/guarantees.md names a test in each row, and these tests exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "guarantees.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[^`]+)`", PAGE)))


@pytest.mark.parametrize("test", NAMED)
def test_it_exists(test: str) -> None:
    file, _, name = test.partition("::")
    tree = ast.parse((ROOT / file).read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    assert name in {function.name for function in functions}


def test_each_row_names_one() -> None:
    rows = [
        line for line in PAGE.splitlines() if line.startswith("|") and not line.endswith(("---|", "| test |"))
    ]
    assert len(rows) > 20
    assert [row for row in rows if "`tests/" not in row] == []


def test_each_code_is_an_error() -> None:
    errors = (ROOT / "docs" / "errors.md").read_text()
    assert [code for code in re.findall(r"TR-[A-Z]+-\d{3}", PAGE) if f"| {code} |" not in errors] == []
