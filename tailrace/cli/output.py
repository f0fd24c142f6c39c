"""How commands write: data on stdout, everything else on stderr; styled on a terminal only."""

from __future__ import annotations

import io
import re
import shlex
import sys
from typing import Any, Final

import click
import msgspec

from tailrace.printable import printable


class _Stderr(io.FileIO):
    """Standard error that never fails: a disk that is full or a reader that left must not end what writes
    there. With room again it goes on."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data) or len(data)  # None: a pipe that is full, and set not to block
        except OSError:
            return len(data)


def prepare_streams() -> None:
    """Once a process, before anything is written."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # as stderr is: no encoding has every character
    first = sys.__stderr__
    if first is not None and sys.stderr is first:  # else it is closed, or somebody has put his own there
        raw = io.BufferedWriter(_Stderr(first.fileno(), "wb", closefd=False))
        sys.stderr = io.TextIOWrapper(raw, first.encoding, first.errors, line_buffering=True)


def write_json(data: Any) -> None:
    """Data for programs, indented all the same."""
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2))


def write(*parts: str | tuple[str, str], err: bool = False) -> None:
    """One line for people; a part is a text, or a text with its style. Nothing in it commands a terminal."""
    from rich.console import Console  # takes its time, and most commands say nothing here
    from rich.text import Text

    styled = [(part, "") if isinstance(part, str) else part for part in parts]
    line = Text.assemble(*[(printable(text, lines=True), style) for text, style in styled])
    Console(file=sys.stderr if err else sys.stdout, highlight=False).print(line, soft_wrap=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")
_PIPELINE_FILE: Final = "tailrace.pipeline_file"  # a key of the context's `meta`
_COMMAND: Final = re.compile(r"\b(tailrace [a-z]+(?: [a-z]+)?) FILE\b")


def _remember(context: click.Context, _: click.Parameter, file: str) -> str:
    context.meta[_PIPELINE_FILE] = file  # one mapping for a context and all around it
    return file


file_argument = click.argument("file", type=click.Path(dir_okay=False), callback=_remember)


def with_file(remedy: str) -> str:
    """A remedy whose commands name the file that this command was given, ready to be copied: whoever found
    what is wrong does not know it, and writes FILE."""
    context = click.get_current_context(silent=True)
    file = None if context is None else context.meta.get(_PIPELINE_FILE)
    return remedy if file is None else _COMMAND.sub(lambda found: f"{found[1]} {shlex.quote(file)}", remedy)
