"""The command as a whole: its help, its exit codes, and how errors are told."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tailrace import __version__
from tailrace.cli.failure import report
from tailrace.cli.main import COMMANDS, main
from tailrace.errors import Code, TailraceError
from tests.plugins import environment
from tests.waiting import wait_until


def commands(group: click.Group, path: str = "tailrace") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_version() -> None:
    assert CliRunner().invoke(main, ["--version"]).output == f"tailrace {__version__}\n"


def test_the_help_names_every_command_in_its_order() -> None:
    listed = re.findall(r"^  ([a-z]+)  ", CliRunner().invoke(main, ["--help"]).output, re.M)
    assert listed == list(COMMANDS)


@pytest.mark.parametrize(("path", "command"), list(commands(main)), ids=[path for path, _ in commands(main)])
def test_every_command_and_option_is_explained(path: str, command: click.Command) -> None:
    assert command.help
    assert command.name == path.split()[-1]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name
    result = CliRunner().invoke(main, [*path.split()[1:], "--help"])
    assert result.exit_code == 0
    assert max(map(len, result.output.splitlines())) <= 100


@pytest.mark.parametrize(
    "words", [["nonsense"], ["validate"], ["run", "--nonsense", "f"], ["offsets", "nonsense"]]
)
def test_wrong_usage_is_exit_code_2(words: list[str]) -> None:
    result = CliRunner().invoke(main, words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.startswith("Usage: ")


def test_a_slip_in_a_command_is_guessed() -> None:
    result = CliRunner().invoke(main, ["valdate", "p.yaml"])
    assert result.exit_code == 2
    assert "Did you mean validate?" in result.stderr
    assert "Did you mean" not in CliRunner().invoke(main, ["xyz"]).stderr


def test_an_error_has_code_place_finding_and_remedy(tmp_path: Path) -> None:
    result = CliRunner().invoke(main, ["run", str(tmp_path / "none.yaml")])
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        "error TR-CONF-001: file cannot be read\n"
        f"  at {tmp_path}/none.yaml\n"
        "  No such file or directory\n"
        "  → Check the path and its permissions.\n"
    )


def test_an_error_of_the_run_is_exit_code_1(pipeline_file: Path) -> None:
    pipeline_file.with_name("log.txt").unlink()
    result = CliRunner().invoke(main, ["run", str(pipeline_file)])
    assert result.exit_code == 1
    assert "error TR-TEST-010: no log\n" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("debug", [False, True])
def test_a_traceback_is_for_those_who_ask(pipeline_file: Path, debug: bool) -> None:
    pipeline_file.with_name("out.json").write_text("not what the sink wrote")
    words = ["offsets", "show", str(pipeline_file)]
    result = CliRunner().invoke(main, [*words, "--debug"] if debug else words)
    assert result.exit_code == 1
    assert "error TR-CLI-001: unexpected error\n  DecodeError: " in result.stderr
    assert ("Traceback" in result.stderr) is debug
    assert ("--debug" in result.stderr.splitlines()[-1]) is not debug


def test_what_the_system_refuses_is_told_with_its_file(pipeline_file: Path) -> None:
    pipeline_file.write_text(pipeline_file.read_text() + "data_dir: log.txt\n")
    result = CliRunner().invoke(main, ["offsets", "reset", str(pipeline_file)])
    assert result.exit_code == 1
    assert "error TR-CLI-002: the operating system refused\n  File exists: " in result.stderr


def test_an_interrupt_is_exit_code_130(tmp_path: Path) -> None:
    fifo = tmp_path / "p.yaml"
    os.mkfifo(fifo)
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", "validate", fifo],
        env={**environment(tmp_path, os.environ), "PYTHONWARNINGS": ""},  # the file stays open, of course
        stderr=subprocess.PIPE,
    )

    def opened() -> int | None:
        with contextlib.suppress(OSError):  # as long as nobody reads there
            return os.open(fifo, os.O_WRONLY | os.O_NONBLOCK)
        return None

    try:
        writer = wait_until(opened, "the file to be opened")
        assert writer is not None
        process.send_signal(signal.SIGINT)
        # A signal that comes right before the process begins to read does not end the reading, so this does:
        # the interrupt goes before what was read.
        os.close(writer)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 130
    assert b"Traceback" not in errors


def test_nothing_in_an_error_commands_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """It may show a row, or what a peer says. Its lines stay lines."""
    title = Code("TR-TST-001", "it went wrong", "")
    error = TailraceError(title, "the row is \x1b[2J\rx\nand more", "Mend \x07it.", where="t\x9b1m")
    assert report(error, debug=False) == 1
    told = capsys.readouterr().err
    assert told.endswith("t\\u009b1m\n  the row is \\u001b[2J\\rx\nand more\n  → Mend \\u0007it.\n")
