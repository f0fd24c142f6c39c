"""`tailrace plugins` and `tailrace completion`."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from tailrace import __version__
from tailrace.cli.main import COMMANDS, main
from tailrace.plugins import GROUPS


def test_every_plugin_is_listed_with_its_package(file_plugins: Path) -> None:
    result = CliRunner().invoke(main, ["plugins", "--json"])
    assert result.exit_code == 0
    listed = json.loads(result.stdout)
    found = {(plugin["group"], plugin["name"]): plugin for plugin in listed}
    own = found["sources", "postgres"]
    assert (own["distribution"], own["version"], own["error"]) == ("tailrace", __version__, None)
    assert "write-ahead log" in own["description"]
    assert found["transforms", "odd"]["distribution"] == "file-plugins"
    assert "Nothing" in found["sources", "broken"]["error"]
    assert all(plugin["description"] for plugin in listed if plugin["error"] is None)
    assert {plugin["group"] for plugin in listed} == {*GROUPS}


def test_for_people(file_plugins: Path) -> None:
    result = CliRunner().invoke(main, ["plugins"])
    assert result.exit_code == 0
    assert f"  kafka     tailrace {__version__}  The Kafka sink: " in result.stdout
    assert "  ✗ broken (tests.plugins:Nothing)" in result.stdout


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell: str) -> None:
    result = CliRunner().invoke(main, ["completion", shell])
    assert result.exit_code == 0
    assert "_TAILRACE_COMPLETE" in result.stdout
    if program := shutil.which(shell):
        assert subprocess.run([program, "-n"], input=result.stdout, text=True, check=False).returncode == 0


def complete(words: str, folder: Path) -> list[str]:
    """What bash is told for a line that ends in these words, of which the last is being typed."""
    done = subprocess.run(
        [sys.executable, "-c", "from tailrace.cli.main import main; main(prog_name='tailrace')"],
        env={
            **os.environ,
            "_TAILRACE_COMPLETE": "bash_complete",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
            "PYTHONWARNINGS": "error",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()


def test_what_is_completed(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "name: shop\n"
        "source: {type: postgres, url: postgresql://a@b/c, tables: [public.*], snapshot: never}\n"
        "sinks: [{type: log, name: one, path: a.db}, {type: log, name: two, path: b.db}]\n"
    )
    assert complete("tailrace ", tmp_path) == [f"plain,{command}" for command in COMMANDS]
    assert "plain,--until-current" in complete("tailrace run p.yaml --u", tmp_path)
    assert complete("tailrace run p", tmp_path) == ["file,p"]  # the shell's own completion of file names
    assert complete("tailrace offsets show p.yaml --sink t", tmp_path) == ["plain,two"]
    assert complete("tailrace offsets show none.yaml --sink t", tmp_path) == [""]
    assert complete("tailrace demo --source p", tmp_path) == ["plain,postgres"]
