"""Where a PostgreSQL server is and who logs in there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tailrace.secrets import SecretFile, reveal

_SCHEMES: Final = ("postgresql://", "postgres://")
_PATH: Final = re.compile(r"[a-z]+://[^/?]*/([^?]*)")
_LOOKS: Final = "a PostgreSQL URL looks like postgresql://user@host:5432/database"
_QUOTE: Final = (
    "in user, password and database write every character but letters, digits and -._~ as %XX (/ is %2F, @ "
    "is %40), or keep the password out of it: password: ${PGPASSWORD} beside the URL"
)
_CONNECT_SECONDS: Final = 10
_SILENT_SECONDS: Final = 30  # of a line on which nothing is acknowledged, after which the system ends it


@dataclass(frozen=True, repr=False)
class Address:
    """The parameters of a libpq URL; a password is kept apart from everything that may be shown. Others, such
    as that of a TLS key, are among the parameters, which are shown nowhere.

    TLS and the like are libpq's own parameters in the URL: `?sslmode=verify-full&sslrootcert=…`
    (https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS).
    """

    parameters: Mapping[str, str]
    password: str | SecretFile | None = None

    @classmethod
    def parse(cls, url: str, password: str | SecretFile | None = None) -> Address:
        """Read a URL; `password` stands in for one inside it. ValueError says what is wrong and shows neither
        of them."""
        if not url.startswith(_SCHEMES):
            is_jdbc = url.lower().startswith("jdbc:")
            hint = (
                "; this is one of JDBC: leave jdbc: out, and write user@ before the host" if is_jdbc else ""
            )
            raise ValueError(f"{_LOOKS}{hint}")
        # libpq would take the rest of a password that holds a / for a database, and show its begin as a port.
        path = _PATH.match(url)
        if path is not None and "@" in path[1]:
            raise ValueError(f"{_LOOKS}; an @ stands behind the host, where a / ended it: {_QUOTE}")
        try:
            parsed = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
        except psycopg.ProgrammingError:
            # libpq's message shows the part that it cannot read, which may be the password.
            raise ValueError(f"libpq cannot read the URL; {_QUOTE}") from None
        if not all(port.isdecimal() for port in parsed.get("port", "").split(",") if port):
            raise ValueError(f"{_LOOKS}; the port is a number; {_QUOTE}")
        inside = parsed.pop("password", None)
        if inside is not None and password is not None:
            raise ValueError("a password stands inside the URL and beside it: leave one of them out")
        return cls(parsed, password if inside is None else inside)

    def __repr__(self) -> str:
        return f"<Address {self}>"

    def __str__(self) -> str:
        """host:port/database, fit to be shown."""
        if "service" in self.parameters and "host" not in self.parameters:
            return f"service {self.parameters['service']}"
        hosts = self.parameters.get("host", self.parameters.get("hostaddr", "localhost")).split(",")
        ports = self.parameters.get("port", "5432").split(",")
        ports = ports * len(hosts) if len(ports) == 1 else ports
        servers = ",".join(f"{host}:{port or 5432}" for host, port in zip(hosts, ports, strict=False))
        return f"{servers}/{self.database}"

    def each(self) -> list[Address]:
        """The servers that the URL names, each in an address of its own; what it is there does not matter."""
        named = [name for name in ("host", "hostaddr", "port") if name in self.parameters]
        lists = {name: self.parameters[name].split(",") for name in named}
        count = max((len(values) for values in lists.values()), default=1)
        rest = {k: v for k, v in self.parameters.items() if k not in (*lists, "target_session_attrs")}
        return [
            Address(
                {**rest, **{k: v[0] if len(v) == 1 else v[place] for k, v in lists.items()}}, self.password
            )
            for place in range(count)
        ]

    @property
    def user(self) -> str:
        """Who logs in; empty where libpq's own default decides."""
        return self.parameters.get("user", "")

    @property
    def database(self) -> str:
        """The database; libpq's default is one that is called like the user."""
        return self.parameters.get("dbname", self.user)

    def conninfo(self, program: str, *, replication: bool) -> str:
        """libpq's connection string, the password as it is now included. `program` is shown by
        pg_stat_activity. No statement has a time limit, whatever role, database or URL say. NotReady where
        the password's file cannot be read."""
        parameters: dict[str, str | int] = {
            "connect_timeout": _CONNECT_SECONDS,
            "application_name": program,
            "tcp_user_timeout": _SILENT_SECONDS * 1000,
            "keepalives_idle": 10,
            "keepalives_interval": 5,
            "keepalives_count": _SILENT_SECONDS // 5,
            **self.parameters,
            "client_encoding": "UTF8",
        }
        parameters["options"] = f"{self.parameters.get('options', '')} -c statement_timeout=0".strip()
        if replication:
            parameters["replication"] = "database"
        if self.password is not None:
            parameters["password"] = reveal(self.password)
        return make_conninfo("", **parameters)
