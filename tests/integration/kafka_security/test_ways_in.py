"""Logins and TLS: the right way in delivers, every wrong one stops at once and says what to do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from sinks.kafka import KafkaSettings, KafkaSink
from tailrace.abc import SinkContext
from tailrace.errors import NotReady
from tailrace.testing.events import PlainFormat, Stream, checkpoint, delivered, table
from tests.integration.kafka_security.conftest import PASSWORD, SecuredKafka
from tests.kafka_reader import read_committed

ORDERS = table("orders")


@pytest.fixture
async def make_sink(topic_prefix: str) -> AsyncIterator[Callable[..., KafkaSink]]:
    made: list[KafkaSink] = []

    def make(**settings: Any) -> KafkaSink:
        declared = KafkaSettings.model_validate(
            {"topic": topic_prefix + "{table}", "offsets_topic": topic_prefix + "offsets", **settings}
        )
        made.append(KafkaSink(declared, SinkContext(topic_prefix, "kafka", PlainFormat(), Path())))
        return made[-1]

    yield make
    for sink in made:
        await sink.close()


@pytest.mark.parametrize(
    ("listener", "changed"),
    [
        ("SASLTLS", {"sasl_mechanism": "PLAIN"}),
        ("SASLTLS", {"sasl_mechanism": "scram-sha-256"}),
        ("SASLTLS", {"sasl_mechanism": "SCRAM-SHA-512"}),
        ("SASLPLAIN", {}),
        ("TLS", {}),
        ("OTHERNAME", {"ssl_endpoint_identification_algorithm": "none"}),
        ("MUTUAL", {}),
        ("MUTUAL", {"certificate": "locked", "ssl_key_password": PASSWORD}),
    ],
)
async def test_a_right_way_in(
    listener: str,
    changed: dict[str, Any],
    secured: SecuredKafka,
    make_sink: Callable[..., KafkaSink],
    topic_prefix: str,
) -> None:
    if (certificate := changed.pop("certificate", None)) is not None:
        changed["ssl_certificate_location"] = str(secured.authority.folder / f"{certificate}.crt")
        changed["ssl_key_location"] = str(secured.authority.folder / f"{certificate}.key")
    if listener in ("TLS", "OTHERNAME"):
        return await reads_where_nothing_is_granted(make_sink(**secured.settings(listener, **changed)))
    sink = make_sink(**secured.settings(listener, **changed))
    assert [finding.error for finding in await sink.check() if finding.error] == []
    assert await sink.open() is None
    batch = Stream().inserts(ORDERS, range(10))
    await sink.write(sink.prepare(batch))
    await sink.commit(checkpoint(1, batch.end))
    assert await sink.peek() == checkpoint(1, batch.end)
    records = await read_committed(secured, topic_prefix + "orders")
    assert sorted((record.key, record.value) for record in records) == sorted(delivered(batch)["orders"])
    return None


async def reads_where_nothing_is_granted(sink: KafkaSink) -> None:
    """Who shows no certificate is a user without a name, who may do everything on this broker."""
    assert await sink.open() is None


@pytest.mark.parametrize(
    ("listener", "changed", "code", "found", "remedy"),
    [
        ("SASLTLS", {"sasl_password": "wrong"}, 7, "Authentication failed", "sasl_password"),
        ("SASLTLS", {"sasl_username": "nobody"}, 7, "Authentication failed", "sasl_username"),
        (
            "SASLTLS",
            {"sasl_password": "wrong", "sasl_mechanism": "PLAIN"},
            7,
            "Authentication failed",
            "sasl_password",
        ),
        ("SASLTLS", {"ssl_ca_location": "STRANGER"}, 8, "verify failed", "ssl_ca_location"),
        ("SASLTLS", {"ssl_ca_location": None}, 8, "verify failed", "ssl_ca_location"),
        ("OTHERNAME", {}, 8, "IP address mismatch", "ssl_endpoint_identification_algorithm"),
        ("EXPIRED", {}, 8, "certificate has expired", "Renew"),
        ("MUTUAL", {"ssl_certificate_location": None}, 8, "", "ssl_certificate_location"),
        ("MUTUAL", {"ssl_certificate_location": "STRANGER"}, 8, "", "ssl_certificate_location"),
        ("BROKER", {"security_protocol": "SSL"}, 8, "speaks no TLS", "security_protocol"),
        (
            "SASLTLS",
            {
                "security_protocol": "SASL_PLAINTEXT",
                "ssl_ca_location": None,
            },
            8,
            "speaks TLS there",
            "security_protocol: SASL_SSL",
        ),
        (
            "SASLPLAIN",
            {
                "security_protocol": "PLAINTEXT",
                "sasl_mechanism": None,
                "sasl_username": None,
                "sasl_password": None,
            },
            7,
            "asks for a login",
            "sasl_username",
        ),
        (
            "BROKER",
            {
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "PLAIN",
                "sasl_username": "admin",
                "sasl_password": PASSWORD,
            },
            7,
            "",
            "asks for no login",
        ),
    ],
)
async def test_a_wrong_way_in_stops(
    listener: str,
    changed: dict[str, Any],
    code: int,
    found: str,
    remedy: str,
    secured: SecuredKafka,
    make_sink: Callable[..., KafkaSink],
) -> None:
    files = {
        "ssl_ca_location": secured.stranger.certificate,
        "ssl_certificate_location": secured.stranger.folder / "client.whole.pem",
    }
    changed = {name: str(files[name]) if value == "STRANGER" else value for name, value in changed.items()}
    sink = make_sink(**secured.settings(listener, **changed))
    (finding,) = await sink.check()
    for attempt in (sink.open, sink.peek):
        with pytest.raises(NotReady) as refused:
            await attempt()
        for error in (refused.value, finding.error):
            assert error is not None
            assert error.code.id == f"TR-KAFKA-{code:03}"
            assert found in error.found
            assert remedy in error.remedy
            assert PASSWORD not in f"{error}{error.remedy}"


@pytest.mark.parametrize(
    ("changed", "remedy"),
    [
        ({"ssl_ca_location": "nowhere.pem"}, "ssl_ca_location"),
        ({"ssl_certificate_location": "nowhere.pem"}, "ssl_certificate_location"),
        ({"ssl_certificate_location": "LOCKED", "ssl_key_password": "wrong"}, "ssl_key_password"),
        ({"ssl_certificate_location": "LOCKED"}, "ssl_key_password"),
    ],
)
async def test_a_file_that_cannot_be_used_stops(
    changed: dict[str, str],
    remedy: str,
    secured: SecuredKafka,
    make_sink: Callable[..., KafkaSink],
) -> None:
    locked = str(secured.authority.folder / "locked.whole.pem")
    changed = {name: locked if value == "LOCKED" else value for name, value in changed.items()}
    sink = make_sink(**secured.settings("MUTUAL", **changed))
    (finding,) = await sink.check()
    with pytest.raises(NotReady) as refused:
        await sink.open()
    for error in (refused.value, finding.error):
        assert error is not None
        assert error.code.id == "TR-KAFKA-009"
        assert remedy in error.remedy
