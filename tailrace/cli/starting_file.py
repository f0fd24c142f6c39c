"""The text of a starting file: valid YAML, with what a person should know in its comments."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import yaml

from tailrace.abc import Finding
from tailrace.hooks import DiscoveredTable, Discovery
from tailrace.redact import redact

# Read as themselves by every version of YAML: no words that one of them takes for something else.
_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*[.:/@_-][A-Za-z0-9._:/@?=&-]*[A-Za-z0-9]")
_MOST_PLAIN: Final = 100  # characters; PyYAML and people both break longer ones


def pipeline_name(database: str) -> str:
    """A pipeline's name after the database's."""
    name = re.sub(r"[^a-z0-9_]+", "_", database.lower()).strip("_")[:50]
    if not name:
        return "pipeline"
    return name if name[0].isalpha() else f"db_{name}"[:50]


def render(kind: str, name: str, discovery: Discovery, file: str, findings: Sequence[Finding]) -> str:
    """The file. `findings` are those of the source's own check of what the file asks for."""
    return "".join(f"{line}\n" for line in _lines(kind, name, discovery, file, findings))


def _lines(
    kind: str, name: str, discovery: Discovery, file: str, findings: Sequence[Finding]
) -> Iterator[str]:
    yield _comment(f"A file to start with, made from {discovery.server}.")
    yield "#"
    for variable in discovery.variables:
        yield _comment(f"  export {variable}=…")
    for command in ("doctor", "run"):
        yield _comment(f"  tailrace {command} {shlex.quote(file)}")
    if any(finding.error or finding.warning for finding in findings):
        yield "#"
        yield "# What was found on the server:"
        for finding in findings:
            yield from _finding(finding)
    yield f"name: {_scalar(name)}"
    yield ""
    yield "source:"
    yield f"  type: {kind}"
    for key, value in discovery.settings.items():
        yield f"  {key}: {_scalar(value)}"
    if discovery.tables is not None:
        yield from _tables(discovery.tables, discovery.others)
    yield ""
    yield "sinks:"
    yield "  - type: log               # an embedded event log: one file, nothing else to run"
    yield f"    {f'path: data/{name}.db':<23} # relative to this file"
    yield "    format: plain           # numbers to read; without this line, Debezium's envelope and Base64"
    yield "  # - type: kafka           # or a topic per table; all settings: docs/settings.md"
    yield "  #   bootstrap_servers: 127.0.0.1:9092"


def _finding(finding: Finding) -> Iterator[str]:
    if finding.error is None and not finding.warning:
        return
    mark = "✗" if finding.error is not None else "!"
    yield _comment(f"  {mark} {finding.title}: {finding.found}")
    remedy = finding.remedy or (finding.error.remedy if finding.error is not None else "")
    if remedy:
        yield _comment(f"    → {remedy}")


def _tables(tables: Sequence[DiscoveredTable], others: Sequence[str]) -> Iterator[str]:
    if not tables and not others:
        yield "  # No table is there yet. Patterns: schema.table, with * for any characters."
    yield "  tables:"
    capturable = [table for table in tables if table.error is None]
    width = max((len(_scalar(_literal(table.pattern))) for table in capturable), default=0)
    for table in tables:
        yield from _table(table, min(width, 40))
    if not capturable:
        yield '    - "*.*"  # every table that can be captured: none yet'
    for other in others:
        yield _comment(f"not {other}", indent=4)


def _table(table: DiscoveredTable, width: int) -> Iterator[str]:
    item = _scalar(_literal(table.pattern))
    if table.error is None:
        yield f"    - {item:<{width}}  {_comment(table.facts)}"
        return
    yield _comment(f"- {item}  # {table.facts}", indent=4)
    yield _comment(f"    ✗ {table.error.found}", indent=4)
    yield _comment(f"    → {table.error.remedy}", indent=4)


def _literal(text: str) -> str:
    """A text that is no reference to a variable."""
    return text.replace("${", "$${")


def _scalar(value: Any) -> str:
    """A value in a mapping or a list, on one line."""
    if isinstance(value, Mapping | list | tuple):
        return yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=2**30).strip()
    if not isinstance(value, str):
        return yaml.safe_dump(value, width=2**30).removesuffix("\n...\n").strip()
    if value.isidentifier() and value.isascii() and value.lower() not in _WORDS:
        return value
    if len(value) <= _MOST_PLAIN and _PLAIN.fullmatch(value) and ": " not in value:
        return value
    if re.fullmatch(r"\$\{[A-Z_]+\}", value):
        return value
    return yaml.safe_dump(value, default_style='"', allow_unicode=True, width=2**30).strip()


_WORDS: Final = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"}


def _comment(text: str, indent: int = 0) -> str:
    """One line that is a comment whatever the text holds, and shows no password."""
    shown = "".join(character if character.isprintable() else "�" for character in redact(text))
    return f"{' ' * indent}# {shown}"
