"""What is wrong with a server's certificate: OpenSSL knows it, libpq says only that it does not trust it."""

from __future__ import annotations

import asyncio
import os
import ssl
from pathlib import Path
from struct import Struct
from typing import Final

from tailrace.clients.postgres.address import Address

_SECONDS: Final = 5.0
_REQUEST: Final = Struct(">II").pack(8, 80_877_103)  # SSLRequest


async def distrust(address: Address) -> tuple[str, str] | None:
    """Why the first untrusted certificate of the address's servers is not trusted, and what to do. None where
    that cannot be found out."""
    for server in address.each():
        try:
            async with asyncio.timeout(_SECONDS):
                await _shake_hands(server)
        except ssl.SSLCertVerificationError as error:
            return f"the certificate of {server}: {error.verify_message}", _remedy(error.verify_message)
        except (OSError, EOFError, ValueError, TimeoutError):
            continue
    return None


async def _shake_hands(server: Address) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False  # libpq says by itself that a name does not match
    _trust(context, server)
    host = server.parameters.get("hostaddr") or server.parameters.get("host", "localhost")
    reader, writer = await asyncio.open_connection(host, int(server.parameters.get("port", "5432")))
    try:
        if server.parameters.get("sslnegotiation") == "direct":
            context.set_alpn_protocols(["postgresql"])
        else:
            writer.write(_REQUEST)
            if await reader.readexactly(1) != b"S":
                return
        await writer.start_tls(context, server_hostname=host)
    finally:
        writer.transport.abort()


def _trust(context: ssl.SSLContext, server: Address) -> None:
    """The authorities that libpq trusts for this address."""
    named = server.parameters.get("sslrootcert") or os.environ.get("PGSSLROOTCERT")
    if named == "system":
        context.load_default_certs()
    else:
        context.load_verify_locations(named or Path("~/.postgresql/root.crt").expanduser())


def _remedy(message: str) -> str:
    if "expired" in message:
        return "Renew the certificate on the server (ssl_cert_file), or the authority's; then reload it."
    if "not yet valid" in message:
        return "Correct the clock here or there."
    return (
        "Let sslrootcert in the URL name the certificate of the authority that signed the server's, or "
        "sslrootcert=system one that this machine trusts."
    )
