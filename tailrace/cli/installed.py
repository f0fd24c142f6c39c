"""Whether the packages that came with tailrace are the ones that Python imports."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from importlib.metadata import entry_points
from pathlib import Path

import tailrace
from tailrace.abc import Finding
from tailrace.errors import Stop, code

FOREIGN_PACKAGE = code(
    "TR-CLI-004",
    "a package of another origin",
    "tailrace's connectors, sinks and offset stores are packages of their own beside it. Another "
    "distribution, or a folder of this name where the command was started, stands before one of them.",
)


def check_packages() -> Iterator[Finding]:
    """One finding if all top-level packages that hold built-in plugins are tailrace's own, else one for each
    that is not."""
    home = Path(tailrace.__file__).parent.parent
    built_in = {
        entry.value.partition(".")[0]
        for group in ("sources", "sinks", "offsets")
        for entry in entry_points(group=f"tailrace.{group}")
        if entry.dist is not None and entry.dist.name == "tailrace"
    }
    foreign = False
    for name in sorted(built_in):
        spec = importlib.util.find_spec(name)
        origin = Path(spec.origin).parent if spec is not None and spec.origin is not None else None
        if origin == home / name:
            continue
        foreign = True
        remedy = f"Remove or rename what provides it, or install tailrace again (it belongs into {home})."
        yield Finding(
            f"package {name}",
            f"imported from {origin}" if origin else "cannot be imported",
            error=Stop(FOREIGN_PACKAGE, f"{name} is imported from {origin or 'nowhere'}", remedy),
        )
    if not foreign:
        yield Finding("installation", f"tailrace {tailrace.__version__} in {home}")
