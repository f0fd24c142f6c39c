"""`tailrace stop`: deliver what was read, then leave."""

from __future__ import annotations

import click

from tailrace.cli.control import ask, pipeline_argument
from tailrace.cli.output import write


@click.command(short_help="Deliver what was read, then leave.")
@pipeline_argument
def stop(pipeline: str) -> None:
    """Have a running pipeline deliver what it has read and leave, as SIGTERM does.

    Waits until it has left.
    """
    report = ask(pipeline, "stop")
    write(f"{report.name} has stopped")
