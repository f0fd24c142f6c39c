"""The direction of imports: connectors, sinks and offsets build on the core, never the other way round."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What each part may import of this project, beside itself. The longest prefix of a module's name counts.
ALLOWED: dict[str, set[str]] = {
    "tailrace.types": set(),
    "tailrace.errors": set(),
    "tailrace.expressions": set(),
    "tailrace.failpoints": set(),
    "tailrace.redact": set(),
    "tailrace.printable": set(),
    "tailrace.amounts": set(),
    "tailrace.secrets": {"tailrace.abc", "tailrace.errors"},
    "tailrace.folders": set(),
    "tailrace.clients": {
        "tailrace.errors",
        "tailrace.folders",
        "tailrace.redact",
        "tailrace.failpoints",
        "tailrace.secrets",
    },
    "tailrace.clients.kafka": {
        "tailrace.abc",
        "tailrace.checkpoint",
        "tailrace.errors",
        "tailrace.failpoints",
    },
    "tailrace.clients.mysql": {"tailrace.errors", "tailrace.secrets", "tailrace.worker_thread"},
    "tailrace.events": {"tailrace.types", "tailrace.abc"},  # abc for its annotations alone
    "tailrace.checkpoint": {"tailrace.errors", "tailrace.events"},
    "tailrace.abc": {
        "tailrace.checkpoint",
        "tailrace.errors",
        "tailrace.events",
        "tailrace.redact",
    },
    "tailrace.hooks": {"tailrace.abc", "tailrace.errors", "tailrace.events", "tailrace.types"},
    "tailrace.topics": {"tailrace.errors", "tailrace.events"},
    "tailrace.patterns": set(),
    "tailrace.versions": {"tailrace.events"},
    "tailrace.tally": set(),
    "tailrace.transforms": {
        "tailrace.abc",
        "tailrace.errors",
        "tailrace.events",
        "tailrace.patterns",
        "tailrace.topics",
        "tailrace.types",
    },
    "tailrace.logs": {"tailrace.printable", "tailrace.redact"},
    "tailrace.plugins": {"tailrace.errors"},
    "tailrace.formats": {
        "tailrace",
        "tailrace.abc",
        "tailrace.errors",
        "tailrace.events",
        "tailrace.expressions",
        "tailrace.tally",
        "tailrace.topics",
        "tailrace.types",
        "tailrace.versions",
    },
    "tailrace.worker_thread": set(),
    "tailrace.claims": {"tailrace.checkpoint", "tailrace.errors", "tailrace.clients"},
    "tailrace.log": {
        "tailrace.abc",
        "tailrace.checkpoint",
        "tailrace.claims",
        "tailrace.clients",
        "tailrace.errors",
        "tailrace.events",
        "tailrace.failpoints",
        "tailrace.topics",
    },
    "tailrace.demo": {
        "tailrace.abc",
        "tailrace.claims",
        "tailrace.errors",
        "tailrace.events",
        "tailrace.hooks",
        "tailrace.log",
        "tailrace.types",
    },
    "tailrace.engine": {
        "tailrace.abc",
        "tailrace.checkpoint",
        "tailrace.errors",
        "tailrace.events",
        "tailrace.failpoints",
        "tailrace.folders",
        "tailrace.logs",
        "tailrace.patterns",
        "tailrace.versions",
    },
}
PLUGINS = ("connectors", "sinks", "offsets")


def modules(*folders: str) -> Iterator[tuple[str, Path]]:
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
            yield name, path


def imports(path: Path) -> Iterator[str]:
    """The full names that a module imports, wherever in the file the import stands."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            for alias in node.names:
                submodule = ROOT.joinpath(*(node.module or "").split("."), alias.name)
                is_module = submodule.is_dir() or submodule.with_suffix(".py").is_file()
                yield f"{node.module}.{alias.name}" if is_module else str(node.module)


def within(name: str, part: str) -> bool:
    return name == part or name.startswith(part + ".")


def is_ours(name: str) -> bool:
    return name.split(".")[0] in ("tailrace", *PLUGINS, "tests", "bench")


@pytest.mark.parametrize(("name", "path"), list(modules("tailrace")))
def test_the_core_knows_no_plugin(name: str, path: Path) -> None:
    assert not [found for found in imports(path) if found.split(".")[0] in (*PLUGINS, "tests", "bench")]


@pytest.mark.parametrize(("name", "path"), list(modules("tailrace")))
def test_parts_of_the_core_import_only_what_is_below_them(name: str, path: Path) -> None:
    parts = [part for part in ALLOWED if within(name, part)]
    if not parts:
        return  # the command line, the configuration and the acceptance suites stand on top of everything
    part = max(parts, key=len)
    strangers = {
        found
        for found in imports(path)
        if is_ours(found)
        and not within(found, part)
        and not any(found == one or (one != "tailrace" and within(found, one)) for one in ALLOWED[part])
    }
    assert not strangers


@pytest.mark.parametrize(("name", "path"), list(modules(*PLUGINS)))
def test_plugins_import_the_core_and_themselves(name: str, path: Path) -> None:
    """A plugin is a module or a folder right below its package; plugins never import each other."""
    plugin = ".".join(name.split(".")[:2])
    strangers = {
        found
        for found in imports(path)
        if is_ours(found) and not within(found, "tailrace") and not within(found, plugin)
    }
    assert not strangers


@pytest.mark.parametrize(("name", "path"), list(modules(*PLUGINS)))
def test_plugins_leave_the_engine_alone(name: str, path: Path) -> None:
    forbidden = ("tailrace.engine", "tailrace.config", "tailrace.cli")
    assert not [found for found in imports(path) if any(within(found, part) for part in forbidden)]
