"""Kafka's errors become the policy that the engine needs."""

from __future__ import annotations

import socket
import ssl

import pytest
from aiokafka import errors as kafka

from tailrace.clients.kafka.errors import (
    FENCED,
    LOGIN,
    NOT_AUTHORISED,
    NOT_NOW,
    NOT_SUPPORTED,
    REFUSED,
    UNREACHABLE,
    translate,
)
from tailrace.errors import Code, Policy


@pytest.mark.parametrize(
    ("error", "code", "policy"),
    [
        (kafka.KafkaConnectionError("no way"), UNREACHABLE, Policy.RETRY),
        (kafka.NodeNotReadyError(), UNREACHABLE, Policy.RETRY),
        (ConnectionRefusedError(), UNREACHABLE, Policy.RETRY),
        (TimeoutError(), UNREACHABLE, Policy.RETRY),
        (kafka.NotEnoughReplicasError(), NOT_NOW, Policy.RETRY),
        (kafka.NotLeaderForPartitionError(), NOT_NOW, Policy.RETRY),
        (kafka.RequestTimedOutError(), NOT_NOW, Policy.RETRY),
        (kafka.UnknownTopicOrPartitionError(), NOT_NOW, Policy.RETRY),
        (kafka.OutOfOrderSequenceNumber(), NOT_NOW, Policy.RETRY),
        (kafka.UnknownError(), NOT_NOW, Policy.RETRY),
        (AssertionError("Unrecognized partition"), NOT_NOW, Policy.RETRY),
        (kafka.IllegalOperation("not in transaction"), NOT_NOW, Policy.RETRY),
        (kafka.ProducerFenced(), FENCED, Policy.FENCED),
        (kafka.InvalidProducerEpoch(), FENCED, Policy.FENCED),
        (kafka.InvalidProducerIdMapping(), FENCED, Policy.FENCED),
        (kafka.InvalidTxnState(), FENCED, Policy.FENCED),
        (kafka.TopicAuthorizationFailedError("orders"), NOT_AUTHORISED, Policy.STOP),
        (kafka.TransactionalIdAuthorizationFailed("tailrace.a.b"), NOT_AUTHORISED, Policy.STOP),
        (kafka.InvalidTransactionTimeout(), NOT_SUPPORTED, Policy.STOP),
        (NotImplementedError("Support for InitProducerIdRequest v9"), NOT_SUPPORTED, Policy.STOP),
        (kafka.MessageSizeTooLargeError(), REFUSED, Policy.STOP),
        (kafka.PolicyViolationError(), REFUSED, Policy.STOP),
        (kafka.for_code(87)(), REFUSED, Policy.STOP),
        (kafka.SaslAuthenticationFailed("who?"), LOGIN, Policy.STOP),
        (kafka.UnsupportedSaslMechanismError(), LOGIN, Policy.STOP),
        (ssl.SSLEOFError(8, "EOF occurred"), UNREACHABLE, Policy.RETRY),
    ],
)
def test_policies(error: Exception, code: Code, policy: Policy) -> None:
    made = translate(error, "sending to topic orders", where="broker:9092")
    assert (made.code, made.policy) == (code, policy)
    assert made.found.startswith("sending to topic orders: ")
    assert made.where == "broker:9092"
    assert made.remedy
    assert made.__cause__ is error


def test_the_sender_hides_errors_that_it_does_not_know() -> None:
    hidden = kafka.KafkaError("Unexpected error during batch delivery")
    hidden.__cause__ = kafka.InvalidProducerIdMapping()
    assert translate(hidden, "sending", where="broker:9092").policy is Policy.FENCED
    hidden.__cause__ = kafka.RequestTimedOutError()
    assert translate(hidden, "sending", where="broker:9092").policy is Policy.RETRY


def test_every_error_of_a_broker_has_a_policy_and_a_text() -> None:
    for kind in kafka.kafka_errors.values():
        made = translate(kind(), "sending", where="broker:9092")
        assert kind.__name__ in made.found or kind is kafka.NoError
        assert "\n" not in made.found
        # What a broker calls retriable is never a reason to stop.
        assert not kind.retriable or made.policy is Policy.RETRY


def test_texts_name_what_happened() -> None:
    described = translate(kafka.PolicyViolationError(), "creating topic x", where="").found
    assert described.startswith(
        "creating topic x: [Error 44] PolicyViolationError: Request parameters do not"
    )
    assert translate(TimeoutError(), "connecting", where="").found == "connecting: no answer in time"
    assert translate(kafka.ProducerFenced(), "sending", where="").found == "sending: the producer was fenced"


def test_brokers_stand_in_words_as_they_are_written() -> None:
    hosts = [("127.0.0.1", 9092, socket.AF_UNSPEC), ("::1", 9093, socket.AF_INET6)]
    error = kafka.KafkaConnectionError(f"Unable to bootstrap from {hosts}")
    found = translate(error, "connecting", where="").found
    assert found == "connecting: KafkaConnectionError: Unable to bootstrap from 127.0.0.1:9092, ::1:9093"
