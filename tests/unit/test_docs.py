"""What the texts show is valid: every block of YAML, every command line."""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import click
import jsonschema
import pytest
import yaml
from tailrace_example.directory import DirectorySource
from tailrace_example.sqlite import SqliteSink

from connectors.mysql.config import MariaDbSettings, MySqlSettings
from connectors.postgres.config import PostgresSettings
from tailrace import plugins
from tailrace.abc import Declaration
from tailrace.cli.main import main
from tailrace.config import loads
from tailrace.config.model import PipelineKeys, SinkKeys
from tailrace.config.schema import pipeline_schema
from tailrace.config.validation import MISSING_KEY
from tailrace.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").glob("*/README.md")),
]
CONFIGS = sorted((ROOT / "configs").rglob("*.yaml"))
WHOLE: dict[str, Any] = {
    "name": "shop",
    "source": {"type": "postgres", "url": "postgresql://a@b/c", "tables": ["public.*"], "snapshot": "never"},
    "sinks": [{"type": "log", "path": "log.db"}],
}
REFUSED = "# refused"
"""The first line of a block that shows what `validate` refuses."""


class Block(NamedTuple):
    place: str
    text: str


def blocks(language: str) -> Iterator[Block]:
    for page in PAGES:
        text = page.read_text() if page.exists() else ""
        for match in re.finditer(rf"^( *)```{language}\n(.*?)^\1```", text, re.M | re.S):
            line = text[: match.start()].count("\n") + 1
            yield Block(f"{page.relative_to(ROOT)}:{line}", match[2])


def faults(document: str) -> list[ConfigurationError]:
    """What `validate` finds, whatever is in the environment."""
    names = re.findall(r"\$\{(\w+)\}", document)  # without a default
    values = {"URL": "postgresql://a@b/c", "SERVERS": "h:1"}
    environment = {name: next((v for k, v in values.items() if k in name), "5") for name in names}
    try:
        loads(document, ROOT / "shown.yaml", environment)
    except ConfigurationError as error:
        return list(error.faults)
    return []


def completed(fragment: Any) -> Iterator[Mapping[str, Any]]:
    """The files that a part of a file may be meant for. A block is whole, or holds keys of the top; or it is
    an item of a list, or keys of one plugin, with or without its type."""
    if isinstance(fragment, list):
        yield {**WHOLE, "sinks": fragment}
        yield {**WHOLE, "transforms": fragment}
        return
    if fragment.keys() <= PipelineKeys.model_fields.keys():
        yield {**WHOLE, **fragment}
        return
    for group, place in (("sources", "source"), ("offsets", "offsets")):
        for name in plugins.names(group):
            yield {**WHOLE, place: {"type": name, **fragment}}
    for name in plugins.names("sinks"):
        yield {**WHOLE, "sinks": [{"type": name, **fragment}]}
    for name in plugins.names("formats"):
        yield {**WHOLE, "sinks": [{**WHOLE["sinks"][0], "format": {"type": name, **fragment}}]}
    for name in plugins.names("transforms"):
        yield {**WHOLE, "transforms": [{"type": name, **fragment}]}


@functools.cache
def schema_validator() -> jsonschema.Draft202012Validator:
    """Made once, where the plugins of the example are known."""
    return jsonschema.Draft202012Validator(pipeline_schema())


def told_by_schema(document: Mapping[str, Any]) -> str:
    """What an editor would mark, although the file is right."""
    errors = [error for error in schema_validator().iter_errors(document) if error.validator != "required"]
    return "; ".join(f"schema: {error.json_path}: {error.message}" for error in errors)


def is_right(text: str) -> str:
    """Empty, or what is wrong."""
    content = yaml.safe_load(text)
    if isinstance(content, dict) and WHOLE.keys() <= content.keys():
        return "; ".join(str(fault) for fault in faults(text)) or told_by_schema(content)
    told = []
    for document in completed(content):
        wrong = [str(fault) for fault in faults(yaml.safe_dump(document)) if fault.code is not MISSING_KEY]
        if not wrong:
            return told_by_schema(document)
        told.append("; ".join(wrong))
    return " | ".join(told) or "no place of a file takes it"


@pytest.fixture
def example_plugins(monkeypatch: pytest.MonkeyPatch) -> None:
    """The types of the example package, which is not installed here."""
    load, names = plugins.load, plugins.names
    known: dict[tuple[str, str], Any] = {
        ("sources", "directory"): DirectorySource,
        ("sinks", "sqlite"): SqliteSink,
    }
    monkeypatch.setattr(plugins, "load", lambda group, name: known.get((group, name)) or load(group, name))
    monkeypatch.setattr(
        plugins,
        "names",
        lambda group: sorted({*names(group), *(name for kind, name in known if kind == group)}),
    )


@pytest.mark.parametrize("block", list(blocks("ya?ml")), ids=lambda block: block.place)
def test_every_block_of_yaml_is_valid(block: Block, example_plugins: None) -> None:
    if block.text.startswith(REFUSED):
        assert is_right(block.text)
    else:
        assert is_right(block.text) == ""


