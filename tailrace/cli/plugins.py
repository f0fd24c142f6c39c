"""`tailrace plugins`: what is installed, and who provides it."""

from __future__ import annotations

from itertools import groupby
from typing import Any

import click

from tailrace.cli.output import json_option, write, write_json
from tailrace.plugins import Installed, installed


@click.command(short_help="List the installed sources, sinks, offset stores and formats.")
@json_option
def plugins(as_json: bool) -> None:
    """List the installed sources, sinks, offset stores, formats and transforms, each with the package that
    provides it.

    One that cannot be loaded is listed with the reason, and keeps nothing else from working.
    """
    found = installed()
    if as_json:
        write_json([_as_json(plugin) for plugin in found])
        return
    width = max((len(plugin.name) for plugin in found), default=0)
    for group, members in groupby(found, key=lambda plugin: plugin.group):
        write((group, "bold"))
        for plugin in members:
            package = f"{plugin.distribution} {plugin.version}".strip()
            write(f"  {plugin.name:<{width}}  {package}  ", (plugin.description, "dim"))
            if plugin.error is not None:
                write("  ", ("✗ ", "bold red"), f"{plugin.error.found} ({plugin.error.code.id})")
                write("    → ", plugin.error.remedy)


def _as_json(plugin: Installed) -> dict[str, Any]:
    return {
        "group": plugin.group,
        "name": plugin.name,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "description": plugin.description,
        "error": None if plugin.error is None else plugin.error.found,
    }
