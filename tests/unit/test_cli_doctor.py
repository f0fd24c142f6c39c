"""`tailrace doctor`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from click.testing import CliRunner, Result

import tailrace
from tailrace.cli.main import main
from tests.plugins import environment

HOME = Path(tailrace.__file__).parent.parent


def doctor(file: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["doctor", str(file), *words])


def test_everything_is_ready(pipeline_file: Path) -> None:
    result = doctor(pipeline_file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines() == [
        "tailrace",
        f"  ✓ installation: tailrace {tailrace.__version__} in {HOME}",
        "source",
        "  ✓ log: 0 transactions",
        "file",
        f"  ✓ folder: {pipeline_file.parent}",
        "  ✓ checkpoint: nothing delivered yet",
        "start",
        "  ✓ positions: none yet: it will be a first start",
        "all 5 checks passed",
    ]


def test_nothing_is_changed(pipeline_file: Path) -> None:
    before = sorted(pipeline_file.parent.iterdir())
    assert doctor(pipeline_file).exit_code == 0
    assert sorted(pipeline_file.parent.iterdir()) == before


def test_a_fault_has_its_fix(pipeline_file: Path) -> None:
    log = pipeline_file.with_name("log.txt")
    log.unlink()
    result = doctor(pipeline_file)
    assert result.exit_code == 1
    assert f"  ✗ log: {log} does not exist (TR-TEST-010)\n    → Create it.\n" in result.stdout
    assert result.stdout.endswith("1 of 4 checks failed\n")


def test_a_target_that_is_away_is_told_once(pipeline_file: Path) -> None:
    sink = "{type: kafka, bootstrap_servers: '127.0.0.1:1'}"
    pipeline_file.write_text(f"{pipeline_file.read_text()}  - {sink}\n")
    result = doctor(pipeline_file)
    assert result.exit_code == 1
    assert result.stdout.count("TR-KAFKA-001") == 1
    assert "Unable to bootstrap from 127.0.0.1:1\n" in result.stdout


def test_a_warning_keeps_nothing_from_starting(pipeline_file: Path) -> None:
    pipeline_file.write_text(pipeline_file.read_text().replace("out.json", "not/there/out.json"))
    result = doctor(pipeline_file)
    assert result.exit_code == 0
    assert "  ! folder: will be missed\n    → mkdir " in result.stdout


LINES = "type: lines, path: out.txt"


def test_an_offset_store_is_a_check_of_the_sinks_that_need_it(pipeline_file: Path) -> None:
    pipeline_file.write_text(pipeline_file.read_text().replace("type: file, path: out.json", LINES))
    store = pipeline_file.parent / "data" / "offsets.db"
    result = doctor(pipeline_file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert f"lines\n  ✓ offset store {store}: will be made\n" in result.stdout
    assert not store.parent.exists()


def test_an_offset_store_that_cannot_be_made(pipeline_file: Path) -> None:
    log = pipeline_file.with_name("log.txt")
    text = pipeline_file.read_text().replace("type: file, path: out.json", LINES)
    pipeline_file.write_text(f"{text}offsets: {{type: sqlite, path: log.txt/offsets.db}}\n")
    result = doctor(pipeline_file)
    assert result.exit_code == 1
    assert f"✗ offset store {log}/offsets.db: {log} is not a folder (TR-SQLITE-003)" in result.stdout


def test_an_offset_store_that_is_something_else(pipeline_file: Path) -> None:
    text = pipeline_file.read_text().replace("type: file, path: out.json", LINES)
    pipeline_file.write_text(f"{text}offsets: {{type: sqlite, path: notes.txt}}\n")
    pipeline_file.with_name("notes.txt").write_text("the notes of somebody\n" * 100)
    result = doctor(pipeline_file)
    assert result.exit_code == 1
    assert f"✗ offset store {pipeline_file.with_name('notes.txt')}: " in result.stdout
    assert "(TR-SQLITE-005)" in result.stdout


def test_json(pipeline_file: Path) -> None:
    log = pipeline_file.with_name("log.txt")
    log.unlink()
    result = doctor(pipeline_file, "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["pipeline"] == "orders"
    assert [check for check in told["checks"] if check["verdict"] != "ok"] == [
        {
            "part": "source",
            "check": "log",
            "verdict": "fault",
            "found": f"{log} does not exist",
            "code": "TR-TEST-010",
            "remedy": "Create it.",
        }
    ]


def test_a_package_of_another_origin(pipeline_file: Path, file_plugins: Path, tmp_path: Path) -> None:
    stranger = tmp_path / "path" / "connectors"
    stranger.mkdir(parents=True)
    (stranger / "__init__.py").touch()
    known = environment(file_plugins, os.environ)
    result = subprocess.run(
        [sys.executable, "-m", "tailrace", "doctor", pipeline_file],
        env={**known, "PYTHONPATH": f"{stranger.parent}:{known['PYTHONPATH']}"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 1
    assert f"  ✗ package connectors: imported from {stranger} (TR-CLI-004)\n    → Remove" in result.stdout
