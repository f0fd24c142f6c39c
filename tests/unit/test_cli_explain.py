"""`tailrace explain`: what it says is what the parts say, and what they really do."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from tailrace.cli.main import main

FILE = """\
name: shop
source: {type: postgres, url: 'postgresql://a:geheim@127.0.0.1:1/b', tables: [public.*], snapshot: never}
sinks:
  - {type: kafka, bootstrap_servers: '127.0.0.1:1', offsets_topic: mine}
  - {type: log, path: shop.db}
  - {type: stdout, delivery: at_least_once}
"""


def explained(folder: Path) -> dict[str, Any]:
    (folder / "shop.yaml").write_text(FILE)
    result = CliRunner().invoke(main, ["explain", str(folder / "shop.yaml"), "--json"])
    assert result.exit_code == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def test_each_sink_says_what_its_guarantee_rests_on(tmp_path: Path) -> None:
    sinks = explained(tmp_path)["sinks"]
    assert {name: sink["guarantee"] for name, sink in sinks.items()} == {
        "kafka": "exactly_once",
        "log": "exactly_once",
        "stdout": "at_least_once",
    }
    assert "isolation.level=read_committed" in sinks["kafka"]["unit"]
    assert "transactional id tailrace.shop.kafka" in sinks["kafka"]["fence"]
    assert sinks["kafka"]["stored"] == {"topic mine, key shop/kafka": "the checkpoint"}
    assert list(sinks["log"]["made"]) == [str(tmp_path / "shop.db")]
    assert all(sink["crashes"] for sink in sinks.values())


def test_a_sink_that_may_leave_records_out_says_so(tmp_path: Path) -> None:
    assert explained(tmp_path)["sinks"]["kafka"]["left_out"] == ""
    file = tmp_path / "shop.yaml"
    file.write_text(FILE.replace("offsets_topic: mine", "record_too_large: skip"))
    said = CliRunner().invoke(main, ["explain", str(file)]).stdout
    assert "sink kafka, kafka: exactly once\n" in said
    assert "  but for           records that are too large (record_too_large: skip)" in said
    assert said.count("but for") == 1
    said = CliRunner().invoke(main, ["validate", str(file)]).stdout
    assert "  kafka leaves out records that are too large (record_too_large: skip)" in said
    said = CliRunner().invoke(main, ["validate", str(file), "--json"]).stdout
    assert list(json.loads(said)[0]["left_out"]) == ["kafka"]


def test_an_unfenced_sink_says_what_an_older_process_may_do(tmp_path: Path) -> None:
    stdout = explained(tmp_path)["sinks"]["stdout"]
    assert stdout["fence"].startswith("nothing at the target itself: an older process may write there until")
    assert "before the checkpoint is saved" in "".join(stdout["crashes"])
    assert list(stdout["made"]) == [str(tmp_path / "data/offsets.db")]


def test_everything_that_is_made_on_the_server_is_named(tmp_path: Path) -> None:
    made = explained(tmp_path)["source"]["made"]
    assert list(made) == [
        "replication slot tailrace_shop",
        "publication tailrace_shop",
        "publication tailrace_shop_ins",
    ]


def test_where_open_transactions_are_spooled(tmp_path: Path) -> None:
    (tmp_path / "shop.yaml").write_text(FILE.replace("snapshot:", "streaming: on, snapshot:"))
    result = CliRunner().invoke(main, ["explain", str(tmp_path / "shop.yaml"), "--json"])
    made = json.loads(result.stdout)["source"]["made"]
    assert f"folder {tmp_path}/data/streamed/shop" in made


def test_for_people_and_offline(tmp_path: Path) -> None:
    explained(tmp_path)
    result = CliRunner().invoke(main, ["explain", str(tmp_path / "shop.yaml")])
    assert result.exit_code == 0
    assert "sink stdout, stdout: at least once (at_least_once is asked for)\n" in result.stdout
    assert "sink kafka, kafka: exactly once\n" in result.stdout
    assert "geheim" not in result.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["shop.yaml"]


def test_what_shapes_the_events_is_named_in_order(tmp_path: Path) -> None:
    (tmp_path / "shaped.yaml").write_text(
        FILE.replace("sinks:", "transforms: [{type: filter, where: op == 'c'}]\nsinks:").replace(
            "path: shop.db", "path: shop.db, format: plain, transforms: [{type: skip, operations: [t]}]"
        )
    )
    result = CliRunner().invoke(main, ["explain", str(tmp_path / "shaped.yaml"), "--json"])
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    assert found["transforms"] == ["filter"]
    assert (found["sinks"]["log"]["format"], found["sinks"]["log"]["transforms"]) == ("plain", ["skip"])
    assert (found["sinks"]["kafka"]["format"], found["sinks"]["kafka"]["transforms"]) == ("debezium", [])
    for_people = CliRunner().invoke(main, ["explain", str(tmp_path / "shaped.yaml")]).stdout
    assert re.findall(r"  shaped by +(.*)", for_people) == ["filter", "skip"]


def test_a_plugin_that_says_nothing_is_explained_by_its_guarantee(pipeline_file: Path) -> None:
    result = CliRunner().invoke(main, ["explain", str(pipeline_file)])
    assert result.exit_code == 0
    assert "sink file, file: exactly once\n" in result.stdout
    assert "the checkpoint in the target tells whether it took effect" in result.stdout


def test_the_names_are_those_that_the_parts_use(tmp_path: Path) -> None:
    """What is explained is made of the objects' own settings: another name, another explanation."""
    first = explained(tmp_path)
    (tmp_path / "shop.yaml").write_text(FILE.replace("name: shop", "name: other"))
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", "explain", tmp_path / "shop.yaml", "--json"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == json.loads(
        json.dumps(first)
        .replace("tailrace_shop", "tailrace_other")
        .replace("tailrace.shop.", "tailrace.other.")
        .replace("shop/", "other/")
        .replace("shop.lock", "other.lock")
        .replace('"pipeline": "shop"', '"pipeline": "other"')
    )
