"""One broker with a listener for each way in, and with access control for all but the test's own listener."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conftest import KAFKA_BOOTSTRAP
from tests.servers import Kafka, KafkaServer
from tests.servers.certificates import Authority

PASSWORD: Final = "s3cret-pass'word"
_LISTENERS: Final = {
    "SASLTLS": "SASL_SSL",
    "SASLPLAIN": "SASL_PLAINTEXT",
    "TLS": "SSL",
    "MUTUAL": "SSL",
    "EXPIRED": "SSL",
    "OTHERNAME": "SSL",
}


class SecuredKafka(Kafka):
    """The broker, and the files that lead into it. `bootstrap_servers` is the open listener, for the test."""

    def __init__(self, server: KafkaServer, authority: Authority, stranger: Authority) -> None:
        super().__init__(server.bootstrap_servers)
        self.server = server
        self.authority = authority
        self.stranger = stranger

    def at(self, listener: str) -> str:
        """The bootstrap server of a listener."""
        return f"127.0.0.1:{self.server.ports[listener]}"

    def settings(self, listener: str, **changed: Any) -> dict[str, Any]:
        """What a pipeline's file says to get in there, unless `changed`; None leaves a setting out."""
        protocol = {**_LISTENERS, "BROKER": "PLAINTEXT"}[listener]
        settings: dict[str, Any] = {
            "bootstrap_servers": self.at(listener),
            "security_protocol": protocol,
        }
        if protocol.startswith("SASL"):
            settings |= {
                "sasl_mechanism": "SCRAM-SHA-256",
                "sasl_username": "admin",
                "sasl_password": PASSWORD,
            }
        if protocol.endswith("SSL"):
            settings["ssl_ca_location"] = str(self.authority.certificate)
        if listener == "MUTUAL":
            settings["ssl_certificate_location"] = str(self.authority.folder / "client.whole.pem")
        return {name: value for name, value in {**settings, **changed}.items() if value is not None}


@pytest.fixture(scope="session")
def certificates() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:  # not pytest's: that is closed to the broker's account
        yield Path(folder)


@pytest.fixture(scope="package")  # an idle broker costs every later test its share
def secured(certificates: Path) -> Iterator[SecuredKafka]:
    if KAFKA_BOOTSTRAP:
        pytest.skip("a given server (TAILRACE_TEST_KAFKA_BOOTSTRAP) is not configured")
    folder = certificates
    folder.chmod(0o755)  # the broker has an account of its own
    authority = Authority(folder / "authority", "authority")
    stranger = Authority(folder / "stranger", "stranger")
    here = ["IP:127.0.0.1"]
    stores = {
        "": authority.issue("broker", here).whole,
        "listener.name.expired.": authority.issue("broker", here, expired=True).whole,
        "listener.name.othername.": authority.issue("othername", ["DNS:kafka.example"]).whole,
    }
    authority.issue("client")
    authority.issue("locked", password=PASSWORD)
    stranger.issue("client")
    settings: dict[str, str | int] = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "super.users": "User:ANONYMOUS;User:admin;User:CN=client;User:CN=locked",
        "listener.name.mutual.ssl.client.auth": "required",
    }
    for prefix, store in stores.items():
        settings[f"{prefix}ssl.keystore.type"] = settings[f"{prefix}ssl.truststore.type"] = "PEM"
        settings[f"{prefix}ssl.keystore.location"] = str(store)
        settings[f"{prefix}ssl.truststore.location"] = str(authority.certificate)
    logins = "org.apache.kafka.common.security"
    for listener in ("sasltls", "saslplain"):
        logged_in = " ".join(f'user_{name}="{PASSWORD}"' for name in ("admin", "tailrace"))
        jaas = f"listener.name.{listener}"
        settings[f"{jaas}.plain.sasl.jaas.config"] = f"{logins}.plain.PlainLoginModule required {logged_in};"
        for mechanism in ("scram-sha-256", "scram-sha-512"):
            settings[f"{jaas}.{mechanism}.sasl.jaas.config"] = f"{logins}.scram.ScramLoginModule required;"
    users = [
        f"--add-scram={mechanism}=[name={name},password=\"{PASSWORD}\"]"
        for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")
        for name in ("admin", "tailrace")
    ]  # fmt: skip
    with KafkaServer(settings, listeners=_LISTENERS, format_options=users) as server:
        yield SecuredKafka(server, authority, stranger)