@pytest.mark.parametrize("file", CONFIGS, ids=[str(file.relative_to(ROOT)) for file in CONFIGS])
def test_every_example_is_valid(file: Path) -> None:
    assert faults(file.read_text()) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name: shop\n", ""),
        ("type: kafka\npartitions: 3\n", ""),
        ("compression: lz4\n", ""),
        ("- type: log\n  path: a.db\n  retention_hours: 3\n", ""),
        ("delivery: at_least_once\n", ""),
        ("compression: lzma\n", "TR-CONF-008"),
        ("partition: 3\n", "TR-CONF-006"),
        ("name: Shop\n", "TR-CONF-008"),
        ("- type: lag\n", "TR-CONF-010"),
        (yaml.safe_dump({**WHOLE, "source": {"type": "postgres"}}), "TR-CONF-007"),
    ],
)
def test_a_part_of_a_file_is_recognized(text: str, said: str, example_plugins: None) -> None:
    found = is_right(text)
    assert said in found
    assert bool(found) == bool(said)


def test_the_code_about_plugins_is_that_of_the_example() -> None:
    """Each block of it stands, word for word, in the file that the line above it names."""
    page = (ROOT / "docs/plugins.md").read_text()
    shown = re.findall(r"^<!-- (\S+) -->\n```(?:python|toml)\n(.*?)^```", page, re.M | re.S)
    assert len(shown) == len(re.findall(r"^```(?:python|toml)$", page, re.M)) > 3
    for file, code in shown:
        text = (ROOT / "examples/tailrace-example" / file).read_text()
        assert code in text, (file, code)


@pytest.mark.parametrize(
    ("title", "sources", "least"),
    [
        ("Of the connectors for PostgreSQL, MySQL and MariaDB alike:", [PostgresSettings, MySqlSettings], 4),
        ("Of the one for PostgreSQL:", [PostgresSettings], 8),
        ("Of those for MySQL and MariaDB:", [MySqlSettings, MariaDbSettings], 8),
    ],
)
def test_what_takes_the_place_of_debeziums_settings_exists(
    title: str, sources: Sequence[type[Declaration]], least: int
) -> None:
    page = (ROOT / "docs/from-debezium.md").read_text()
    (table,) = re.findall(rf"^{title}\n\n((?:\|.*\n)+)", page, re.M)
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    named = {name for row in rows for name in re.findall(r"`source\.(\w+)`", row[1])}
    assert len(named) >= least
    for source in sources:
        assert named <= {"type", *source.model_fields}


def test_of_debeziums_names_none_is_told_twice() -> None:
    """Of one connector, what all have and what it alone has."""
    page = (ROOT / "docs/from-debezium.md").read_text()
    tables = [re.findall(r"^\| (`.*?) \| ", table, re.M) for table in page.split("\nOf ")[1:]]
    common, *own = [[name for row in table for name in re.findall(r"`([^`]+)`", row)] for table in tables]
    assert len(own) == 2
    for names in own:
        assert len({*common, *names}) == len(common) + len(names)


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every command line of tailrace in a block for a terminal, and in the head of an example."""
    for block in blocks("(?:console|sh|bash)"):
        for line in block.text.replace("\\\n", " ").splitlines():
            if found := re.match(r"\s*[$#] (?:\w+=\S+ )*tailrace( .*)?$", line):
                yield block.place, _words(found[1] or "")
    for file in CONFIGS:
        for found in re.finditer(r"^#   tailrace (.*)$", file.read_text(), re.M):
            yield str(file.relative_to(ROOT)), _words(found[1])


def _words(line: str) -> list[str]:
    """Up to where the shell takes over."""
    words = shlex.split(line, comments=True)
    end = next((n for n, word in enumerate(words) if re.match(r"[|;&>]|\d>", word)), len(words))
    return words[:end]


@pytest.mark.parametrize(("place", "words"), list(commands()), ids=str)
def test_every_command_line_is_one_of_tailrace(place: str, words: list[str]) -> None:
    command: click.Command = main
    context = click.Context(main)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        inner = command.get_command(context, words[0])
        assert inner is not None, f"tailrace has no command {words[0]}"
        command, words = inner, words[1:]
    known = {
        option
        for parameter in command.params
        if isinstance(parameter, click.Option)
        for option in (*parameter.opts, *parameter.secondary_opts)
    }
    given = {word.partition("=")[0] for word in words if re.match(r"--?[a-z]", word)}
    assert given <= known | {"--help", "-h"}


def test_there_are_command_lines_to_check() -> None:
    assert len(list(commands())) > 10


def test_every_command_and_option_stands_in_the_page() -> None:
    page = (ROOT / "docs/cli.md").read_text()

    def check(command: click.Command, path: str) -> None:
        section = page.partition(f"## {path}\n")[2].partition("\n## ")[0]
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(option in section for option in parameter.opts), (path, parameter.opts)
        if isinstance(command, click.Group):
            for name in command.list_commands(click.Context(command)):
                inner = command.get_command(click.Context(command), name)
                assert inner is not None
                check(inner, f"{path} {name}")

    check(main, "tailrace")
    assert SinkKeys.model_fields.keys() <= set(
        re.findall(r"`(\w+)`", (ROOT / "docs/settings.md").read_text())
    )
