"""TLS in every mode of libpq, and what is said where it fails."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from urllib.parse import urlencode

import pytest
from psycopg.sql import SQL

from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import connected, rows
from tailrace.errors import Retry, TailraceError
from tests.conftest import POSTGRES_URL
from tests.integration.following import following
from tests.servers import Postgres, PostgresServer
from tests.servers.certificates import Authority, Certificate
from tests.waiting import wait_until

# `certified` enters with a client certificate, `encrypted` only over TLS.
_HBA = """\
host     all  postgres   127.0.0.1/32  trust
hostssl  all  certified  127.0.0.1/32  cert
hostssl  all  encrypted  127.0.0.1/32  trust
"""


class Server:
    """A server with TLS: its authority, and a certificate for 127.0.0.1 unless `use` changes that."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server = server
        self.authority = Authority(folder / "authority", "authority")
        self.stranger = Authority(folder / "stranger", "stranger")
        self.good = self.authority.issue("server", ["IP:127.0.0.1"])
        (server.data / "pg_hba.conf").write_text(_HBA)
        (server.data / "root.crt").write_bytes(self.authority.certificate.read_bytes())
        self._install(self.good)
        server.settings |= {"ssl": "on", "ssl_ca_file": "root.crt"}
        server.start()
        server.execute("CREATE TABLE t (id int PRIMARY KEY)")
        for role in ("certified", "encrypted"):
            server.execute(f"CREATE ROLE {role} SUPERUSER LOGIN")

    def use(self, certificate: Certificate) -> None:
        """Show another certificate from now on."""
        [(before,)] = self.server.execute("SELECT pg_conf_load_time()")
        self._install(certificate)
        self.server.execute("SELECT pg_reload_conf()")
        wait_until(lambda: self.server.execute("SELECT pg_conf_load_time()") != [(before,)], "the reload")

    def url(self, user: str = "postgres", /, **parameters: str | Path) -> str:
        shown = {name: str(value) for name, value in parameters.items()}
        return f"{self.server.url(user=user)}?{urlencode(shown)}"

    def _install(self, certificate: Certificate) -> None:
        owner = self.server.data.stat()
        for name, path in (("server.crt", certificate.certificate), ("server.key", certificate.key)):
            target = self.server.data / name
            target.write_bytes(path.read_bytes())
            target.chmod(0o600)
            os.chown(target, owner.st_uid, owner.st_gid)


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    if POSTGRES_URL:
        pytest.skip("a given server (TAILRACE_TEST_POSTGRES_URL) is not configured")
    server = PostgresServer(18)
    try:
        yield Server(server, tmp_path_factory.mktemp("certificates"))
    finally:
        server.remove()


@pytest.fixture(autouse=True)
def _no_files_of_our_own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """~/.postgresql/root.crt and the like."""
    monkeypatch.setenv("HOME", str(tmp_path))


