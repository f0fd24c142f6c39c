"""Plugins are found through entry points: built-ins and third parties through the same door."""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

from tailrace.errors import ConfigurationError, code

UNKNOWN_PLUGIN = code(
    "TR-CONF-010",
    "unknown type",
    "No installed package provides a source, sink, format or offset store of this name.",
)
BROKEN_PLUGIN = code(
    "TR-CONF-011",
    "plugin cannot be loaded",
    "A package announces a plugin that cannot be imported: it, or something it needs, is broken or missing.",
)


GROUPS: Final = ("sources", "sinks", "offsets", "formats", "transforms")
"""In the order in which people meet them."""


@dataclass(frozen=True, slots=True)
class Installed:
    """A plugin as a package announces it. `description` is the first line of the text at the top of its
    module; `error` says why it cannot be loaded."""

    group: str
    name: str
    distribution: str
    version: str
    description: str
    error: ConfigurationError | None


def installed() -> list[Installed]:
    """All plugins, by group and name. Loads each."""
    found = []
    for group in GROUPS:
        for entry in sorted(_entries(group), key=lambda entry: entry.name):
            description, error = "", None
            try:
                module = inspect.getmodule(load(group, entry.name))
                description = ((module and module.__doc__) or "").strip().partition("\n")[0]
            except ConfigurationError as broken:
                error = broken
            distribution = entry.dist
            found.append(
                Installed(
                    group,
                    entry.name,
                    distribution.name if distribution is not None else "",
                    distribution.version if distribution is not None else "",
                    description,
                    error,
                )
            )
    return found


def names(group: str) -> list[str]:
    """The names installed in a group (`sources`, `sinks`, `offsets`, `transforms`, `formats`), sorted."""
    return sorted({entry.name for entry in _entries(group)})


def load(group: str, name: str) -> Any:
    """The plugin class of a name. ConfigurationError where there is none, or it cannot be imported."""
    for entry in _entries(group):
        if entry.name == name:
            try:
                return entry.load()
            except (ImportError, AttributeError) as error:
                raise ConfigurationError(
                    BROKEN_PLUGIN,
                    f"{name} ({entry.value}): {error}",
                    "Install it again, with its extra if it has one.",
                ) from error
    raise ConfigurationError(
        UNKNOWN_PLUGIN,
        f"no {group.removesuffix('s')} is called {name!r}",
        f"Installed are: {', '.join(names(group)) or 'none'}.",
    )


def _entries(group: str) -> tuple[EntryPoint, ...]:
    return _announced(tuple(sys.path))[group]


@cache
def _announced(path: tuple[str, ...]) -> dict[str, tuple[EntryPoint, ...]]:
    """What the packages on the path announce, by group. A look reads a file of every one of them, and each
    block of a pipeline's file asks for a plugin."""
    everything = entry_points()
    return {group: tuple(everything.select(group=f"tailrace.{group}")) for group in GROUPS}
