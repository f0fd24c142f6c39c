"""The declaration of the log sink's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sinks.log import LogSettings
from tailrace.log import Retention, Writer


def settings(**values: Any) -> LogSettings:
    return LogSettings.model_validate({"path": "log.db", **values})


def test_defaults() -> None:
    default = settings()
    assert default.topic == "{pipeline}.{schema}.{table}"
    assert (default.retention_hours, default.retention_bytes) == (None, None)


def test_sizes_have_units() -> None:
    assert settings(retention_bytes="10 GB").retention_bytes == 10_000_000_000


def test_the_log_keeps_the_largest_values(tmp_path: Path) -> None:
    most = settings(retention_hours=1e9, retention_bytes="1000 PB")
    Writer(tmp_path / "log.db", "orders/log", Retention(most.retention_hours, most.retention_bytes)).close()


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"topic": "{pipeline}.{tabel}"}, "fields are"),
        ({"retention_hours": 0}, "greater than 0"),
        ({"retention_hours": 3.0e9}, "less than or equal to 1000000000"),
        ({"retention_hours": float("inf")}, "finite number"),
        ({"retention_hours": float("nan")}, "finite number"),
        ({"retention_bytes": 0}, "greater than 0"),
        ({"retention_bytes": 99999999999999999999}, "less than or equal to 1000000000000000000"),
        ({"retention_bytes": "10000 PB"}, "less than or equal to 1000000000000000000"),
        ({"retention_days": 1}, "Extra inputs are not permitted"),
    ],
)
def test_faults(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        settings(**values)