async def _encrypted(url: str) -> bool:
    address = Address.parse(url)
    async with connected(address, "tailrace", replication=True) as connection:
        [(found,)] = await rows(
            connection, address, SQL("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
        )
        return bool(found)


async def _refusal(url: str) -> TailraceError:
    with pytest.raises(TailraceError) as refused:
        await _encrypted(url)
    return refused.value


@pytest.mark.parametrize(
    ("parameters", "encrypted"),
    [
        ({"sslmode": "disable"}, False),
        ({"sslmode": "allow"}, False),
        ({"sslmode": "prefer"}, True),
        ({"sslmode": "require"}, True),
        ({"sslmode": "verify-ca"}, True),
        ({"sslmode": "verify-full"}, True),
        ({"sslmode": "verify-full", "sslnegotiation": "direct"}, True),
    ],
)
async def test_every_mode(tls: Server, parameters: Mapping[str, str], encrypted: bool) -> None:
    given: dict[str, str | Path] = {**parameters}
    if "verify" in parameters["sslmode"]:
        given["sslrootcert"] = tls.authority.certificate
    assert await _encrypted(tls.url(**given)) is encrypted


@pytest.mark.parametrize("sslmode", ["verify-ca", "verify-full"])
async def test_an_authority_that_is_not_trusted(tls: Server, sslmode: str) -> None:
    error = await _refusal(tls.url(sslmode=sslmode, sslrootcert=tls.stranger.certificate))
    assert error.code.id == "TR-PG-012"
    assert f"{tls.server.port}/postgres: self-signed certificate in certificate chain" in error.found
    assert "Let sslrootcert in the URL name" in error.remedy
    error = await _refusal(tls.url(sslmode=sslmode, sslrootcert="/nowhere/root.crt"))
    assert error.code.id == "TR-PG-012"
    assert "/nowhere/root.crt" in error.found
    assert "Let sslrootcert in the URL name" in error.remedy
    error = await _refusal(tls.url(sslmode=sslmode))  # and there is no ~/.postgresql/root.crt
    assert "Let sslrootcert in the URL name" in error.remedy


async def test_another_host_name(tls: Server) -> None:
    tls.use(tls.authority.issue("other", ["DNS:db.example"]))
    try:
        error = await _refusal(tls.url(sslmode="verify-full", sslrootcert=tls.authority.certificate))
        assert error.code.id == "TR-PG-012"
        assert 'does not match host name "127.0.0.1"' in error.found
        assert "sslmode=verify-ca" in error.remedy
        assert await _encrypted(tls.url(sslmode="verify-ca", sslrootcert=tls.authority.certificate))
    finally:
        tls.use(tls.good)


@pytest.mark.parametrize("direct", [{}, {"sslnegotiation": "direct"}])
async def test_an_expired_certificate(tls: Server, direct: Mapping[str, str]) -> None:
    tls.use(tls.authority.issue("server", ["IP:127.0.0.1"], expired=True))
    try:
        url = tls.url(sslmode="verify-full", sslrootcert=tls.authority.certificate, **direct)
        error = await _refusal(url)
        assert error.code.id == "TR-PG-012"
        assert "certificate has expired" in error.found
        assert "Renew the certificate on the server" in error.remedy
    finally:
        tls.use(tls.good)


async def test_a_client_certificate(tls: Server, tmp_path: Path) -> None:
    own = tls.authority.issue("certified")
    shown: dict[str, str | Path] = {"sslmode": "verify-full", "sslrootcert": tls.authority.certificate}
    url = tls.url("certified", **shown, sslcert=own.certificate, sslkey=own.key)
    async with following(tls.server, "postgres", url=url) as follower:
        told = [finding.found for finding in await follower.source.check()]
        assert "the role may stream, over TLS, and a WAL sender is free" in told
        [(who,)] = follower.sql("SELECT client_dn FROM pg_stat_ssl JOIN pg_stat_replication USING (pid)")
        assert who == "/CN=certified"
        follower.sql("INSERT INTO t VALUES (1)")
        assert len(await follower.told()) == 1
    error = await _refusal(tls.url("certified", **shown))
    assert (error.code.id, error.remedy) == (
        "TR-PG-012", "Let sslcert and sslkey in the URL name a client certificate and its key.",
    )  # fmt: skip
    foreign = tls.stranger.issue("certified")
    error = await _refusal(tls.url("certified", **shown, sslcert=foreign.certificate, sslkey=foreign.key))
    assert error.code.id == "TR-PG-012"
    assert "The server does not take the client certificate" in error.remedy
    expired = tls.authority.issue("certified", expired=True)
    error = await _refusal(tls.url("certified", **shown, sslcert=expired.certificate, sslkey=expired.key))
    assert "The server does not take the client certificate" in error.remedy
    another = tls.authority.issue("another")
    error = await _refusal(tls.url("certified", **shown, sslcert=another.certificate, sslkey=another.key))
    assert error.code.id == "TR-PG-010"
    assert "CN must be certified" in error.remedy.replace('"', "")
    error = await _refusal(tls.url("certified", **shown, sslcert=own.certificate, sslkey=another.key))
    assert "the key belongs to the certificate" in error.remedy
    error = await _refusal(tls.url("certified", **shown, sslcert=own.certificate, sslkey="/nowhere.key"))
    assert "Correct sslcert and sslkey" in error.remedy
    open_key = tmp_path / "open.key"
    open_key.write_bytes(own.key.read_bytes())
    open_key.chmod(0o644)
    error = await _refusal(tls.url("certified", **shown, sslcert=own.certificate, sslkey=open_key))
    assert "chmod 600" in error.remedy


async def test_a_user_that_may_come_with_tls_only(tls: Server) -> None:
    error = await _refusal(tls.url("encrypted", sslmode="disable"))
    assert error.code.id == "TR-PG-010"
    assert "?sslmode=require" in error.remedy
    assert await _encrypted(tls.url("encrypted", sslmode="require"))


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
async def test_a_server_without_tls(tls: Server, postgres18: Postgres, sslmode: str) -> None:
    url = f"{postgres18.url()}?sslmode={sslmode}&sslrootcert={tls.authority.certificate}"
    error = await _refusal(url)
    assert error.code.id == "TR-PG-012"
    assert "does not support SSL" in error.found
    assert "ssl = on" in error.remedy


async def test_direct_negotiation_with_a_server_before_17(postgres16: Postgres) -> None:
    error = await _refusal(f"{postgres16.url()}?sslmode=require&sslnegotiation=direct")
    assert isinstance(error, Retry)
    assert "Servers before 17" in error.remedy
    error = await _refusal(f"{postgres16.url()}?sslmode=prefer&sslnegotiation=direct")
    assert error.code.id == "TR-PG-012"


async def test_a_server_that_ends_in_the_handshake() -> None:
    """Which is what a server does that is killed at that moment."""

    async def end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readexactly(8)
        writer.write(b"S")
        await reader.read(1)
        writer.close()

    async with await asyncio.start_server(end, "127.0.0.1") as ending:
        port = ending.sockets[0].getsockname()[1]
        error = await _refusal(f"postgresql://app@127.0.0.1:{port}/shop?sslmode=require")
        assert (type(error), error.code.id) == (Retry, "TR-PG-001")
