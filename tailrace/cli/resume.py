"""`tailrace resume`: go on after a pause."""

from __future__ import annotations

import click

from tailrace.cli.control import ask, pipeline_argument
from tailrace.cli.output import write


@click.command(short_help="Go on after a pause.")
@pipeline_argument
def resume(pipeline: str) -> None:
    """Have a paused pipeline go on."""
    report = ask(pipeline, "resume")
    write(f"{report.name} goes on")
