"""docs/kafka.md: its configurations are valid, its codes exist, its commands are those that doctor names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sinks.kafka import KafkaSettings
from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.grants import OF_OFFSETS, OF_TOPICS, OF_TRANSACTIONS, grant
from tailrace.config.load import loads
from tailrace.errors import registered_codes
from tests.kafka_page import blocks, commands

SECRETS = {"PGPASSWORD": "a", "KAFKA_PASSWORD": "b", "KAFKA_KEY_PASSWORD": "c"}
PAGE = (Path(__file__).parents[2] / "docs" / "kafka.md").read_text()


@pytest.mark.parametrize("text", blocks("yaml"))
def test_a_configuration_is_valid(text: str, tmp_path: Path) -> None:
    loads(text, tmp_path / "orders.yaml", SECRETS)


def test_the_commands_are_those_of_doctor() -> None:
    access = Access(("kafka1:9092",), "SASL_SSL", "PLAIN", "tailrace", "secret")
    assert commands() == [
        grant(access, OF_TOPICS, "--topic orders.", prefixed=True),
        grant(access, OF_OFFSETS, "--topic _tailrace_offsets"),
        grant(access, OF_TRANSACTIONS, "--transactional-id tailrace.orders.", prefixed=True),
    ]


def test_codes_and_settings_exist() -> None:
    registered = {code.id for code in registered_codes()}
    named = set(re.findall(r"TR-[A-Z]+-\d{3}", PAGE))
    assert named <= registered
    assert {code for code in registered if code.startswith("TR-KAFKA-0")} - named == {
        "TR-KAFKA-002",  # these need nobody
        "TR-KAFKA-003",
        "TR-KAFKA-005",
        "TR-KAFKA-012",
        "TR-KAFKA-021",
    }
    for setting in ("transaction_timeout", "max_request_size", "replication_factor", "partitions"):
        assert setting in KafkaSettings.model_fields
