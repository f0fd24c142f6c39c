"""`tailrace log`: topics and events, for people and for programs."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from tailrace.cli.main import main
from tailrace.log import Retention, Writer
from tailrace.log.rows import Rows
from tailrace.testing.events import checkpoint
from tests.waiting import wait_until

TOPIC = "shop.public.items"
START = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z


def event(number: int, key: object, value: object) -> Rows:
    """An event as the Debezium format writes it, `number` seconds after the start of 2026."""
    encoded = [None if part is None else json.dumps(part).encode() for part in (key, value)]
    return [None, START + number * 1_000_000, f"{number:016X}", 0, 0, *encoded]


def envelope(op: str, before: object, after: object) -> dict[str, object]:
    return {"before": before, "after": after, "source": {"schema": "public", "table": "items"}, "op": op}


EVENTS = [
    *event(1, {"id": 42}, envelope("c", None, {"id": 42, "name": "blue chair", "price": "12.30", "n": None})),
    *event(
        2,
        {"id": 42},
        envelope("u", {"id": 42, "name": "blue chair", "n": 1}, {"id": 42, "name": "red chair", "n": 1}),
    ),
    *event(3, {"id": 42}, envelope("d", {"id": 42}, None)),
    *event(3, {"id": 42}, None),
    *event(
        4,
        {"id": 7, "line": "ä"},
        envelope("u", None, {"id": 7, "line": "ä", "text": "__debezium_unavailable_value", "n": 3}),
    ),
    *event(5, None, {"schema": {}, "payload": envelope("t", None, None)}),
]


def fill(path: Path, topics: dict[str, Rows], keep: Retention | None = None) -> None:
    writer = Writer(path, "shop/log", keep or Retention())
    writer.append(topics, checkpoint(1, {"lsn": "0/1"}))
    writer.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    fill(tmp_path / "events.db", {TOPIC: list(EVENTS)})
    return tmp_path / "events.db"


def log(*words: str | Path) -> Result:
    return CliRunner().invoke(main, ["log", *map(str, words)])


def test_events_for_people(path: Path) -> None:
    result = log("read", TOPIC, "--log", path)
    assert result.exit_code == 0
    assert [line.split(maxsplit=2) for line in result.output.splitlines()] == [
        ["0", "2026-01-01T00:00:01.000Z", "c  public.items  id=42  name='blue chair' price=12.30 n=null"],
        ["1", "2026-01-01T00:00:02.000Z", "u  public.items  id=42  name: 'blue chair' → 'red chair'"],
        ["2", "2026-01-01T00:00:03.000Z", "d  public.items  id=42"],
        ["3", "2026-01-01T00:00:03.000Z", "-  id=42  tombstone"],
        ["4", "2026-01-01T00:00:04.000Z", "u  public.items  id=7,line=ä  n=3"],
        ["5", "2026-01-01T00:00:05.000Z", "t  public.items"],
    ]


def test_events_of_the_format_plain_for_people(tmp_path: Path) -> None:
    """With their table and fields, and the digits that the database wrote."""
    values = [
        b'{"op":"c","table":"public.items","position":"1","ts":"2026","row":{"id":1.10,"price":12.50,"n":null}}',
        b'{"op":"u","table":"public.items","before":{"id":1.10,"price":12.50},"row":{"id":1.10,"price":1e3}}',
        b'{"op":"d","table":"public.items","before":{"id":1.10,"price":100000000000000000.01}}',
    ]
    rows: Rows = [part for value in values for part in (None, START, "1", 0, 0, b'{"id":1.10}', value)]
    message = b'{"op":"m","position":"1","prefix":"p","content":"aGk="}'
    fill(tmp_path / "events.db", {"a": [*rows, None, START, "1", 0, 0, None, message]})
    said = log("read", "a", "--log", tmp_path / "events.db").output.splitlines()
    assert [line.split("Z  ")[1] for line in said] == [
        "c  public.items  id=1.10  price=12.50 n=null",
        "u  public.items  id=1.10  price: 12.50 → 1E+3",
        "d  public.items  id=1.10  price=100000000000000000.01",
        "m  prefix=p content=aGk=",
    ]
    assert len(log("read", "a", "--log", tmp_path / "events.db", "--key", "1.10").output.splitlines()) == 3


def test_a_database_stands_before_its_table(tmp_path: Path) -> None:
    """In Debezium's envelope for MySQL and MariaDB there is no schema."""
    value = b'{"after":{"id":1,"n":2},"source":{"db":"shop","table":"orders"},"op":"c"}'
    fill(tmp_path / "events.db", {"a": [None, START, "1", 0, 0, b'{"id":1}', value]})
    assert log("read", "a", "--log", tmp_path / "events.db").output.endswith("c  shop.orders  id=1  n=2\n")


