"""Why a connection fails for good: aiokafka logs the reason, and raises that no broker can be reached."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Iterable
from typing import Any, Final

from aiokafka.conn import create_conn
from aiokafka.protocol.admin import SaslHandShakeRequest
from aiokafka.protocol.metadata import MetadataRequest

from tailrace.clients.kafka.access import Access
from tailrace.clients.kafka.errors import FAILURES, LOGIN, TLS, translate
from tailrace.errors import NotReady, Retry, TailraceError

_SECONDS: Final = 5.0  # for each thing that is tried
_NO_SASL_HERE: Final = 34  # the broker's answer to a login where there is none


async def refusal(access: Access, servers: Iterable[tuple[str, int]]) -> TailraceError | None:
    """What one of the brokers refuses for good. None: they are away, or take connections by now."""
    for host, port in servers:
        where = f"{host}:{port}"
        try:
            await _close(await _connect(access.options, host, port))
        except FAILURES as error:
            failure = translate(error, "connecting", where=where)
            if not isinstance(failure, Retry):
                return failure
            found = await _another_listener(access, host, port)
            if found is not None:
                return found
    return None


async def _connect(options: dict[str, Any], host: str, port: int) -> Any:
    connection = await create_conn(host, port, request_timeout_ms=int(_SECONDS * 1000), **options)
    try:
        await connection.send(MetadataRequest([]))
    except BaseException:
        await _close(connection)
        raise
    return connection


async def _close(connection: Any) -> None:
    if (closed := connection.close()) is not None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(closed, 1)


async def _another_listener(access: Access, host: str, port: int) -> TailraceError | None:
    """Whether the port speaks something else than security_protocol says. No secret is sent."""
    with_tls = access.protocol.endswith("SSL")
    if not with_tls and await _speaks_tls(host, port):
        protocol = "SASL_SSL" if access.protocol.startswith("SASL") else "SSL or SASL_SSL"
        return NotReady(
            TLS,
            f"the broker speaks TLS there, security_protocol is {access.protocol}",
            f"Write security_protocol: {protocol}, or name the port of a listener without TLS.",
            where=f"{host}:{port}",
        )
    plain = {"security_protocol": "PLAINTEXT"}
    try:
        connection = await create_conn(host, port, request_timeout_ms=int(_SECONDS * 1000), **plain)
    except FAILURES:
        return None
    try:
        if with_tls:
            return NotReady(
                TLS,
                f"the broker speaks no TLS there, security_protocol is {access.protocol}",
                "Name the port of a listener with TLS, or choose another security_protocol.",
                where=f"{host}:{port}",
            )
        answer = await connection.send(SaslHandShakeRequest("none"))
        if access.protocol == "PLAINTEXT" and answer.error_code != _NO_SASL_HERE:
            return NotReady(
                LOGIN,
                f"the broker asks for a login ({', '.join(answer.enabled_mechanisms)}), and none is given",
                "Write security_protocol: SASL_PLAINTEXT, sasl_mechanism, sasl_username and sasl_password.",
                where=f"{host}:{port}",
            )
    except FAILURES:
        return None
    finally:
        await _close(connection)
    return None


async def _speaks_tls(host: str, port: int) -> bool:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # nothing is sent: the question is only whether it shakes hands
    try:
        async with asyncio.timeout(_SECONDS):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
    except (OSError, TimeoutError):
        return False
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        await asyncio.wait_for(writer.wait_closed(), 1)
    return True
