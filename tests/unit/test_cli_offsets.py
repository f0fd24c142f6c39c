"""`tailrace offsets` and `tailrace teardown`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tailrace.cli.main import main
from tailrace.engine.lock import PipelineLock


def tailrace(*words: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(main, list(map(str, words)), input=answer)


def shown(file: Path) -> Any:
    return json.loads(tailrace("offsets", "show", file, "--json").stdout)["sinks"]


@pytest.fixture
def delivered(pipeline_file: Path) -> Path:
    """The file of a pipeline of two sinks that has delivered two transactions to each."""
    with pipeline_file.open("a") as file:
        file.write("  - {type: file, name: second, path: second.json, format: numbers}\n")
    assert tailrace("run", pipeline_file, "--until-current").exit_code == 0
    pipeline_file.with_name("log.txt").write_text("[1, 2]\n[3]\n")
    assert tailrace("run", pipeline_file, "--until-current").exit_code == 0
    return pipeline_file


def events(file: Path, name: str) -> Any:
    return json.loads(file.with_name(name).read_text())["events"]


def test_show_before_the_first_run(pipeline_file: Path) -> None:
    result = tailrace("offsets", "show", pipeline_file)
    assert (result.exit_code, result.stdout) == (0, "file  nothing delivered yet\n")
    assert shown(pipeline_file) == {"file": None}


def test_show(delivered: Path) -> None:
    result = tailrace("offsets", "show", delivered)
    assert result.exit_code == 0
    first, origin, second, _ = result.stdout.splitlines()
    assert (first, second) == ("file  2", "second  2")
    assert origin.startswith(f"  database shop of system {delivered.parent}/log.txt; commit ")
    assert shown(delivered)["file"]["position"] == {"line": 2}
    assert list(
        json.loads(tailrace("offsets", "show", delivered, "--json", "--sink", "file").stdout)["sinks"]
    ) == ["file"]


def test_set_moves_one_sink(delivered: Path) -> None:
    before = shown(delivered)
    result = tailrace("offsets", "set", delivered, "--sink", "second", "--at", "1")
    assert result.exit_code == 0, result.stderr
    assert result.stdout == "second  continues with what follows 1; was: 2\n"
    after = shown(delivered)
    assert after["file"] == before["file"]
    assert after["second"]["position"] == {"line": 1}
    assert after["second"]["start"] == before["second"]["start"]
    assert after["second"]["sequence"] == before["second"]["sequence"] + 1
    assert tailrace("run", delivered, "--until-current").exit_code == 0
    assert events(delivered, "out.json") == ["1", "2", "3"]
    assert events(delivered, "second.json") == ["1", "2", "3", "3"]


def test_set_gives_an_added_sink_its_place(delivered: Path) -> None:
    with delivered.open("a") as file:
        file.write("  - {type: file, name: third, path: third.json, format: numbers}\n")
    refused = tailrace("run", delivered, "--until-current")
    assert refused.exit_code == 1
    assert "--sink third --at POSITION" in refused.stderr
    assert tailrace("offsets", "set", delivered, "--sink", "third", "--at", "0").exit_code == 0
    assert tailrace("run", delivered, "--until-current").exit_code == 0
    assert events(delivered, "third.json") == ["1", "2", "3"]
    assert events(delivered, "out.json") == ["1", "2", "3"]


def test_set_as_json_and_dry(delivered: Path) -> None:
    before = shown(delivered)
    result = tailrace("offsets", "set", delivered, "--at", "0", "--dry-run", "--json")
    move = {"from": {"line": 2}, "to": {"line": 0}}
    assert json.loads(result.stdout) == {
        "pipeline": "orders",
        "dry_run": True,
        "sinks": {"file": move, "second": move},
    }
    assert shown(delivered) == before
    assert (
        "would continue with what follows 0"
        in tailrace("offsets", "set", delivered, "--at", "0", "--dry-run").stdout
    )


def test_set_refuses_what_the_source_cannot_follow(delivered: Path) -> None:
    delivered.with_name("log.slot").unlink()
    before = shown(delivered)
    result = tailrace("offsets", "set", delivered, "--at", "1")
    assert result.exit_code == 1
    assert "TR-TEST-011" in result.stderr
    assert result.stderr.endswith("  → Begin anew.\n")
    assert shown(delivered) == before


def test_commands_in_a_remedy_name_the_file(delivered: Path, tmp_path: Path) -> None:
    """So that they can be copied as they stand, whatever the file is called."""
    (other := tmp_path / "an other.yaml").write_text(delivered.read_text())
    assert tailrace("offsets", "reset", other).exit_code == 0  # the source keeps its log all the same
    said = tailrace("run", other, "--until-current").stderr
    assert "TR-ENG-012" in said
    assert " FILE" not in said.partition("error TR-")[2]
    assert f"(tailrace offsets set '{other}' --sink NAME --at POSITION)" in said


def test_set_asks_for_another_position_where_one_will_do(delivered: Path) -> None:
    result = tailrace("offsets", "set", delivered, "--at", "9")
    assert result.exit_code == 1
    assert "TR-TEST-013" in result.stderr
    remedy = "Give a position that the server can go on from. At the latest that is the end of its log: 2."
    assert result.stderr.endswith(f"  → {remedy}\n")


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["set", "--at", "0/16B3748"], "TR-CLI-011"),
        (["set", "--at", "1", "--sink", "nobody"], "TR-CLI-010"),
        (["reset", "--sink", "nobody"], "TR-CLI-010"),
        (["show", "--sink", "nobody"], "TR-CLI-010"),
    ],
)
def test_wrong_words(delivered: Path, words: list[str], code: str) -> None:
    result = tailrace("offsets", words[0], delivered, *words[1:])
    assert result.exit_code == 2
    assert f"error {code}: " in result.stderr


def test_reset(delivered: Path) -> None:
    dry = tailrace("offsets", "reset", delivered, "--sink", "second", "--dry-run")
    line, said = dry.stdout.splitlines()
    assert (dry.exit_code, line) == (0, "would remove checkpoint in second.json")
    assert said.startswith("the next run would be refused if the server still keeps its log for the pipeline")
    assert shown(delivered)["second"] is not None
    line, said = tailrace("offsets", "reset", delivered, "--sink", "second").stdout.splitlines()
    assert line == "removed checkpoint in second.json"
    assert "else it begins where the log ends by then" in said
    assert f"(tailrace offsets set {delivered} --at POSITION)" in said
    assert said.endswith(f"(tailrace teardown {delivered})")
    assert shown(delivered)["second"] is None
    assert shown(delivered)["file"] is not None
    assert tailrace("offsets", "reset", delivered, "--sink", "second").stdout == "nothing is stored\n"
    assert json.loads(tailrace("offsets", "reset", delivered, "--json").stdout) == {
        "pipeline": "orders",
        "dry_run": False,
        "removed": ["checkpoint in out.json"],
    }
    assert events(delivered, "second.json") == ["1", "2", "3"]


@pytest.mark.parametrize(
    "words", [["offsets", "set", "--at", "1"], ["offsets", "reset"], ["teardown", "--yes"]]
)
def test_nothing_is_changed_while_the_pipeline_runs(delivered: Path, words: list[str]) -> None:
    before = shown(delivered)
    with PipelineLock(delivered.parent / "data", "orders"):
        result = tailrace(*words, delivered)
        assert result.exit_code == 1
        assert "TR-ENG-001" in result.stderr
        assert shown(delivered) == before


def test_teardown(delivered: Path) -> None:
    parts = ["slot log.slot", "checkpoint in out.json", "checkpoint in second.json"]
    dry = tailrace("teardown", delivered, "--dry-run")
    assert (dry.exit_code, dry.stdout.splitlines()) == (0, [f"would remove {part}" for part in parts])

    refused = tailrace("teardown", delivered, answer="n\n")
    assert refused.exit_code == 1
    assert refused.stdout.splitlines() == [f"to remove: {part}" for part in parts]
    assert "Remove all of this?" in refused.stderr
    assert shown(delivered)["file"] is not None

    done = tailrace("teardown", delivered, answer="y\n")
    assert done.exit_code == 0
    assert "warning: nothing keeps the log now (slot log.slot)\n" in done.stderr
    assert done.stdout.splitlines()[3:] == [f"removed {part}" for part in parts]
    assert shown(delivered) == {"file": None, "second": None}
    assert not delivered.with_name("log.slot").exists()
    assert tailrace("teardown", delivered, "--yes").stdout == "nothing is there\n"
    assert tailrace("run", delivered, "--until-current").exit_code == 0
