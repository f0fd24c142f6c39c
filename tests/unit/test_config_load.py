"""A pipeline's file: what is accepted, and each fault with its code, place and advice."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from offsets.sqlite import SqliteOffsetStore
from tailrace import plugins
from tailrace.config import build, load, make_sinks
from tailrace.config.environment import MISSING_VARIABLE
from tailrace.config.load import NAME_TAKEN, NOT_ALONE, NOT_EXACTLY_ONCE
from tailrace.config.validation import MISSING_KEY, NOT_AVAILABLE, UNKNOWN_KEY, WRONG_VALUE
from tailrace.engine.stored import StoredSink
from tailrace.errors import Code, ConfigurationError
from tests.plugins import FileSink, FileSource, NumbersFormat

Write = Callable[[str], Path]

VALID = """\
name: orders
source: {type: file, path: log.txt, snapshot: never}
sinks:
  - {type: file, path: out.json, format: numbers}
"""


@pytest.fixture
def write(tmp_path: Path, file_plugins: Path) -> Write:
    def write_text(text: str) -> Path:
        path = tmp_path / "p.yaml"
        path.write_text(text)
        return path

    return write_text


def faults(path: Path, **environment: str) -> list[tuple[Code, str, str, str]]:
    """Of each fault: code, `line:column`, what was found, what to do."""
    with pytest.raises(ConfigurationError) as caught:
        load(path, environment)
    return [
        (fault.code, str(fault.where).removeprefix(f"{path}:"), fault.found, fault.remedy)
        for fault in caught.value.faults
    ]


def test_a_small_file(write: Write, tmp_path: Path) -> None:
    config = load(write(VALID))
    assert config.name == "orders"
    assert config.source.plugin is FileSource
    assert config.source.settings == FileSource.Settings(path=Path("log.txt"), snapshot="never")
    [sink] = config.sinks
    assert (sink.name, sink.block.plugin, sink.delivery, sink.on_stall) == ("file", FileSink, None, "block")
    assert sink.format.plugin is NumbersFormat
    assert config.data_dir == tmp_path / "data"
    assert config.offsets.plugin is SqliteOffsetStore
    assert config.offsets.settings.model_dump() == {"path": tmp_path / "data" / "offsets.db"}
    assert config.transforms == ()


def test_a_full_file(write: Write, tmp_path: Path) -> None:
    path = write(
        """\
name: orders
source: {type: file, path: log.txt, snapshot: never, port: "${PORT}", secure: "${SECURE:-yes}"}
transforms:
  - {type: odd, strict: true}
sinks:
  - type: file
    name: first
    path: out.json
    format: {type: numbers, base: 16}
    delivery: exactly_once
    on_stall: block
  - {type: lines, path: out.txt, format: numbers, delivery: at_least_once}
