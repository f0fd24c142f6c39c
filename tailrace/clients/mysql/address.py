"""Where a MySQL or MariaDB server is, or several that replicate from each other, who logs in there, and how
the line is kept from others."""

from __future__ import annotations

import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

SessionAttributes: TypeAlias = Literal["any", "primary"]
"""Which of several servers is wanted: the first that answers, or the first that takes writes."""

TlsMode: TypeAlias = Literal["disabled", "preferred", "required", "verify_ca", "verify_identity"]

_SCHEMES: Final = ("mysql", "mariadb")
_PORT: Final = 3306

_LOOKS: Final = "a MySQL URL looks like mysql://user@host:3306/database"
_QUOTE: Final = (
    "in user and password write every character but letters, digits and -._~ as %XX (/ is %2F, @ is %40), or "
    "keep the password out of it: password: ${MYSQL_PWD} beside the URL"
)


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
    others: tuple[tuple[str, int], ...] = ()  # host and port of those that are tried behind it, in order
    primary: bool = False  # a server that takes no writes is passed over

    @classmethod
    def parse(
        cls,
        url: str,
        password: str | SecretFile | None = None,
        tls: Tls = Tls(),
        attributes: SessionAttributes | None = None,
    ) -> Address:
        """Read a URL; `password` stands in for one inside it. ValueError says what is wrong and shows neither
        of them. Where `attributes` are not said, of several hosts the primary is wanted, one alone is not
        asked."""
        _check_scheme(url)
        if "@" in re.sub(r"^[^/]*//[^/?#]*", "", url):
            raise ValueError(f"{_LOOKS}; an @ stands behind the host, where a /, ? or # ended it: {_QUOTE}")
        first, *others = _servers(url)
        try:
            parts = urlsplit(first)
            host, port = parts.hostname, parts.port or _PORT
            behind = tuple([_server(one) for one in others])
        except ValueError:
            raise ValueError(f"{_LOOKS}; the port is a number up to 65535; {_QUOTE}") from None
        if not host or not all(name for name, _ in behind):
            raise ValueError(f"{_LOOKS}; a host is missing in it")
        if not parts.username:
            raise ValueError(f"{_LOOKS}; the user is missing in it")
        if parts.query or parts.fragment:
            raise ValueError(
                "nothing stands behind the database in a MySQL URL: TLS is said beside it, as in "
                f"ssl_mode: verify_identity, and so is target_session_attrs; {_QUOTE}"
            )
        if re.search(r"\s", ",".join([host, *[name for name, _ in behind]])):
            raise ValueError(f"{_LOOKS}; no blank stands in it, nor between several hosts: db1:3306,db2:3306")
        database = unquote(parts.path.removeprefix("/"))
        if "/" in database:
            raise ValueError(f"{_LOOKS}; one database stands behind the host, or none")
        inside = None if parts.password is None else unquote(parts.password)
        if inside is not None and password is not None:
            raise ValueError("a password stands inside the URL and beside it: leave one of them out")
        primary = bool(behind) if attributes is None else attributes == "primary"
        user = unquote(parts.username)
        return cls(host, port, user, database, inside or password, tls, behind, primary)

    def each(self) -> Sequence[Address]:
        """The servers one by one, in the order in which they are tried."""
        return [self.at(host, port) for host, port in ((self.host, self.port), *self.others)]

    def at(self, host: str, port: int) -> Address:
        """One of the servers alone."""
        return replace(self, host=host, port=port, others=())

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        """host:port, of several servers parted by commas; fit to be shown."""
        servers = ((self.host, self.port), *self.others)
        return ",".join([f"[{host}]:{port}" if ":" in host else f"{host}:{port}" for host, port in servers])


def _check_scheme(url: str) -> None:
    """Raises ValueError, which shows of the URL what stands before ://, if that can be no password."""
    scheme, colon, _ = url.partition("://")
    if scheme.lower() in _SCHEMES and colon:
        return
    if scheme.lower().startswith("jdbc:"):
        raise ValueError(f"{_LOOKS}; this is one of JDBC: leave jdbc: out, and write user@ before the host")
    shown = f"; it begins with {scheme}://" if colon and re.fullmatch(r"[a-z][a-z+]{1,20}", scheme) else ""
    raise ValueError(f"{_LOOKS}{shown or '; it begins with something else'}")


def _servers(url: str) -> Sequence[str]:
    """The URL with the first of its servers alone, then the others as they stand in it."""
    begin = url.find("//") + 2
    authority = re.match(r"[^/?#]*", url[begin:])
    assert authority is not None  # it may be empty
    end = begin + authority.end()
    login, at, servers = url[begin:end].rpartition("@")
    first, *others = servers.split(",")
    return f"{url[:begin]}{login}{at}{first}{url[end:]}", *others


def _server(text: str) -> tuple[str, int]:
    """Host, which may be empty, and port. Raises ValueError."""
    parts = urlsplit(f"//{text}")
    if parts.username is not None:
        raise ValueError("the login stands before the first host")
    return parts.hostname or "", parts.port or _PORT
