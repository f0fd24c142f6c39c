"""Faults of the file and of the words of a command: exit code 2, nothing touched, and the way out works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.integration.commandline import PASSWORD, Pipeline, problems, refused, tailrace

COMMANDS = (
    ("validate",),
    ("run",),
    ("teardown", "--yes"),
)


def _nothing_happened(pipeline: Pipeline) -> None:
    assert [path.name for path in pipeline.folder.iterdir()] == [pipeline.file.name]
    assert pipeline.sql("SELECT FROM pg_replication_slots WHERE database = current_database()") == []
    assert pipeline.sql("SELECT FROM pg_publication") == []


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_wrong_yaml(command: tuple[str, ...], tmp_path: Path) -> None:
    file = tmp_path / "orders.yaml"
    file.write_text(f"name: orders\nsource:\n  password: '{PASSWORD}'\n  tables: [public.orders\nsinks: []\n")
    problem = refused("TR-CONF-002", *command, file, exit=2)
    assert problem.where == f"{file}:5:6"
    assert "brackets" in str(problem.remedy)


def test_wrong_yaml_mended(pipeline: Pipeline) -> None:
    text = pipeline.write().read_text()
    pipeline.file.write_text(text.replace("snapshot: never", "snapshot: never: ever"))
    problem = refused("TR-CONF-002", "run", pipeline.file, exit=2)
    line = next(n for n, line in enumerate(text.splitlines(), 1) if "snapshot" in line)
    assert str(problem.where).startswith(f"{pipeline.file}:{line}:")
    _nothing_happened(pipeline)
    pipeline.follow(1)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    problem = refused("TR-CONF-001", "run", tmp_path / "orders.yaml", exit=2)
    assert problem.where == str(tmp_path / "orders.yaml")


def test_unknown_keys(pipeline: Pipeline) -> None:
    pipeline.source["table"] = pipeline.source.pop("tables")
    pipeline.sinks[0]["retention_hour"] = 24
    said = tailrace("run", pipeline.write())
    assert (said.code, said.out) == (2, "")
    found = {(problem.code, problem.found): str(problem.remedy) for problem in problems(said.err)}
    assert "Did you mean tables?" in found.pop(("TR-CONF-006", "table"))
    assert "Did you mean retention_hours?" in found.pop(("TR-CONF-006", "retention_hour"))
    assert list(found) == [("TR-CONF-007", "tables")]
    _nothing_happened(pipeline)
    pipeline.source["tables"] = pipeline.source.pop("table")
    pipeline.sinks[0]["retention_hours"] = pipeline.sinks[0].pop("retention_hour")
    pipeline.follow(1)


def test_a_variable_that_is_not_set(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    url, pipeline.source["url"] = pipeline.source["url"], "${SHOP_URL}"
    problem = pipeline.refused("TR-CONF-004", exit=2)
    assert re.fullmatch(rf"{re.escape(str(pipeline.file))}:\d+:\d+", str(problem.where))
    _nothing_happened(pipeline)
    assert "export SHOP_URL=…" in str(problem.remedy)
    monkeypatch.setenv("SHOP_URL", url)
    pipeline.follow(1)


@pytest.mark.parametrize(
    ("block", "key", "value", "good"),
    [
        ("sink", "delivery", "at_most_once", "at_least_once"),
        ("sink", "on_stall", "spill", "block"),
        ("source", "snapshot", "initial", "never"),
    ],
)
def test_what_this_version_does_not_have(
    pipeline: Pipeline, block: str, key: str, value: str, good: str
) -> None:
    """It is refused by its name instead of ignored."""
    values = pipeline.sinks[0] if block == "sink" else pipeline.source
    values[key] = value
    problem = pipeline.refused("TR-CONF-009", exit=2)
    assert f"{key}: {value}" in problem.found
    _nothing_happened(pipeline)
    values[key] = good
    assert tailrace("validate", pipeline.write()).code == 0


def test_exactly_once_of_a_target_that_cannot(pipeline: Pipeline) -> None:
    pipeline.sinks.append({"type": "stdout", "delivery": "exactly_once"})
    problem = pipeline.refused("TR-CONF-012", exit=2)
    _nothing_happened(pipeline)
    assert "delivery: at_least_once" in str(problem.remedy)
    pipeline.sinks[1]["delivery"] = "at_least_once"
    assert tailrace("validate", pipeline.write()).code == 0


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://app:{password}@127.0.0.1:1/shop?colour=blue",
        "app:{password}@127.0.0.1/shop",
        "host=127.0.0.1 user=app password={password}",
    ],
)
def test_no_wrong_url_shows_its_password(tmp_path: Path, url: str) -> None:
    """As it stands in the file, with characters in it that should have been quoted."""
    source = f'{{type: postgres, url: "{url.format(password=PASSWORD)}", tables: [a.b], snapshot: never}}'
    file = tmp_path / "orders.yaml"
    file.write_text(f"name: orders\nsource: {source}\nsinks: [{{type: stdout}}]\n")
    problem = refused("TR-CONF-008", "run", file, "--debug", exit=2)
    assert problem.where == f"{file}:2:31"


def test_a_position_that_is_none(pipeline: Pipeline) -> None:
    pipeline.follow(1)
    before = pipeline.positions()
    for text in ("nonsense", "16B3748", "-1"):
        problem = refused("TR-CLI-011", "offsets", "set", pipeline.file, "--at", text, exit=2)
        assert "0/16B3748" in problem.found
    assert pipeline.positions() == before


def test_a_sink_that_the_pipeline_does_not_have(pipeline: Pipeline) -> None:
    problem = refused(
        "TR-CLI-010", "offsets", "set", pipeline.write(), "--sink", "logg", "--at", "0/1", exit=2
    )
    assert problem.remedy == "Its sinks are: log."
    _nothing_happened(pipeline)


@pytest.mark.parametrize(
    "words", [("run",), ("run", "--until"), ("offsets", "set", "x.yaml"), ("walk",)], ids=" ".join
)
def test_wrong_usage(words: tuple[str, ...]) -> None:
    said = tailrace(*words)
    assert (said.code, said.out) == (2, "")
    assert said.err.startswith("Usage: ")
