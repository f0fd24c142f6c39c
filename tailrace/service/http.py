"""Health, metrics and status of a running pipeline over HTTP, for orchestrators and Prometheus.

`/livez` answers while the event loop turns; `/readyz` is 200 while the source streams and every sink takes
what comes, else 503 with the reasons; `/metrics` is Prometheus' text; `/status` is the report as JSON. All of
it can only be read. Nothing here is secret, and nothing asks who asks: listen where only friends can reach.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any, Final

import msgspec
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tailrace.errors import NotReady, code
from tailrace.logs import Logger
from tailrace.service import metrics
from tailrace.service.report import Report

CANNOT_LISTEN = code(
    "TR-HTTP-001",
    "cannot listen for HTTP",
    "The address is not one of this machine's, the port is taken, or this user may not take it.",
)

_LEAVE_SECONDS: Final = 1.0
_BACKLOG: Final = 64  # connections that may wait
_TOLD_SECONDS: Final = 60.0
_OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log: Final = Logger(__name__)


def parse(text: str) -> tuple[str, int]:
    """`HOST:PORT` or `:PORT`, which is 127.0.0.1. ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError("write it as HOST:PORT, or as :PORT for 127.0.0.1")
    return host.strip("[]") or "127.0.0.1", int(port)


def bound(host: str, port: int) -> socket.socket:
    """A socket that listens, before anything else has begun. NotReady."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise NotReady(
            CANNOT_LISTEN,
            error.strerror or str(error),
            "Choose another port, or end what listens there.",
            where=f"{host}:{port}",
        ) from None


@contextlib.asynccontextmanager
async def serving(listener: socket.socket, look: Callable[[], Report]) -> AsyncIterator[None]:
    """Answer requests meanwhile. `look` is called for each, in the event loop."""
    config = uvicorn.Config(
        application(look), log_config=None, access_log=False, lifespan="off", backlog=_BACKLOG,
        timeout_graceful_shutdown=int(_LEAVE_SECONDS),
    )  # fmt: skip
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]))
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(_Refusals())
    try:
        yield
    finally:
        loop.set_exception_handler(before)
        server.should_exit = True
        await asyncio.wait({task}, timeout=2 * _LEAVE_SECONDS)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        listener.close()


class _Refusals:
    """Without a free descriptor asyncio tells each second, and each time once for every connection that may
    wait, that it takes none, with a traceback: it is told once a minute instead."""

    def __init__(self) -> None:
        self._next = time.monotonic()

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _OUT_OF_RESOURCES and "socket" in context):
            loop.default_exception_handler(context)
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + _TOLD_SECONDS
            _log.warning("HTTP takes no connection", error=error.strerror or str(error))


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are the command's."""
        yield


def application(look: Callable[[], Report]) -> Starlette:
    """The application, for any ASGI server."""

    async def live(_: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def ready(_: Request) -> Response:
        report = look()
        if report.ready:
            return PlainTextResponse("ok\n")
        return PlainTextResponse("".join(f"{line}\n" for line in _reasons(report)), status_code=503)

    async def measured(_: Request) -> Response:
        return Response(metrics.render(look()), media_type=metrics.CONTENT_TYPE)

    async def status(_: Request) -> Response:
        return Response(msgspec.json.encode(look()), media_type="application/json")

    return Starlette(
        routes=[
            Route("/livez", live),
            Route("/readyz", ready),
            Route("/metrics", measured),
            Route("/status", status),
        ]
    )


def _reasons(report: Report) -> Iterator[str]:
    parts = [("pipeline", report.state, report.error), ("source", report.source.state, report.source.error)]
    parts += [(f"sink {sink.name}", sink.state, sink.error) for sink in report.sinks]
    for what, state, error in parts:
        if state != "streaming":
            yield f"{what} is {state}{f': {error.code} {error.title}: {error.found}' if error else ''}"
