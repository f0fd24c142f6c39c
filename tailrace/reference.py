"""The reference pages, made from the register of error codes, the declarations of the settings and the
commands themselves.

`python -m tailrace.reference docs` writes `errors.md`, `settings.md` and `cli.md` into that folder.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import click

from tailrace.abc import Declaration
from tailrace.cli.main import main
from tailrace.config.model import PipelineKeys, SinkKeys, TransformKeys
from tailrace.errors import registered_codes
from tailrace.service.metrics import DECLARED

_GENERATED: Final = "<!-- Written by `make docs` from the source code; change it there. -->\n"
# Whatever terminal makes the page.
_WIDTH: Final[Mapping[str, Any]] = {"terminal_width": 100, "max_content_width": 100}
_AREAS: Final = {
    "CKPT": "Checkpoints",
    "CLI": "Command line",
    "CONF": "Configuration",
    "CTL": "The control socket",
    "DEMO": "The demo",
    "ENG": "Engine",
    "FMT": "Formats",
    "HTTP": "HTTP",
    "KAFKA": "Kafka",
    "LOG": "Embedded log",
    "MY": "MySQL and MariaDB",
    "OFF": "Offset stores",
    "PG": "PostgreSQL",
    "SHAPE": "Transforms",
    "SINK": "Sinks",
    "SQLITE": "SQLite",
}
_GROUPS: Final = {
    "sources": ("Sources", "`source:`"),
    "sinks": ("Sinks", "an item of `sinks:`, beside the keys that every sink has"),
    "formats": ("Formats", "`format:` of a sink"),
    "transforms": ("Transforms", "an item of `transforms:`, beside the keys that every transform has"),
    "offsets": ("Offset stores", "`offsets:`"),
}


def errors_page() -> str:
    """Every error code with its meaning. Imports all of tailrace and its built-in plugins for that."""
    for package in sorted({"tailrace", *(entry.value.partition(".")[0] for _, entry in _built_in())}):
        _import_all(package)
    lines = [
        "# Error codes",
        _GENERATED,
        "Every error names its code, where it was met, what was found and what to do. Here stands what the",
        "codes mean.",
    ]
    for area, codes in groupby(registered_codes(), key=lambda code: code.id.split("-")[1]):
        lines += ["", f"## {_AREAS[area]}", "", "| code | title | meaning |", "|---|---|---|"]
        lines += [f"| {code.id} | {_cell(code.title)} | {_cell(code.meaning)} |" for code in codes]
    return "\n".join(lines) + "\n"


def settings_page() -> str:
    """Every key of a pipeline's file, the built-in plugins' settings included."""
    lines = [
        "# Settings",
        _GENERATED,
        "Values may hold `${NAME}` or `${NAME:-default}`, filled in from the environment; `$${` is a literal",
        "`${`. Relative paths are relative to the file.",
        "",
        "An editor with YAML support completes the keys and checks them as you type if the file begins with",
        "`# yaml-language-server: $schema=tailrace.schema.json` and that file was written beside it by",
        "`tailrace schema > tailrace.schema.json`, which knows the plugins that are installed.",
        "",
        "## The file",
        *_table(PipelineKeys),
        "",
        "## Every sink",
        *_table(SinkKeys, {"name": "its type"}),
        "",
        "## Every transform",
        *_table(TransformKeys),
    ]
    for group, entries in groupby(_built_in(), key=lambda item: item[0]):
        title, place = _GROUPS[group]
        lines += ["", f"## {title}"]
        for _, entry in entries:
            lines += ["", f"### {entry.name}", "", f"`type: {entry.name}`, in {place}."]
            lines += _table(entry.load().Settings)
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """Every command as its own --help shows it."""
    lines = [
        "# Commands",
        _GENERATED,
        "What `--help` shows of each command. Those that read take `--json`; data goes to stdout, everything",
        "else to stderr. Exit codes: 0 done, 1 failed, 2 wrong usage or configuration, 130 interrupted.",
    ]
    for path, command, context in _commands(main, _context(main, "tailrace", None)):
        lines += ["", f"## {path}", "", "```text", *command.get_help(context).splitlines(), "```"]
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric of `run --http`."""
    lines = [
        "# Metrics",
        _GENERATED,
        "What `tailrace run FILE --http HOST:PORT` answers at `/metrics`. Each has the label `pipeline`",
        "beside those below. Counters begin at 0 with each run.",
        "",
        "| name | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for one in DECLARED:
        labels = ", ".join(f"`{label}`" for label in one.labels)
        lines.append(f"| `{one.exposed}` | {one.kind} | {labels} | {_cell(one.help)} |")
    return "\n".join(lines) + "\n"


def write_pages(folder: Path) -> None:
    """Write all pages."""
    (folder / "errors.md").write_text(errors_page())
    (folder / "settings.md").write_text(settings_page())
    (folder / "cli.md").write_text(commands_page())
    (folder / "metrics.md").write_text(metrics_page())


def _commands(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None, name
            yield from _commands(inner, _context(inner, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None) -> click.Context:
    return click.Context(command, parent, name, **{**command.context_settings, **_WIDTH})


def _built_in() -> Iterator[tuple[str, EntryPoint]]:
    for group in _GROUPS:
        for entry in sorted(entry_points(group=f"tailrace.{group}"), key=lambda entry: entry.name):
            if entry.dist is not None and entry.dist.name == "tailrace":
                yield group, entry


def _import_all(package: str) -> None:
    """Codes are registered where they are raised: only a module that was imported has told its own."""
    for module in pkgutil.walk_packages(import_module(package).__path__, f"{package}."):
        if not module.name.endswith("__main__") and not module.name.startswith("tailrace.testing"):
            import_module(module.name)


def _table(declaration: type[Declaration], defaults: Mapping[str, str] = {}) -> list[str]:
    """The keys of a declaration, and below it those of the declarations inside of it."""
    schema = declaration.model_json_schema()
    lines = _rows(schema, defaults)
    for name, nested in schema.get("$defs", {}).items():
        if "properties" in nested:
            lines += ["", f"{name}:", *_rows(nested, {})]
    return lines


def _rows(schema: Mapping[str, Any], defaults: Mapping[str, str]) -> list[str]:
    if not schema.get("properties"):
        return ["", "It has no settings."]
    lines = ["", "| key | value | default | meaning |", "|---|---|---|---|"]
    for key, field in schema["properties"].items():
        required = key in schema.get("required", ())
        default = defaults.get(key, "required" if required else _default(field))
        lines.append(
            f"| `{key}` | {_cell(_kind(field))} | {default} | {_cell(field.get('description', ''))} |"
        )
    return lines


def _default(field: Mapping[str, Any]) -> str:
    value = field.get("default")
    if value in (None, "", [], {}):
        return "" if "Default:" in field.get("description", "") else "none"
    if isinstance(value, dict):
        return "see below"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _kind(field: Mapping[str, Any]) -> str:
    """A JSON Schema in a few words."""
    if "$ref" in field:
        return str(field["$ref"]).rpartition("/")[2]
    if "anyOf" in field:
        kinds = [_kind(option) for option in field["anyOf"] if option.get("type") != "null"]
        return " or ".join(kinds)
    if "enum" in field or "const" in field:
        return ", ".join(f"`{value}`" for value in field.get("enum", [field.get("const")]))
    if field.get("writeOnly"):
        return "secret"
    if field.get("type") == "array":
        return f"list of {_kind(field.get('items', {}))}"
    name = {"object": "mapping", "string": "text", "boolean": "`true` or `false`"}.get(
        field.get("type", ""), field.get("type", "any value")
    )
    name = {"path": "path"}.get(field.get("format", ""), name)
    bounds = {"minimum": "at least", "maximum": "at most", "exclusiveMinimum": "more than"}
    limits = [f"{words} {field[bound]}" for bound, words in bounds.items() if bound in field]
    return ", ".join([name, *limits])


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


if __name__ == "__main__":
    write_pages(Path(sys.argv[1] if len(sys.argv) > 1 else "docs"))
