"""Where a MySQL or MariaDB server is, who logs in there, and how the line is kept from others."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias
from urllib.parse import unquote, urlsplit

from tailrace.errors import NotReady, code
from tailrace.secrets import SecretFile

TLS = code(
    "TR-MY-012",
    "TLS fails",
    "The server does not offer the TLS that ssl_mode asks for, its certificate is not trusted, or it does "
    "not take the client's.",
)

TlsMode: TypeAlias = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]

_SCHEMES: Final = ("mysql", "mariadb")
_PORT: Final = 3306


@dataclass(frozen=True, slots=True)
class Tls:
    """How a connection is encrypted, and whom it trusts: the modes that the servers' own clients have."""

    mode: TlsMode = "preferred"
    ca: Path | None = None  # of the authorities that are trusted; None: those of this machine
    cert: Path | None = None
    key: Path | None = None

    def context(self) -> ssl.SSLContext | None:
        """None where the mode is `disabled`. NotReady where a file cannot be used."""
        if self.mode == "disabled":
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self.mode == "verify_identity"
        if not self.mode.startswith("verify"):
            context.verify_mode = ssl.CERT_NONE
        file: Path | None = None
        try:
            if self.mode.startswith("verify"):
                if (file := self.ca) is None:
                    context.load_default_certs()
                else:
                    context.load_verify_locations(file)
            if (file := self.cert) is not None:
                context.load_cert_chain(file, self.key)
        except (OSError, ssl.SSLError) as error:
            raise NotReady(
                TLS,
                f"{file}: {error.strerror or error}",
                "Let ssl_ca, ssl_cert and ssl_key name files in PEM that this process may read; the key "
                "belongs to the certificate and has no password.",
            ) from None
        return context


@dataclass(frozen=True, repr=False, slots=True)
class Address:
    """What a URL says; a password is kept apart from everything that may be shown."""

    host: str
    port: int
    user: str
    database: str  # empty: none
    password: str | SecretFile | None = None
    tls: Tls = Tls()

    @classmethod
    def parse(cls, url: str, password: str | SecretFile | None = None, tls: Tls = Tls()) -> Address:
        """Read a URL; `password` stands in for one inside it. ValueError says what is wrong and shows neither
        of them."""
        looks = "a MySQL URL looks like mysql://user@host:3306/database"
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or _PORT
        except ValueError:
            raise ValueError(f"{looks}; the port is a number up to 65535") from None
        if parts.scheme not in _SCHEMES or not host:
            raise ValueError(looks)
        if parts.query or parts.fragment:
            raise ValueError(
                "nothing stands behind the database in a MySQL URL: TLS is said beside it, as in "
                "ssl_mode: verify_identity; in user and password write every character but letters, digits "
                "and -._~ as %XX, or keep the password out of it"
            )
        database = unquote(parts.path.removeprefix("/"))
        if "/" in database or not parts.username:
            raise ValueError(looks)
        inside = None if parts.password is None else unquote(parts.password)
        if inside is not None and password is not None:
            raise ValueError("a password stands inside the URL and beside it")
        return cls(host, port, unquote(parts.username), database, inside or password, tls)

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        """host:port, fit to be shown."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
