"""Where a Kafka is and who logs in there, in the form that aiokafka takes."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from tailrace.errors import NotReady, code

Protocol: TypeAlias = Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"]
Mechanism: TypeAlias = Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]

TLS_FILE = code(
    "TR-KAFKA-009",
    "a file for TLS cannot be used",
    "A certificate or key that the settings name cannot be read, is not PEM, does not fit its key, or its "
    "password is wrong.",
)


@dataclass(frozen=True)
class Tls:
    """Whom to trust, and what to show the broker. The files are read at each connecting, so that certificates
    can be renewed while a pipeline runs."""

    authorities: Path | None = None  # None: those that the system trusts
    certificate: Path | None = None
    key: Path | None = None  # None: it stands in the certificate's file
    key_password: str | None = field(default=None, repr=False)
    check_name: bool = True

    def context(self) -> ssl.SSLContext:
        """NotReady names the file that cannot be used."""
        try:
            context = ssl.create_default_context(cafile=self.authorities)
        except (OSError, ValueError) as error:
            raise _unusable(self.authorities, error, "ssl_ca_location") from error
        context.check_hostname = self.check_name
        if self.certificate is not None:
            # Without a callable OpenSSL would ask at the terminal.
            password = self.key_password or ""
            try:
                context.load_cert_chain(self.certificate, self.key, lambda: password)
            except (OSError, ValueError) as error:
                settings = "ssl_certificate_location, ssl_key_location and ssl_key_password"
                raise _unusable(self.certificate, error, settings) from error
        return context


@dataclass(frozen=True)
class Access:
    """Brokers to connect to first, as host:port, and how. `str` is fit to be shown."""

    servers: tuple[str, ...]
    protocol: Protocol = "PLAINTEXT"
    mechanism: Mechanism = "PLAIN"
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: Tls = Tls()

    def __str__(self) -> str:
        return ", ".join(self.servers)

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of aiokafka's connection, client and producer."""
        options: dict[str, Any] = {"security_protocol": self.protocol}
        if self.protocol.endswith("SSL"):
            options["ssl_context"] = self.tls.context()
        if self.protocol.startswith("SASL"):
            options |= {
                "sasl_mechanism": self.mechanism,
                "sasl_plain_username": self.username,
                "sasl_plain_password": self.password,
            }
        return options


def _unusable(file: Path | None, error: Exception, settings: str) -> NotReady:
    reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return NotReady(TLS_FILE, str(reason), f"Check {settings}.", where=str(file))