def test_events_for_programs(path: Path) -> None:
    result = log("read", TOPIC, "--log", path, "--json")
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line["offset"] for line in lines] == [0, 1, 2, 3, 4, 5]
    assert lines[0] == {
        "topic": TOPIC,
        "offset": 0,
        "timestamp": "2026-01-01T00:00:01.000000Z",
        "position": "0000000000000001:0:0",
        "key": {"id": 42},
        "value": json.loads(EVENTS[6]),
    }
    assert lines[3]["value"] is None
    assert lines[5]["key"] is None


def test_bytes_that_are_not_json(tmp_path: Path) -> None:
    rows: Rows = [None, START, "1", 0, 0, b"\xff\x00", b"plain"]
    fill(tmp_path / "events.db", {"a": rows})
    (line,) = log("read", "a", "--log", tmp_path / "events.db", "--json").stdout.splitlines()
    assert json.loads(line)["key"] == {"base64": "/wA="}
    assert json.loads(line)["value"] == {"base64": "cGxhaW4="}
    assert log("read", "a", "--log", tmp_path / "events.db").exit_code == 0


@pytest.mark.parametrize(
    ("words", "offsets"),
    [
        (["--from", "beginning"], [0, 1, 2, 3, 4, 5]),
        (["--from", "2"], [2, 3, 4, 5]),
        (["--from", "end"], []),
        (["--from", "2026-01-01T00:00:03"], [2, 3, 4, 5]),
        (["--from", "2026-01-01T00:00:03.000001Z"], [4, 5]),
        (["--from", "2026-01-01T01:00:03+01:00"], [2, 3, 4, 5]),
        (["--from", "2026-01-02"], []),
        (["--from", "100000d"], [0, 1, 2, 3, 4, 5]),
        (["--from", "1s"], []),
        (["--key", "42"], [0, 1, 2, 3]),
        (["--key", '{"id": 42}'], [0, 1, 2, 3]),
        (["--key", '{"line": "ä", "id": 7}'], [4]),
        (["--key", "43"], []),
        (["--key", "42", "--from", "1", "--limit", "2"], [1, 2]),
        (["-n", "1"], [0]),
    ],
)
def test_what_is_asked_for(path: Path, words: list[str], offsets: list[int]) -> None:
    result = log("read", TOPIC, "--log", path, "--json", *words)
    assert result.exit_code == 0
    assert [json.loads(line)["offset"] for line in result.stdout.splitlines()] == offsets


def test_topics(path: Path) -> None:
    fill(path, {"other": event(9, "k", "v")}, Retention(hours=36, bytes=10_000_000_000))
    other, items = log("topics", "--log", path).output.splitlines()
    assert re.fullmatch(
        r"other +1 events  offsets 0 to 0  6 B  newest 2026-01-01T00:00:09Z  kept: 36 h, 10.0 GB", other
    )
    assert re.fullmatch(
        rf"{TOPIC} +6 events  offsets 0 to 5  \d+ B  newest 2026-01-01T00:00:05Z  kept.*", items
    )
    first, second = json.loads(log("topics", "--log", path, "--json").output)
    assert first == {
        "log": str(path),
        "topic": "other",
        "first": 0,
        "next": 1,
        "bytes": 6,
        "newest": "2026-01-01T00:00:09.000000Z",
        "retention_hours": 36,
        "retention_bytes": 10_000_000_000,
    }
    assert (second["topic"], second["next"]) == (TOPIC, 6)


