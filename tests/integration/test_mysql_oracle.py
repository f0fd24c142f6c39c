"""What the topics hold is what the server's own mysqlbinlog says of its log: event by event, value by
value."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.pipelines import Pipeline
from tests.servers import Kafka, MySql
from tests.targets import KafkaTarget, LogTarget
from tests.traffic.mysql_ddl import Changes
from tests.traffic.mysql_mixed import MixedTraffic, create
from tests.truth import Comparison, Event
from tests.truth.binlog_witness import BinlogWitness, reduced
from tests.waiting import wait_until

_SEED = 20260131
_STATEMENTS = 300

# What must have come up for the comparison to have meant anything, and how often at least.
_KINDS = {"c": 300, "u": 100, "d": 50, "key changes": 5, "tombstones": 50, "t": 1}


def test_topics_equal_mysqlbinlog(
    every_mysql: MySql, kafka: Kafka, make_database: Callable[[MySql], str], tmp_path: Path
) -> None:
    server, database = every_mysql, make_database(every_mysql)
    name = f"oracle_{uuid.uuid4().hex[:8]}"
    create(server, database)
    witness = BinlogWitness(server, database, lambda table: table != "uncaptured")
    pipeline = Pipeline(
        tmp_path,
        name,
        {
            "type": server.flavor,
            "url": server.url(),
            "tables": [f"{database}.*"],
            "exclude": [f"{database}.uncaptured"],
        },
        [
            {
                "type": "kafka",
                "bootstrap_servers": kafka.bootstrap_servers,
                "offsets_topic": f"offsets.{name}",
                "headers": {"position": True},
                "partitions": 3,
            },
            {"type": "log", "path": "oracle.db"},
        ],
    )
    pipeline.run_until_current()  # first start: both begin here
    changes = Changes(server, database, _SEED)
    traffic = MixedTraffic(server, database, _SEED, rate=60, beside=changes, beside_rate=Changes.ROUND / 4)
    with pipeline.start() as process:
        with traffic:
            wait_until(
                lambda: traffic.counts.total() > _STATEMENTS and changes.steps > Changes.ROUND,
                "enough traffic",
                60,
            )
        assert process.running, process.stderr
    changes.close()
    pipeline.run_until_current()

    expected = witness.read()
    _check_traffic(traffic.counts, changes.counts, expected)
    topics = KafkaTarget(kafka, f"{name}.{database}.", reduce=reduced).read()
    log = LogTarget(tmp_path / "oracle.db", f"{name}.{database}.", reduce=reduced).read()
    for delivered in (topics, log):
        witness.learn(delivered)
        differences = Comparison(witness.locate).compare(expected, delivered)
        assert not differences, str(differences)
        ordered = sorted(delivered, key=lambda found: witness.locate(found.position))
        assert len({found.position for found in ordered}) == len(expected)


def _check_traffic(done: Counter[str], changed: Counter[str], expected: Sequence[Event]) -> None:
    assert done.keys() >= {"load data", "replace", "two tables", "key change", "on duplicate key"}, done
    assert changed.keys() >= {"gh-ost", "pt-osc", "column", "rename table", "another key"}, changed
    seen = Counter(event.value["op"] if event.value else "tombstones" for event in expected)
    seen["key changes"] = sum(event.place[2] == 2 for event in expected)
    assert all(seen[kind] >= least for kind, least in _KINDS.items()), seen
