"""docs/shaping.md: every output shown is what comes out."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tailrace.log import Reader
from tests.pipelines import Pipeline
from tests.servers import Postgres

PAGE = (Path(__file__).parents[2] / "docs" / "shaping.md").read_text()
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
TABLES, STATEMENTS = (text for language, text in BLOCKS if language == "sql")
EXAMPLES = [
    (yaml.safe_load(text), BLOCKS[place + 1])
    for place, (language, text) in enumerate(BLOCKS)
    if language == "yaml" and "name: shop" not in text  # a whole file, without an output
]


def test_outputs_are_what_comes_out(
    tmp_path: Path, postgres16: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    """All examples at once: each is a sink of one pipeline."""
    database = make_database(postgres16)
    postgres16.execute(TABLES, database=database)
    source = {"url": postgres16.url(database), "tables": ["public.*"]}
    sinks = [
        {"type": "log", "name": f"example_{n}", "path": f"{n}.db", "format": "plain", **example}
        for n, (example, _) in enumerate(EXAMPLES)
    ]
    pipeline = Pipeline(tmp_path, "shop", source, sinks)
    pipeline.run_until_current()
    postgres16.execute(STATEMENTS, database=database)
    pipeline.run_until_current()
    for n, (example, (language, shown)) in enumerate(EXAMPLES):
        assert language == "text"
        assert told(tmp_path / f"{n}.db") == shown, example


def told(path: Path) -> str:
    """The events of a log as the page shows them: in the order of the source's log."""
    with contextlib.closing(Reader(path)) as reader:
        events: list[tuple[Any, str]] = [
            (
                (entry.position, entry.ordinal, entry.index),
                f"{topic.name} {_text(entry.key)} {_text(entry.value)}\n",
            )
            for topic in reader.topics()
            for entry in reader.read(topic.name, 0).entries
        ]
    return "".join(line for _, line in sorted(events))


def _text(data: bytes | None) -> str:
    text = "null" if data is None else data.decode()
    return re.sub(r'"position":"[^"]*","ts":"[^"]*"', "…", text)
