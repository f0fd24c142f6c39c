"""The settings by which a sink and an offset store reach Kafka: librdkafka's names, written with `_`."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from tailrace.abc import Declaration
from tailrace.clients.kafka.access import Access, Mechanism, Protocol, Tls

_SASL: Final = ("sasl_mechanism", "sasl_username", "sasl_password")
_TLS: Final = ("ssl_ca_location", "ssl_certificate_location", "ssl_key_location", "ssl_key_password")


class KafkaAccess(Declaration):
    """Brokers, login and TLS."""

    bootstrap_servers: str = Field(
        description="Brokers to connect to first, as host:port, separated by commas.",
    )
    security_protocol: Protocol = Field(
        default="PLAINTEXT",
        description="What the listener speaks: `SSL` and `SASL_SSL` are with TLS, `SASL_…` with a login.",
    )
    sasl_mechanism: Mechanism | None = Field(
        default=None, description="How to log in. Needed where security_protocol is `SASL_…`."
    )
    sasl_username: str | None = Field(default=None, min_length=1, description="Who logs in.")
    sasl_password: SecretStr | None = Field(
        default=None, description="The user's password, usually `${KAFKA_PASSWORD}`."
    )
    ssl_ca_location: Path | None = Field(
        default=None,
        description="PEM file with the certificates of the authorities that may have signed the brokers'. "
        "Default: those that the system trusts.",
    )
    ssl_certificate_location: Path | None = Field(
        default=None,
        description="PEM file with the client's certificate, for brokers that ask for one, and with the "
        "certificates between it and its authority.",
    )
    ssl_key_location: Path | None = Field(
        default=None,
        description="PEM file with the key of that certificate. Default: it stands in the same file.",
    )
    ssl_key_password: SecretStr | None = Field(default=None, description="The key's password.")
    ssl_endpoint_identification_algorithm: Literal["https", "none"] = Field(
        default="https",
        description="`https`: a broker's certificate must name the host that is connected to. `none`: any "
        "certificate of the authorities will do.",
    )

    def access(self, base: Path) -> Access:
        """What connections are made with; relative paths begin at `base`."""

        def path(file: Path | None) -> Path | None:
            return None if file is None else base / file

        def text(secret: SecretStr | None) -> str | None:
            return None if secret is None else secret.get_secret_value()

        return Access(
            tuple(server.strip() for server in self.bootstrap_servers.split(",")),
            self.security_protocol,
            self.sasl_mechanism or "PLAIN",
            self.sasl_username,
            text(self.sasl_password),
            Tls(
                path(self.ssl_ca_location),
                path(self.ssl_certificate_location),
                path(self.ssl_key_location),
                text(self.ssl_key_password),
                check_name=self.ssl_endpoint_identification_algorithm == "https",
            ),
        )

    @field_validator("bootstrap_servers")
    @classmethod
    def _hosts_and_ports(cls, value: str) -> str:
        if "@" in value:  # told as it is nowhere, here or later: nobody can tell where the password ends
            raise ValueError(
                "a broker is written as host:port, without a login: that is sasl_username and sasl_password"
            )
        for server in value.split(","):
            scheme, is_url, rest = server.strip().partition("://")
            if is_url:
                raise ValueError(
                    f"a broker is written as host:port, without {scheme}://: write {rest.rstrip('/')}"
                )
            host, colon, port = server.strip().rpartition(":")
            if not colon or not host or not port.isdecimal() or not 0 < int(port) < 65536:
                lacks_port = server.strip() and not colon
                hint = f": write {server.strip()}:9092, if that is the port" if lacks_port else ""
                raise ValueError(f"expected host:port, found {server.strip()!r}{hint}")
        return value

    @field_validator("security_protocol", "sasl_mechanism", mode="before")
    @classmethod
    def _as_others_write_it(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @model_validator(mode="after")
    def _whole(self) -> KafkaAccess:
        """Nothing that is needed is missing, and nothing is written that would be left out of account: a
        password that nobody asks for is a login that was meant."""
        protocol = self.security_protocol
        if protocol.startswith("SASL"):
            missing = [name for name in _SASL if getattr(self, name) is None]
            if missing:
                raise ValueError(f"security_protocol {protocol} needs {', '.join(missing)}")
        else:
            self._refuse(_SASL, "SASL_SSL (or SASL_PLAINTEXT)")
        if not protocol.endswith("SSL"):
            self._refuse((*_TLS, "ssl_endpoint_identification_algorithm"), "SSL or SASL_SSL")
        if self.ssl_certificate_location is None:
            for name in ("ssl_key_location", "ssl_key_password"):
                if getattr(self, name) is not None:
                    raise ValueError(f"{name} is given without ssl_certificate_location")
        return self

    def _refuse(self, names: tuple[str, ...], wanted: str) -> None:
        written = [name for name in names if name in self.model_fields_set]
        if written:
            raise ValueError(f"{', '.join(written)} needs security_protocol {wanted}")
