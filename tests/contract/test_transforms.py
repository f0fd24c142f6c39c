"""The built-in transforms pass the acceptance suite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tailrace import plugins
from tailrace.testing.transforms import Make, TransformAcceptance

SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("columns", {"exclude": ["text"]}),
    ("columns", {"mask": {"text": 3}, "hash": ["id"], "salt": "s"}),
    ("filter", {"where": "op == 't' or row.id > 2"}),
    ("rename", {"columns": {"text": "words"}, "to_table": "{table}_v2"}),
    ("route", {"topic": "all", "key": ["text"]}),
    ("skip", {"operations": ["t", "d"]}),
    ("tables", {"exclude": ["public.items"]}),
]


@pytest.mark.parametrize(
    ("type", "settings"), SETTINGS, ids=[f"{type}-{n}" for n, (type, _) in enumerate(SETTINGS)]
)
class TestBuiltInTransforms(TransformAcceptance):
    @pytest.fixture
    def make(self, type: str, settings: dict[str, Any]) -> Make:
        plugin: Callable[[Any], Any] = plugins.load("transforms", type)
        declared = plugins.load("transforms", type).Settings.model_validate(settings)
        return lambda: plugin(declared)


def test_every_built_in_transform_is_here() -> None:
    assert {type for type, _ in SETTINGS} == set(plugins.names("transforms"))