def test_through_the_pipelines_file(tmp_path: Path, pipeline_file: Path) -> None:
    content = pipeline_file.read_text()
    assert "TR-CLI-020" in log("topics", pipeline_file).output
    pipeline_file.write_text(
        content
        + "  - {type: log, name: one, path: one.db, format: numbers}\n"
        + "  - {type: log, name: two, path: sub/two.db, format: numbers}\n"
    )
    (tmp_path / "sub").mkdir()
    fill(tmp_path / "sub" / "two.db", {"b": event(1, "k", "v")})
    assert "TR-LOG-001" in log("topics", pipeline_file).output
    assert log("read", "b", pipeline_file).output.split()[:2] == ["0", "2026-01-01T00:00:01.000Z"]
    fill(tmp_path / "one.db", {"a": event(1, "k", "v")})
    assert [line.split()[0] for line in log("topics", pipeline_file).output.splitlines()] == ["a", "b"]
    assert log("read", "b", pipeline_file).exit_code == 0
    assert "There are: b." in log("read", "c", pipeline_file).output
    assert log("read", pipeline_file, "b").output == log("read", "b", pipeline_file).output


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["topics"], 2, "either --log PATH or a pipeline's FILE"),
        (["topics", "p.yaml", "--log", "x"], 2, "either --log PATH or a pipeline's FILE"),
        (["topics", "--log", "nowhere.db"], 1, "TR-LOG-001"),
        (["read", "a", "--log", "nowhere.db"], 1, "TR-LOG-001"),
        (["read", "a"], 2, "Name the log"),
        (["read", "shop.yaml"], 2, "missing before shop.yaml: tailrace log topics shop.yaml"),
        (["read", "nope", "--log", "LOG"], 1, "TR-LOG-002"),
        (["read", TOPIC, "--log", "LOG", "--from", "7"], 1, "TR-LOG-004"),
        (["read", TOPIC, "--log", "LOG", "--from", "yesterday"], 2, "neither beginning nor end"),
        (["read", TOPIC, "--log", "LOG", "--from", "999999999999d"], 2, "neither beginning nor end"),
        (["read", TOPIC, "--log", "LOG", "--from", "9" * 400 + "s"], 2, "neither beginning nor end"),
        (["read", TOPIC, "--log", "LOG", "--from", "9" * 5000], 2, "neither beginning nor end"),
        (["read", TOPIC, "--log", "LOG", "--from", "9" * 30], 1, "TR-LOG-004"),
        (
            ["read", TOPIC, "--log", "LOG", "--key", os.fsdecode(b"\xff")],
            2,
            "'--key': '\\udcff' is not UTF-8",
        ),
        (["read", os.fsdecode(b"\xff"), "--log", "LOG"], 2, "'TOPIC': '\\udcff' is not UTF-8"),
        (["read", TOPIC, "--log", "LOG", "-n", "0"], 2, "--limit"),
    ],
)
def test_wrong_words(path: Path, words: list[str], code: int, told: str) -> None:
    result = log(*(str(path) if word == "LOG" else word for word in words))
    assert result.exit_code == code
    assert told in result.output
    assert "Traceback" not in result.output


def following(path: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tailrace", "log", "read", TOPIC, "--log", str(path), "--follow", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_following_prints_what_comes(path: Path) -> None:
    with following(path, "--from", "6") as reader:
        fill(path, {TOPIC: event(20, {"id": 1}, envelope("c", None, {"id": 1}))})
        assert reader.stdout is not None
        assert reader.stdout.readline().split()[0] == "6"
        reader.send_signal(signal.SIGINT)
        _, errors = reader.communicate(timeout=30)
        assert "Traceback" not in errors
        assert reader.returncode == 130


def test_following_ends_when_nobody_reads(path: Path) -> None:
    with following(path) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        reader.stdout.close()
        wait_until(lambda: reader.poll() is not None, "the reader to leave")
        assert reader.stderr is not None
        assert reader.stderr.read() == ""


def test_following_waits_for_the_topic(tmp_path: Path) -> None:
    path = tmp_path / "later.db"
    with following(path, "-n", "1") as reader:
        assert reader.stderr is not None
        assert "waiting for shop.public.items" in reader.stderr.readline()
        fill(path, {"another": list(EVENTS[:7])})
        fill(path, {TOPIC: list(EVENTS[:7])})
        output, rest = reader.communicate(timeout=30)
    assert (reader.returncode, rest) == (0, "")
    assert "id=42" in output
