"""Log lines on stderr as JSON: what programs read of a run."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
import structlog

from tailrace.cli.lines import log_to_stderr


@pytest.fixture(autouse=True)
def _json_lines() -> Iterator[None]:
    log_to_stderr(json=True)
    yield
    structlog.reset_defaults()


def test_hiding_a_password_leaves_every_line_json(capsys: pytest.CaptureFixture[str]) -> None:
    structlog.get_logger().warning(
        "sink retrying", at="http://127.0.0.1:8080/", tables=["public.a", "me@home"], error="password=geheim"
    )
    structlog.get_logger().warning("source retrying", at="postgresql://app:geheim@db/shop")
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert first["at"] == "http://127.0.0.1:8080/"
    assert first["tables"] == ["public.a", "me@home"]
    assert first["error"] == "password=***"
    assert second["at"] == "postgresql://app:***@db/shop"
