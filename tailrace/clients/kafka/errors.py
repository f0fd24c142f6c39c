"""What Kafka's errors mean for a pipeline: one table, error → code, policy, remedy."""

from __future__ import annotations

import logging
import re
import ssl
from typing import Final, NamedTuple

from aiokafka import errors as kafka

from tailrace.errors import Code, Fenced, NotReady, Retry, Stop, TailraceError, code

UNREACHABLE = code(
    "TR-KAFKA-001",
    "Kafka cannot be reached",
    "No broker answers, or none that leads what is asked for. It is tried again until one does.",
)
NOT_NOW = code(
    "TR-KAFKA-002",
    "Kafka cannot do this now",
    "A broker answers with an error that passes: a leader is being elected, a replica is missing, a request "
    "timed out, a producer has lost its place. It is tried again with a new producer.",
)
FENCED = code(
    "TR-KAFKA-003",
    "a newer producer, or a transaction that took too long",
    "Kafka fences a producer when another one starts under its transactional id, and when its transaction "
    "outlives the timeout. The stored checkpoint tells which it was.",
)
NOT_AUTHORISED = code(
    "TR-KAFKA-004",
    "not authorised in Kafka",
    "The broker's access control refuses what the pipeline needs.",
)
NOT_SUPPORTED = code(
    "TR-KAFKA-005",
    "this Kafka cannot be used",
    "The broker's version or settings rule out transactions or the message format that is needed.",
)
REFUSED = code(
    "TR-KAFKA-006",
    "Kafka refuses",
    "The broker refuses a request for good: trying the same again would change nothing.",
)

LOGIN = code(
    "TR-KAFKA-007",
    "Kafka refuses the login",
    "The broker takes neither the user and password nor the mechanism that the settings name, or asks for a "
    "login where none is given, or for none where one is.",
)
TLS = code(
    "TR-KAFKA-008",
    "no TLS with Kafka",
    "The certificate of a broker is not trusted, has expired or names another host, the broker does not "
    "accept the client's, or only one of both sides speaks TLS.",
)

# aiokafka logs whatever it also raises, with tracebacks; what is made of it here says the same with a remedy.
# A level that was set before stays.
if (_log := logging.getLogger("aiokafka")).level == logging.NOTSET:
    _log.setLevel(logging.CRITICAL)

_BROKER: Final = re.compile(
    r"\[?\('(?P<host>[^']*)', (?P<port>\d+), (?:<[^>]*>|\w+)\)\]?"
)  # as aiokafka shows it

FAILURES: Final = (
    kafka.KafkaError,
    kafka.IllegalOperation,
    kafka.ConsumerStoppedError,
    AssertionError,  # aiokafka asserts what a broker's answer or a lost connection can make untrue
    NotImplementedError,  # no version of a request that client and broker share
    OSError,
    TimeoutError,
)
"""What a call into aiokafka may raise because of the network or the broker."""


class InvalidRecord(kafka.BrokerResponseError):  # type: ignore[misc]  # its base has no types
    """Younger than aiokafka, which takes it for an error that passes. It does not say what is wrong."""

    errno = 87
    message = "INVALID_RECORD"
    description = (
        "The broker failed the validation of a record: where a topic is compacted, one without a key"
    )


kafka.kafka_errors[InvalidRecord.errno] = InvalidRecord


class _Verdict(NamedTuple):
    code: Code
    kind: type[TailraceError]
    remedy: str


_UNREACHABLE = _Verdict(
    UNREACHABLE,
    Retry,
    "Check bootstrap_servers, that the broker runs (one whose disk is full ends by itself), and the way to "
    "it.",
)
_NOT_NOW = _Verdict(NOT_NOW, Retry, "Nothing, if it passes. Else look at the broker's log.")
_FENCED = _Verdict(
    FENCED, Fenced, "Run one process per pipeline. If there is one, raise transaction_timeout."
)
_NOT_AUTHORISED = _Verdict(
    NOT_AUTHORISED,
    NotReady,
    "Grant Read, Write, Create and DescribeConfigs on the topics and the offsets topic, and Write on the "
    "transactional id. `tailrace doctor FILE` tells what is missing, with the commands.",
)
_TOO_LARGE = _Verdict(
    REFUSED,
    Stop,
    "Lower the sink's max_request_size, or raise the topic's max.message.bytes and segment.bytes.",
)
_NOT_SUPPORTED = _Verdict(NOT_SUPPORTED, NotReady, "Use Apache Kafka 2.4 or later.")
_REFUSED = _Verdict(REFUSED, Stop, "Look at the broker's log for the reason, and mend it there.")

_LOGIN = _Verdict(LOGIN, NotReady, "Check sasl_mechanism, sasl_username and sasl_password.")

