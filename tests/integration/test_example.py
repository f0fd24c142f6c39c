"""Wheels in a clean virtual environment: tailrace itself, and a package of somebody else's plugins."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path

import pytest
import yaml

from tailrace import __version__
from tests.installed import Installation
from tests.pipelines import PipelineProcess
from tests.waiting import wait_until


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    return Installation(tmp_path_factory.mktemp("installed"))


def test_the_wheel_brings_a_command_that_works(installed: Installation) -> None:
    assert installed.tailrace("--version") == f"tailrace {__version__}\n"
    where = installed.python("-c", "import tailrace, sinks.kafka; print(tailrace.__file__, sinks.__path__)")
    assert where.count(str(installed.packages)) == 2
    assert (installed.packages / "tailrace/py.typed").is_file()
    assert not (installed.packages / "tests").exists()


def test_the_plugins_are_listed_with_their_package(installed: Installation) -> None:
    listed = json.loads(installed.tailrace("plugins", "--json"))
    found = {(plugin["group"], plugin["name"]): plugin for plugin in listed}
    for key in (("sources", "directory"), ("sinks", "sqlite")):
        assert found[key]["distribution"] == "tailrace-example"
        assert found[key]["error"] is None
    assert found["sources", "postgres"]["distribution"] == "tailrace"


def test_its_own_tests_pass_where_it_is_installed(installed: Installation) -> None:
    done = installed.python("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=installed.example)
    assert " passed" in done


def _events(file: Path) -> list[int]:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        rows = connection.execute("SELECT value FROM event ORDER BY number").fetchall()
    return [json.loads(value)["after"]["id"] for (value,) in rows]


def _count(file: Path) -> int:
    with contextlib.closing(sqlite3.connect(file)) as connection:
        (found,) = connection.execute("SELECT count(*) FROM event").fetchone()
    return int(found)


def test_a_pipeline_of_plugins_that_is_killed_loses_and_doubles_nothing(
    installed: Installation, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYTHONPATH", raising=False)
    (tmp_path / "lines").mkdir()
    file = tmp_path / "lines.yaml"
    (text,) = [
        block.partition("```")[0]
        for block in (installed.example / "README.md").read_text().split("```yaml\n")[1:]
    ]
    file.write_text(text)
    installed.tailrace("run", file, "--until-current")
    database = tmp_path / yaml.safe_load(text)["sinks"][0]["path"]
    written = 0

    def write(lines: int) -> None:
        nonlocal written
        with (tmp_path / f"lines/{1 + written // 5000:08}.jsonl").open("a") as log:
            log.writelines(f'{{"id": {id}}}\n' for id in range(written, written + lines))
        written += lines

    for kill in range(3):
        before = _count(database)
        command = [str(installed.venv / "bin/tailrace"), "run", str(file)]
        errors = tmp_path / f"errors{kill}"
        with PipelineProcess(command, output=tmp_path / "out", errors=errors, failpoints="") as process:
            write(3000)
            wait_until(lambda: _count(database) > before, "events to arrive")  # noqa: B023 - called at once
            write(3000)
            process.kill()
    installed.tailrace("run", file, "--until-current")
    assert _events(database) == list(range(written))


def test_a_starting_file_from_the_plugins_own_discovery(installed: Installation, tmp_path: Path) -> None:
    file = tmp_path / "made.yaml"
    installed.tailrace("init", f"jsonl://{tmp_path}", "-o", file)
    assert yaml.safe_load(file.read_text())["source"] == {"type": "directory", "path": str(tmp_path)}
    installed.tailrace("validate", file)
    explained = json.loads(installed.tailrace("explain", file, "--json"))
    assert list(explained["source"]["stored"]) == [str(tmp_path)]
