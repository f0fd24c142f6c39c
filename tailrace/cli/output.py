"""How commands write: data on stdout, everything else on stderr; styled on a terminal only."""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec
from rich.console import Console
from rich.text import Text


def write_json(data: Any) -> None:
    """Data for programs, indented all the same."""
    click.echo(msgspec.json.format(msgspec.json.encode(data), indent=2))


def write(*parts: str | tuple[str, str], err: bool = False) -> None:
    """One line for people; a part is a text, or a text with its style."""
    line = Text.assemble(*parts)
    Console(file=sys.stderr if err else sys.stdout, highlight=False).print(line, soft_wrap=True)


json_option = click.option("--json", "as_json", is_flag=True, help="Write JSON for programs.")
file_argument = click.argument("file", type=click.Path(dir_okay=False))
