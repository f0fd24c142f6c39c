"""`tailrace init`: looks at a database and writes a file to start with."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from tailrace import plugins
from tailrace.abc import Finding
from tailrace.cli.output import write
from tailrace.cli.starting_file import pipeline_name, render
from tailrace.config import loads, make_source
from tailrace.errors import ConfigurationError, Stop, code
from tailrace.hooks import Discovery
from tailrace.redact import redact

UNKNOWN_SCHEME = code(
    "TR-CLI-040",
    "no source for this URL",
    "No installed source connector can look at a server that is named in this way.",
)
FILE_EXISTS = code(
    "TR-CLI-041", "the file exists", "A file that somebody has written is never replaced by a starting file."
)

_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*)://")


@click.command(short_help="Look at a database, and write a file to start with.")
@click.argument("url")
@click.option(
    "-o", "--output", metavar="FILE", type=click.Path(path_type=Path), help="Write there, not to stdout."
)
@click.option("--name", metavar="NAME", help="Name of the pipeline. Default: the database's.")
def init(url: str, output: Path | None, name: str | None) -> None:
    """Look at the database behind a URL, and write a pipeline's file to start with.

    The file names every table that can be captured, and says in comments how large it is and what its key
    is; what cannot be captured stands there as a comment, with the reason and what mends it. So does
    everything that must be set up on the server before a first start. Nothing is changed on the server.

    A password in the URL stays out of the file, which refers to an environment variable instead; better
    still, leave it out of the URL and set PGPASSWORD (for MySQL and MariaDB: MYSQL_PWD).
    """
    if output is not None and output.exists():
        raise _exists(output)
    kind, plugin = _source_for(url)
    discovery: Discovery = asyncio.run(plugin.discover(url))
    pipeline = name or pipeline_name(discovery.name)
    file = str(output or f"{pipeline}.yaml")
    # The same eyes as doctor's: what would keep the file from running stands in it.
    environment = {**os.environ, **discovery.variables}
    config = loads(render(kind, pipeline, discovery, file, ()), file, environment)
    findings = asyncio.run(_check(make_source(config)))
    text = render(kind, pipeline, discovery, file, findings)
    loads(text, file, environment)
    if output is None:
        click.echo(text, nl=False)
    else:
        _create(output, text)
    _summary(discovery, findings, output)


def _source_for(url: str) -> tuple[str, Any]:
    """The source whose scheme the URL has: its name, and its plugin."""
    scheme = _SCHEME.match(url)
    known: dict[str, str] = {}
    for name in plugins.names("sources"):
        try:
            plugin = plugins.load("sources", name)
        except ConfigurationError:  # broken, which does not matter if it is not the one
            continue
        known |= dict.fromkeys(getattr(plugin, "schemes", ()), name)
    if scheme is None or scheme[1].lower() not in known:
        found = f"its scheme is {scheme[1]}" if scheme else "it has no scheme"
        remedy = f"Write one that begins with {' or '.join(f'{one}://' for one in known) or 'nothing: none'}."
        if url.lower().startswith("jdbc:"):
            found, remedy = "it is one of JDBC", f"Leave jdbc: out, and write user@ before the host. {remedy}"
        raise ConfigurationError(UNKNOWN_SCHEME, found, remedy)
    name = known[scheme[1].lower()]
    return name, plugins.load("sources", name)


async def _check(source: Any) -> Sequence[Finding]:
    try:
        findings: Sequence[Finding] = await source.check()
        return findings
    finally:
        await source.close()


def _create(output: Path, text: str) -> None:
    """Write the file; one that came to be meanwhile stays."""
    try:
        with output.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _exists(output) from None


def _exists(output: Path) -> Stop:
    return Stop(FILE_EXISTS, f"{output} is there already", "Name another file.", where=str(output))


def _summary(discovery: Discovery, findings: Sequence[Finding], output: Path | None) -> None:
    """What was found, on stderr: the file itself may be on stdout."""
    told = discovery.server
    if discovery.tables is not None:
        capturable = sum(table.error is None for table in discovery.tables)
        left_out = len(discovery.tables) - capturable
        told += f": {capturable} {'table' if capturable == 1 else 'tables'} can be captured"
        told += f", {left_out} cannot as {'it is' if left_out == 1 else 'they are'}" if left_out else ""
    write(told, err=True)
    for finding in findings:
        if finding.error is not None:
            write(("  ✗ ", "bold red"), redact(f"{finding.title}: {finding.found}"), err=True)
            write("    → ", redact(finding.remedy or finding.error.remedy), err=True)
    if output is not None:
        exports = "".join(f"export {name}=…; " for name in discovery.variables)
        write(("next: ", "bold"), f"{exports}tailrace doctor {output}", err=True)
