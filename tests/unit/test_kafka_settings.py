"""The declaration of the Kafka sink's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sinks.kafka import KafkaSettings


def settings(**values: Any) -> KafkaSettings:
    return KafkaSettings.model_validate({"bootstrap_servers": "127.0.0.1:9092", **values})


LOGIN = {
    "security_protocol": "sasl_ssl",
    "sasl_mechanism": "scram-sha-512",
    "sasl_username": "app",
    "sasl_password": "hunter2",
    "ssl_ca_location": "ca.pem",
    "ssl_certificate_location": "/etc/client.pem",
    "ssl_key_password": "hunter2",
}


def test_a_login_is_whole_and_its_secrets_stay_out_of_sight() -> None:
    declared = settings(**LOGIN)
    access = declared.access(Path("/base"))
    assert (access.protocol, access.mechanism, access.username) == ("SASL_SSL", "SCRAM-SHA-512", "app")
    assert (access.tls.authorities, access.tls.certificate) == (
        Path("/base/ca.pem"),
        Path("/etc/client.pem"),
    )
    assert (access.password, access.tls.key_password) == ("hunter2", "hunter2")
    assert "hunter2" not in f"{declared!r} {access!r} {access}"


def test_defaults() -> None:
    default = settings()
    assert default.topic == "{pipeline}.{schema}.{table}"
    assert (default.partitions, default.replication_factor) == (4, None)
    assert default.compression == "zstd"
    assert default.tombstones
    assert not default.headers.position
    assert default.offsets_topic == "_tailrace_offsets"


def test_servers() -> None:
    access = settings(bootstrap_servers="a:9092, [::1]:9093").access(Path())
    assert access.servers == ("a:9092", "[::1]:9093")


def test_topic_settings_become_kafkas_text() -> None:
    given = {"retention.ms": 86400000, "min.cleanable.dirty.ratio": 0.5, "preallocate": True, "a": "b"}
    assert settings(topic_settings=given).topic_settings == {
        "retention.ms": "86400000",
        "min.cleanable.dirty.ratio": "0.5",
        "preallocate": "true",
        "a": "b",
    }


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"bootstrap_servers": "localhost"}, "found 'localhost': write localhost:9092, if"),
        ({"bootstrap_servers": "a:9092,b:99999"}, "expected host:port, found 'b:99999'"),
        ({"bootstrap_servers": "a:9092,"}, "expected host:port, found ''"),
        ({"bootstrap_servers": "app:hunt,er2@a:9092"}, "without a login"),
        ({"bootstrap_servers": "http://a:9092/"}, "host:port, without http://: write a:9092"),
        ({"topic": "{pipeline}.{tabel}"}, "fields are"),
        ({"topic": ""}, "at least 1 character"),
        ({"partitions": 0}, "greater than or equal to 1"),
        ({"replication_factor": 0}, "greater than or equal to 1"),
        ({"compression": "brotli"}, "'none', 'gzip', 'snappy', 'lz4' or 'zstd'"),
        ({"max_request_size": 100}, "greater than or equal to 1024"),
        ({"transaction_timeout": 1}, "greater than or equal to 10"),
        ({"offsets_topic": "a b"}, "match pattern"),
        ({"headers": {"positon": True}}, "Extra inputs are not permitted"),
        ({"acks": 1}, "Extra inputs are not permitted"),
        ({"topic_settings": [1]}, "valid dictionary"),
        ({"security_protocol": "TLS"}, "'PLAINTEXT', 'SSL', 'SASL_PLAINTEXT' or 'SASL_SSL'"),
        ({"security_protocol": "SASL_SSL"}, "needs sasl_mechanism, sasl_username, sasl_password"),
        ({**LOGIN, "sasl_mechanism": "GSSAPI"}, "'PLAIN', 'SCRAM-SHA-256' or 'SCRAM-SHA-512'"),
        ({**LOGIN, "security_protocol": "SSL"}, "sasl_password needs security_protocol SASL_SSL"),
        ({"ssl_ca_location": "ca.pem"}, "ssl_ca_location needs security_protocol SSL or SASL_SSL"),
        (
            {"security_protocol": "SSL", "ssl_key_location": "key.pem"},
            "ssl_key_location is given without ssl_certificate_location",
        ),
    ],
)
def test_faults(values: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint.replace("'", ".")):
        settings(**values)


def test_every_key_is_described() -> None:
    schema = KafkaSettings.model_json_schema()
    declared = [schema, *schema["$defs"].values()]
    assert all(key["description"] for one in declared for key in one["properties"].values())