offsets: {type: sqlite, path: elsewhere.db}
data_dir: var
"""
    )
    config = load(path, {"PORT": "6000"})
    assert config.source.settings.model_dump()["port"] == 6000
    assert config.source.settings.model_dump()["secure"] is True
    assert [sink.name for sink in config.sinks] == ["first", "lines"]
    assert config.sinks[0].format.settings == NumbersFormat.Settings(base=16)
    assert config.data_dir == tmp_path / "var"
    first, lines = make_sinks(config)
    assert isinstance(first, FileSink)
    assert isinstance(lines, StoredSink)
    assert lines.identity == "orders/lines"


async def test_a_pipeline_is_built(write: Write) -> None:
    pipeline = build(load(write(VALID + "transforms: [{type: odd}]\n")))
    assert pipeline.name == "orders"
    assert list(pipeline.status.sinks) == ["orders/file"]


def test_relative_paths_do_not_depend_on_where_the_command_runs(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(VALID)
    monkeypatch.chdir(tmp_path)
    config = load("p.yaml")
    assert config.path == tmp_path / "p.yaml"
    assert config.data_dir == tmp_path / "data"
    with pytest.raises(ConfigurationError) as caught:
        load("q.yaml")
    assert caught.value.where == "q.yaml"


REFUSED: list[tuple[str, Code, str, str, str]] = [
    # what replaces what in the valid file, and what is told: code, place, found, remedy
    ("name: orders => name: Orders", WRONG_VALUE, "1:7", "name is 'Orders'", "begins with a letter"),
    ("name: orders => name: Orders-EU 2", WRONG_VALUE, "1:7", "'Orders-EU 2'", "long: write orders_eu_2."),
    ("name: orders => name: 1orders", WRONG_VALUE, "1:7", "'1orders'", "begins with a letter"),
    (f"name: orders => name: {'a' * 51}", WRONG_VALUE, "1:7", "aaa", "50 characters"),
    ("name: orders => name: 12", WRONG_VALUE, "1:7", "name is '12'", "Put it in quotes"),
    ("name: orders => nam: orders", UNKNOWN_KEY, "1:1", "nam", "Did you mean name?"),
    ("name: orders => # none", MISSING_KEY, "2:1", "name", "Name of the pipeline"),
    ("source: => sauce:", UNKNOWN_KEY, "2:1", "sauce", "Did you mean source?"),
    ("type: file, path: log.txt => type: fil", plugins.UNKNOWN_PLUGIN, "2:16", "'fil'", "Did you mean file?"),
    ("type: file, path: log.txt => type: 5", plugins.UNKNOWN_PLUGIN, "2:16", "'5'", "Installed are: "),
    ("{type: file, path: log.txt => {path: x", MISSING_KEY, "2:9", "type", "file"),
    ("{type: file, path: log.txt => {type: broken", plugins.BROKEN_PLUGIN, "2:16", "Nothing", "again"),
    ("path: log.txt => pfad: log.txt", UNKNOWN_KEY, "2:22", "pfad", "path"),
    ("snapshot: never => snapshot: initial", WRONG_VALUE, "2:47", "snapshot is 'initial'", "'never'"),
    ("snapshot: never => snapshot: NEVER", WRONG_VALUE, "2:47", "'NEVER'", "Did you mean never?"),
    ("snapshot: never => snapshot: nevr", WRONG_VALUE, "2:47", "'nevr'", "Did you mean never?"),
    (", snapshot: never => ''", MISSING_KEY, "2:9", "snapshot", "present rows"),
    ("never} => never, tables.include.list: a}", UNKNOWN_KEY, "2:54", "tables.i", "Did you mean tables?"),
    ("path: out.json => path: a, pa.th: b", UNKNOWN_KEY, "4:27", "pa.th", "Did you mean path?"),
    ("never} => never, port: 0}", WRONG_VALUE, "2:60", "port is '0'", "greater than or equal to 1"),
    ("never} => never, port: '${PORT}'}", WRONG_VALUE, "2:60", "port is '${PORT}'", "It must be an integer."),
    ("never} => never, url: 'host'}", WRONG_VALUE, "2:59", "host has no scheme", "Write file://"),
    ("never} => never, tables: [a, {nam: b}]}", MISSING_KEY, "2:66", "name", "name"),
    ("never} => never, tables: [{name: a, colums: [b]}]}", UNKNOWN_KEY, "2:73", "colums", "mean columns?"),
    ("never} => never, tables: [5]}", WRONG_VALUE, "2:63", "tables.0 is '5'", " or "),
    ("type: file, path: out.json => type: fiel, path: x", plugins.UNKNOWN_PLUGIN, "4:12", "", "mean file?"),
    ("path: out.json => pth: out.json", UNKNOWN_KEY, "4:18", "pth", "Did you mean path?"),
    ("format: numbers => format: numerals", plugins.UNKNOWN_PLUGIN, "4:42", "numerals", "numbers"),
    ("format: numbers => format: {type: numbers, base: 7}", WRONG_VALUE, "4:64", "base is '7'", "10 or 16"),
    ("format: numbers => format: {base: 10}", MISSING_KEY, "4:42", "type", "numbers"),
    ("format: numbers => format: [numbers]", WRONG_VALUE, "4:42", "format is a list", "text or a mapping"),
    ("format: numbers => formats: numbers", UNKNOWN_KEY, "4:34", "formats", "Did you mean format?"),
    ("numbers} => numbers, name: A}", WRONG_VALUE, "4:57", "name is 'A'", "begins with a letter"),
    ("numbers} => numbers, delivery: at_most_once}", NOT_AVAILABLE, "4:61", "at_most_once", "at_least_once"),
    ("numbers} => numbers, delivery: exactly}", WRONG_VALUE, "4:61", "'exactly'", "mean exactly_once?"),
    ("numbers} => numbers, on_stall: spill}", NOT_AVAILABLE, "4:61", "spill", "Use block"),
    ("numbers} => numbers, on_stall: detach}", NOT_AVAILABLE, "4:61", "detach", "Use block"),
    ("numbers} => numbers, on_stall: drop}", WRONG_VALUE, "4:61", "'drop'", "'block'"),
    ("type: file, path: out.json => delivery: exactly_once, type: lines, path: out.txt", NOT_EXACTLY_ONCE,
     "4:16", "delivers again", "at_least_once"),
    ("numbers} => numbers}\n  - {type: file, path: b, format: numbers}", NAME_TAKEN, "5:5", "line 4", "name"),
    ("numbers} => numbers}\n  - {type: lines, name: file, path: b, format: numbers}", NAME_TAKEN, "5:25",
     "line 4", "name"),
    ("type: file, path: out.json => type: stdout, name: a}\n  - {type: stdout, name: b", NOT_ALONE, "5:12",
     "the sink in line 4 is of type stdout too", "Keep one"),
    ("numbers} => numbers}\n  - file", WRONG_VALUE, "5:5", "sinks.1 is 'file'", "Write - type: file. It"),
    ("numbers} => numbers}\ntransforms: odd", WRONG_VALUE, "5:13", "'odd'", "transforms: [{type: odd}]. It"),
    ("numbers} => numbers}\ntransforms: [{type: od}]", plugins.UNKNOWN_PLUGIN, "5:21", "transform", "odd"),
    ("numbers} => numbers}\ntransforms:", WRONG_VALUE, "5:12", "transforms is empty", "list"),
    ("numbers} => numbers}\ntransforms: {type: odd}", WRONG_VALUE, "5:13", "transforms is a mapping",
     "Begin each item with a dash: - type: … It must be a list."),
    ("numbers} => numbers}\noffsets: {type: sqlit}", plugins.UNKNOWN_PLUGIN, "5:17", "sqlit", "mean sqlite?"),
    ("numbers} => numbers}\noffsets: sqlite", WRONG_VALUE, "5:10", "is 'sqlite'", "{type: sqlite}. It"),
    ("numbers} => numbers}\noffsets: {type: sqlite, pfad: x}", UNKNOWN_KEY, "5:25", "pfad", "path"),
    ("numbers} => numbers}\ndata_dir: [x]", WRONG_VALUE, "5:11", "data_dir", "path"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "code", "place", "found", "remedy"), REFUSED, ids=[change[:60] for change, *_ in REFUSED]
)
def test_what_is_refused(write: Write, change: str, code: Code, place: str, found: str, remedy: str) -> None:
    old, new = change.split(" => ")
    assert old in VALID
    text = VALID.replace(old, "" if new == "''" else new)
    told = faults(write(text), PORT="fifty")
    [first] = [fault for fault in told if fault[:2] == (code, place)]
    assert found in first[2]
    assert remedy in first[3]


def test_an_empty_file_and_one_without_keys(write: Write) -> None:
    assert [fault[:2] for fault in faults(write(""))] == [(WRONG_VALUE, "1:1")]
    assert [fault[:2] for fault in faults(write("- a\n"))] == [(WRONG_VALUE, "1:1")]
    assert [fault[:2] for fault in faults(write(VALID[: VALID.index("  - ")] + "  []\n"))] == [
        (WRONG_VALUE, "4:3")
    ]


def test_every_fault_of_a_file_is_told_in_its_order(write: Write) -> None:
    path = write(
        """\
