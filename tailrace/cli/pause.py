"""`tailrace pause`: read nothing more for a while."""

from __future__ import annotations

import click

from tailrace.cli.control import ask, pipeline_argument
from tailrace.cli.output import write


@click.command(short_help="Read nothing more for a while.")
@pipeline_argument
def pause(pipeline: str) -> None:
    """Have a running pipeline read nothing more until `tailrace resume`.

    What it has read still becomes durable. The connection to the database stays. A PostgreSQL keeps its log
    meanwhile; MySQL and MariaDB remove what is old, read or not: see `tailrace status` for how much there is,
    and for how long. A pipeline that is started anew is not paused."""
    report = ask(pipeline, "pause")
    write(
        f"{report.name} is paused: nothing more is read until it is resumed; tailrace status {report.name} "
        "tells how much log waits, and how long the server keeps it"
    )
