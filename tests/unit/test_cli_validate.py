"""`tailrace validate`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tailrace.cli.main import main
from tests.plugins import environment


def validate(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["validate", *map(str, words)])


def test_a_right_file(pipeline_file: Path) -> None:
    result = validate(pipeline_file)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == f"✓ {pipeline_file}: orders, from file to file\n"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_an_output_that_cannot_write_every_character(
    pipeline_file: Path, file_plugins: Path, encoding: str
) -> None:
    bad = pipeline_file.with_name("q.yaml")
    bad.write_text("name: ordérs\n")
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", "validate", pipeline_file.parent],
        env=environment(file_plugins, {**os.environ, "PYTHONIOENCODING": encoding}),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 2
    mark, name = ("✓".encode(encoding, "backslashreplace"), "ordérs".encode(encoding, "backslashreplace"))
    assert done.stdout == mark + f" {pipeline_file}: orders, from file to file\n".encode()
    assert b"name is '" + name + b"'" in done.stderr
    assert b"TR-CLI-001" not in done.stderr


def test_nothing_is_connected_or_made(pipeline_file: Path) -> None:
    pipeline_file.with_name("log.txt").unlink()
    assert validate(pipeline_file).exit_code == 0
    assert list(pipeline_file.parent.iterdir()) == [pipeline_file]


def test_every_fault_is_told(pipeline_file: Path) -> None:
    pipeline_file.write_text("name: A\nextra: 1\nsinks: []\n")
    result = validate(pipeline_file)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.count("error TR-CONF-") == 4
    assert (
        f"error TR-CONF-006: unknown key\n  at {pipeline_file}:2:1\n  extra\n  → Known here: "
        in result.stderr
    )
    assert result.stderr.endswith(f"4 faults in {pipeline_file}\n")


def test_a_folder(pipeline_file: Path) -> None:
    folder = pipeline_file.parent
    (folder / "q.yml").write_text(pipeline_file.read_text().replace("orders", "payments"))
    (folder / "r.yaml").write_text("name: X")
    (folder / "notes.txt").write_text("no configuration")
    result = validate(folder)
    assert result.exit_code == 2
    assert [line.split()[1] for line in result.stdout.splitlines()] == [
        f"{pipeline_file}:",
        f"{folder}/q.yml:",
    ]
    assert f"at {folder}/r.yaml:1:7" in result.stderr


def test_a_folder_with_one_pipeline_twice(pipeline_file: Path) -> None:
    second = pipeline_file.with_name("q.yaml")
    second.write_text(pipeline_file.read_text())
    result = validate(pipeline_file.parent)
    assert result.exit_code == 2
    assert f"error TR-CONF-014: two pipelines of one name\n  at {second}\n  {pipeline_file}" in result.stderr


def test_several_files(pipeline_file: Path) -> None:
    """Each once, in the order in which they are named; those of one folder as if the folder was named."""
    folder = pipeline_file.parent
    second, twin = folder / "q.yml", folder / "r.yaml"
    second.write_text(pipeline_file.read_text().replace("orders", "payments"))
    twin.write_text(pipeline_file.read_text())
    result = validate(second, pipeline_file, folder / "none.yaml", folder, folder / "q.yml")
    assert result.exit_code == 2
    assert [line.split()[1] for line in result.stdout.splitlines()] == [f"{second}:", f"{pipeline_file}:"]
    assert f"error TR-CONF-014: two pipelines of one name\n  at {twin}\n  {pipeline_file}" in result.stderr
    assert f"at {folder}/none.yaml" in result.stderr
    assert result.stderr.count("error ") == 2


def test_files_of_one_name_in_different_folders(pipeline_file: Path) -> None:
    """They may be for two places."""
    other = pipeline_file.parent / "staging"
    other.mkdir()
    (other / "p.yaml").write_text(pipeline_file.read_text())
    assert validate(pipeline_file, other / "p.yaml").exit_code == 0


def test_a_folder_without_files(tmp_path: Path) -> None:
    result = validate(tmp_path)
    assert result.exit_code == 2
    assert "TR-CLI-003" in result.stderr


def test_json(pipeline_file: Path) -> None:
    bad = pipeline_file.with_name("q.yaml")
    bad.write_text(pipeline_file.read_text().replace("type: file, path", "type: fiel, path"))
    result = validate(pipeline_file.parent, "--json")
    assert (result.exit_code, result.stderr) == (2, "")
    right, wrong = json.loads(result.stdout)
    assert right == {"file": str(pipeline_file), "pipeline": "orders", "valid": True, "faults": []}
    assert (wrong["file"], wrong["pipeline"], wrong["valid"]) == (str(bad), None, False)
    source, _sink = wrong["faults"]
    assert source["code"] == "TR-CONF-010"
    assert source["where"] == f"{bad}:2:16"
    assert source["title"] == "unknown type"
    assert source["found"] == "no source is called 'fiel'"
    assert source["remedy"].startswith("Did you mean file? Installed are: ")


@pytest.mark.parametrize(
    "servers", ["u:hunter2@h", "u:hunter2@h:9092", "u:x,hunter2@h:9092", "a:9092,kafka://u:x hunter2@h:9092"]
)
@pytest.mark.parametrize("command", ["validate", "run", "doctor"])
def test_no_login_of_a_broker_is_shown(pipeline_file: Path, servers: str, command: str) -> None:
    with pipeline_file.open("a") as file:
        file.write(f"  - {{type: kafka, bootstrap_servers: '{servers}'}}\n")
    result = CliRunner().invoke(main, [command, str(pipeline_file)])
    assert result.exit_code == 2
    assert "without a login" in result.stderr
    assert "hunter2" not in result.output


def test_no_secret_is_in_the_json(pipeline_file: Path) -> None:
    pipeline_file.write_text("name: x\nsource: {type: 'a://u:x hunter2@h'}\nsinks: ['a://u:x hunter2@h']\n")
    result = validate(pipeline_file, "--json")
    assert [fault["code"] for fault in json.loads(result.stdout)[0]["faults"]] == [
        "TR-CONF-010",
        "TR-CONF-008",
    ]
    assert "hunter2" not in result.stdout


def test_a_remedy_is_a_sentence_and_no_page(tmp_path: Path) -> None:
    """What the reference says at length of a setting is not repeated for each slip in it."""
    file = tmp_path / "p.yaml"
    file.write_text(
        "name: shop\n"
        "source: {type: postgres, url: 'postgresql://a@b/c', tables: [orders], snapshot: never}\n"
        "sinks: [{type: stdout}]\n"
    )
    (fault,) = json.loads(validate(file, "--json").stdout)[0]["faults"]
    assert fault["found"] == "tables: 'orders' is not schema.table, as in public.orders or audit.*"
    assert fault["remedy"].startswith("The tables to capture, as patterns: `schema.table`, ")
    assert fault["remedy"].endswith('`public.Orders` is the table "Orders".')
