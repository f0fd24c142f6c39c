"""What the topics hold is what PostgreSQL's own test_decoding saw: event by event, value by value."""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.pipelines import Pipeline
from tests.servers import Kafka, Postgres
from tests.targets import KafkaTarget, LogTarget
from tests.traffic import CAPTURED, Traffic, create
from tests.truth import Comparison, Delivered, Event, Fold, Witness

SEED = 20240229
CLIENTS = 4
TRANSACTIONS = 250  # of each client

# What must have come up for the comparison to have meant anything, and how often at least.
KINDS = {"c": 300, "u": 100, "d": 30, "key changes": 10, "tombstones": 30, "t": 5, "m": 30, "unchanged": 10}


def test_topics_equal_test_decoding(
    postgres: Postgres, postgres_database: str, kafka: Kafka, tmp_path: Path
) -> None:
    name = f"oracle_{uuid.uuid4().hex[:8]}"
    create(postgres, postgres_database)
    witness = Witness(postgres, postgres_database, name, lambda table: table[0] != "private")
    pipeline = Pipeline(
        tmp_path,
        name,
        source={
            "url": postgres.url(postgres_database),
            "tables": ["public.*", "ünï schema.*", "private.*"],
            "exclude": ["private.secrets"],
        },
        sinks=[
            {
                "type": "kafka",
                "bootstrap_servers": kafka.bootstrap_servers,
                "headers": {"position": True},
                "partitions": 3,
            },
            {"type": "log", "path": "oracle.db"},
        ],
    )
    pipeline.run_until_current()  # first start: both slots begin here
    traffic = Traffic(
        postgres.url(postgres_database), SEED, clients=CLIENTS, transactions=TRANSACTIONS, large=3000
    )
    with pipeline.start() as process:
        with traffic:
            traffic.wait()
        assert process.running, process.stderr
    pipeline.run_until_current()

    expected = witness.read()
    witness.drop()
    _check_traffic(traffic.counts, expected)
    topics = KafkaTarget(kafka, f"{name}.").read()
    log = LogTarget(tmp_path / "oracle.db", f"{name}.").read()
    for delivered in (topics, log):
        _check(witness, expected, delivered)
    assert len({found.sequence for found in topics}) > 2 * len(CAPTURED)  # order over partitions was tested


def _check(witness: Witness, expected: Sequence[Event], delivered: Sequence[Delivered]) -> None:
    differences = Comparison(witness.locate).compare(expected, delivered)
    assert not differences, str(differences)
    # Sorted by position, message by message.
    ordered = sorted(delivered, key=lambda found: witness.locate(found.position))
    assert [(found.topic, found.key, found.value) for found in ordered] == [
        (event.topic, event.key, event.value) for event in expected
    ]
    fold = Fold(witness.tables, witness.locate)
    fold.apply(delivered)
    for table in witness.tables:
        assert fold.rows(table) == witness.rows(table), table


def _check_traffic(counts: Counter[str], expected: Sequence[Event]) -> None:
    assert counts.keys() >= {"single row", "savepoints", "rolled back", "truncate", "large", "messages"}, (
        counts
    )
    seen = Counter(event.value["op"] if event.value else "tombstones" for event in expected)
    seen["key changes"] = sum(event.place[2] == 2 and event.value["op"] == "c" for event in expected)
    seen["unchanged"] = sum("__debezium_unavailable_value" in str(event.value) for event in expected)
    assert all(seen[kind] >= least for kind, least in KINDS.items()), seen
    largest = Counter(event.place[0] for event in expected).most_common(1)[0][1]
    assert largest >= 3000