_TABLE: Final[dict[type[Exception], _Verdict]] = {
    kafka.KafkaConnectionError: _UNREACHABLE,
    kafka.NodeNotReadyError: _UNREACHABLE,
    kafka.NoBrokersAvailable: _UNREACHABLE,
    kafka.BrokerNotAvailableError: _UNREACHABLE,
    kafka.ProducerFenced: _FENCED,
    kafka.InvalidProducerEpoch: _FENCED,
    kafka.InvalidProducerIdMapping: _FENCED,  # the id expired while it was idle
    kafka.InvalidTxnState: _FENCED,
    kafka.TopicAuthorizationFailedError: _NOT_AUTHORISED,
    kafka.GroupAuthorizationFailedError: _NOT_AUTHORISED,
    kafka.ClusterAuthorizationFailedError: _NOT_AUTHORISED,
    kafka.TransactionalIdAuthorizationFailed: _NOT_AUTHORISED,
    kafka.AuthenticationFailedError: _LOGIN,
    kafka.SaslAuthenticationFailed: _LOGIN,
    kafka.UnsupportedSaslMechanismError: _Verdict(
        LOGIN, NotReady, "Choose a sasl_mechanism that the listener offers."
    ),
    kafka.IllegalSaslStateError: _Verdict(
        LOGIN, NotReady, "The listener asks for no login: write security_protocol SSL or PLAINTEXT."
    ),
    kafka.InvalidTransactionTimeout: _Verdict(
        NOT_SUPPORTED,
        NotReady,
        "Lower the sink's transaction_timeout, or raise the broker's transaction.max.timeout.ms.",
    ),
    kafka.InvalidTimestampError: _Verdict(
        REFUSED,
        Stop,
        "Records bear the time of their database commit. Check both clocks and the topic's "
        "message.timestamp.before.max.ms and message.timestamp.after.max.ms.",
    ),
    InvalidRecord: _Verdict(
        REFUSED,
        Stop,
        "Grant DescribeConfigs on the topics to the pipeline's user, and start again: where it may read a "
        "topic's settings it names the event, and what to do. If it may: look at the broker's log.",
    ),
    kafka.MessageSizeTooLargeError: _TOO_LARGE,
    kafka.RecordListTooLargeError: _TOO_LARGE,
    kafka.UnsupportedVersionError: _NOT_SUPPORTED,
    kafka.UnsupportedForMessageFormatError: _NOT_SUPPORTED,
    kafka.IncompatibleBrokerVersion: _NOT_SUPPORTED,
    kafka.UnrecognizedBrokerVersion: _NOT_SUPPORTED,
    NotImplementedError: _NOT_SUPPORTED,
    kafka.OutOfOrderSequenceNumber: _NOT_NOW,  # these two: the broker lost what it knew of the producer
    kafka.UnknownProducerId: _NOT_NOW,
    kafka.ConcurrentTransactions: _NOT_NOW,
    kafka.TransactionCoordinatorFenced: _NOT_NOW,
    kafka.CorruptRecordException: _NOT_NOW,  # damaged on its way: the CRC is checked on both sides
    kafka.KafkaTimeoutError: _NOT_NOW,
    kafka.UnknownError: _NOT_NOW,  # also any error that is younger than aiokafka
    kafka.ProducerClosed: _NOT_NOW,
}


def translate(error: BaseException, doing: str, *, where: str) -> TailraceError:
    """The error to raise instead of one of FAILURES. `doing` says what was tried: "creating topic x"."""
    cause = _root(error)
    verdict = next((_TABLE[kind] for kind in type(cause).__mro__ if kind in _TABLE), None)
    if verdict in (None, _UNREACHABLE) and (broken := _handshake(error)) is not None:
        cause, verdict = broken
    if verdict is None:
        if isinstance(cause, kafka.KafkaError):
            verdict = _NOT_NOW if cause.retriable or type(cause) is kafka.KafkaError else _REFUSED
        else:
            verdict = _UNREACHABLE if isinstance(cause, OSError) else _NOT_NOW
    made = verdict.kind(verdict.code, f"{doing}: {_describe(cause)}", verdict.remedy, where=where)
    made.__cause__ = error
    return made


def _handshake(error: BaseException) -> tuple[BaseException, _Verdict] | None:
    """The part of a failure that says that certificates do not fit, and what to do; None if there is none."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ssl.SSLError):
        cause = cause.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        if cause.verify_code == 10:
            remedy = "Renew the certificate of the broker, or set the clock of this machine."
        elif cause.verify_code in (62, 64):  # a name, an address
            remedy = (
                "Name the brokers in bootstrap_servers and in their advertised.listeners as their "
                "certificates do, or write ssl_endpoint_identification_algorithm: none."
            )
        else:
            remedy = "Name the authority that signed the brokers' certificates in ssl_ca_location."
        return cause, _Verdict(TLS, NotReady, remedy)
    if isinstance(cause, ssl.SSLError) and any(
        word in (getattr(cause, "reason", None) or "")
        for word in ("CERTIFICATE", "UNKNOWN_CA", "HANDSHAKE_FAILURE")
    ):
        remedy = (
            "The broker wants a certificate of the client's that it trusts: check ssl_certificate_location "
            "and ssl_key_location."
        )
        return cause, _Verdict(TLS, NotReady, remedy)
    return None


def _root(error: BaseException) -> BaseException:
    """A sender that dies of an error it does not know wraps it in a bare KafkaError."""
    while type(error) is kafka.KafkaError and error.__cause__ is not None:
        error = error.__cause__
    return error


def _describe(error: BaseException) -> str:
    if isinstance(error, kafka.ProducerFenced):  # its own text guesses at the reason
        return "the producer was fenced"
    text = str(error)
    if isinstance(error, kafka.BrokerResponseError) and not error.args:
        text = f"{text}: {error.description}" if error.description else text
    elif isinstance(error, TimeoutError) and not text:
        text = "no answer in time"
    text = _BROKER.sub(r"\g<host>:\g<port>", text)
    return " ".join(text.split()) or type(error).__name__
