"""docs/kafka.md as it is typed: a pipeline that logs in through TLS, with the rights of the page alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import yaml

from tests.integration.kafka_security.conftest import PASSWORD, SecuredKafka
from tests.integration.kafka_security.test_access_control import execute
from tests.kafka_page import blocks, commands
from tests.kafka_reader import read_committed
from tests.servers import Postgres


def tailrace(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tailrace", *words],
        env={**os.environ, "KAFKA_PASSWORD": PASSWORD, "PGPASSWORD": ""},
        capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip


async def test_the_page(
    secured: SecuredKafka, postgres16: Postgres, make_database: Callable[[Postgres], str], tmp_path: Path
) -> None:
    database = make_database(postgres16)
    pipeline = f"test_{uuid.uuid4().hex[:8]}"
    [text] = [block for block in blocks("yaml") if "SASL_SSL" in block]
    document = yaml.safe_load(text)
    document["name"] = pipeline
    document["source"] |= {"url": postgres16.url(database), "password": None}
    [sink] = document["sinks"]
    sink |= {"bootstrap_servers": secured.at("SASLTLS"), "offsets_topic": f"offsets.{pipeline}"}
    (tmp_path / sink["ssl_ca_location"]).write_bytes(secured.authority.certificate.read_bytes())
    file = tmp_path / "orders.yaml"
    file.write_text(yaml.safe_dump(document))
    postgres16.execute("CREATE TABLE items (id int PRIMARY KEY, name text)", database=database)

    refused = tailrace("run", file, "--until-current")
    assert refused.returncode == 1
    assert "TR-KAFKA-004" in refused.stderr
    for command in commands():
        named = command.replace("orders", pipeline).replace("_tailrace_offsets", f"offsets.{pipeline}")
        await execute(secured, named)
    checked = tailrace("doctor", file, "--json")
    assert checked.returncode == 0, checked.stdout + checked.stderr
    first = tailrace("run", file, "--until-current")
    assert first.returncode == 0, first.stderr
    postgres16.execute("INSERT INTO items VALUES (1, 'apple'), (2, 'pear')", database=database)
    second = tailrace("run", file, "--until-current")
    assert second.returncode == 0, second.stderr
    records = await read_committed(secured, f"{pipeline}.public.items")
    assert sorted(json.loads(record.value)["after"]["name"] for record in records) == ["apple", "pear"]
    for output in (refused, checked, first, second):
        assert PASSWORD not in output.stdout + output.stderr