name: Orders
source:
  type: file
  path: log.txt
  path: other.txt
  snapshot: initial
  port: ${PORT}
sinks:
  - type: file
    pth: x
    delivery: at_most_once
  - type: kafak
    on_stall: spill
  - {type: lines, path: x, format: numbers, delivery: exactly_once}
extra: 1
"""
    )
    codes = [(fault[0].id, fault[1]) for fault in faults(path)]
    assert codes == [
        ("TR-CONF-008", "1:7"),
        ("TR-CONF-003", "5:3"),
        ("TR-CONF-008", "6:13"),
        ("TR-CONF-004", "7:9"),
        ("TR-CONF-007", "9:5"),
        ("TR-CONF-006", "10:5"),
        ("TR-CONF-009", "11:15"),
        ("TR-CONF-010", "12:11"),
        ("TR-CONF-009", "13:15"),
        ("TR-CONF-012", "14:55"),
        ("TR-CONF-006", "15:1"),
    ]


def test_one_fault_is_the_error_itself(write: Write) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(write(VALID.replace("log.txt", "'${NOPE}'")), {})
    assert caught.value.code is MISSING_VARIABLE
    assert caught.value.faults == (caught.value,)


SECRET = "hunter2/@:"


@pytest.mark.parametrize(
    "setting",
    [
        "password: '${SECRET}', port: x",
        f"password: '${{1{SECRET}}}'",
        "password: *hunter2",
        "password: !hunter2",
        "password: !hunter2!x y",
        "password: &hunter2 x, port: &hunter2 y",
        f"port: x, password: ['${{OTHER:-{SECRET}}}']",
        f"password: '${{NOT_THERE}}{SECRET}${{NOT_THERE}}'",
        f"password: '{SECRET}', port: x",
        f"password: ['{SECRET}']",
        "url: '${SECRET}'",
        "url: 'no scheme for ${SECRET}'",
        "port: '${SECRET}'",
        f"url: 'file://me:{SECRET}@host/x', port: x",
        f"tables: [[{{name: '{SECRET}'}}]], port: x",
        f"tables: 'file://me:x {SECRET}@host/x'",
        f"tables: ['file://me:x {SECRET}@host/x'], port: 'me:{SECRET}@host'",
        f"tables: [['file://me:x {SECRET}@host/x']]",
        f"port: 'file://me:{SECRET}'",
        f"port: 'user=me password=x {SECRET}'",
        f"'file://me:x {SECRET}@host/x': 1",
        f"port: 1, port: 2, 'file://me:{SECRET}@host': 1, 'file://me:{SECRET}@host': 2",
    ],
)
def test_no_secret_is_told(write: Write, setting: str) -> None:
    path = write(VALID.replace("never}", f"never, {setting}}}"))
    try:
        load(path, {"SECRET": SECRET})
    except ConfigurationError as error:
        shown = "".join(traceback.format_exception(error)) + repr(error.faults)
        shown += "".join(f"{fault}{fault.remedy}" for fault in error.faults)
    else:
        pytest.fail("accepted")
    assert "hunter2" not in shown


@pytest.mark.parametrize("url", [f"postgresql://me:x {SECRET}@host/x", f"postgresql://me:{SECRET}"])
@pytest.mark.parametrize("place", ["source: {type: file", "sinks:\n  - {type: file"])
def test_no_secret_is_told_of_a_url_for_a_block(write: Write, url: str, place: str) -> None:
    start = VALID.index(place) + len(place) - len("{type: file")
    path = write(VALID[:start] + f'"{url}"' + VALID[VALID.index("}", start) + 1 :])
    ((code, _, found, remedy),) = faults(path)
    assert code is WRONG_VALUE
    assert "hunter2" not in found + remedy
    assert "not shown" in found


def test_no_secret_is_in_the_configuration_s_repr(write: Write) -> None:
    settings = f"never, password: '{SECRET}', url: 'file://me:{SECRET}@host/x'"
    sink = f"numbers, secret: '{SECRET}'"
    config = load(write(VALID.replace("never", settings).replace("numbers", sink)))
    assert SECRET not in repr(config)
    assert SECRET not in str(config.source.settings)
    assert "file://me:***@host/x" in repr(config)


def test_a_traceback_shows_every_fault(tmp_path: Path) -> None:
    """Where nobody looks into `faults`, the error's text is all that a program's author sees."""
    (tmp_path / "p.yaml").write_text(
        VALID.replace("name: orders", "name: Orders").replace("path: out", "pth: out")
    )
    with pytest.raises(ConfigurationError) as caught:
        load(tmp_path / "p.yaml")
    assert len(caught.value.faults) > 1
    assert all(str(fault) in str(caught.value) for fault in caught.value.faults)
