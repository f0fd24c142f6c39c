"""`tailrace run`: one pipeline, until a signal, an error or, if wanted, the log's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Final, Literal

import click

from tailrace.cli.failure import CHECKED_BY_DOCTOR, ERROR_LINES, INTERRUPTED
from tailrace.cli.lines import StatusLines, error_line, log_to_stderr
from tailrace.cli.loading import loading
from tailrace.cli.output import file_argument
from tailrace.config import PipelineConfig
from tailrace.errors import Stop
from tailrace.logs import Logger
from tailrace.pipeline import Pipeline
from tailrace.service import control
from tailrace.service.report import Report

if TYPE_CHECKING:
    from tailrace.cli.live import LiveStatus

_LOOK: Final = 0.25  # seconds between two looks at the status

_log: Final = Logger(__name__)


def _address(ctx: click.Context, param: click.Parameter, value: str | None) -> tuple[str, int] | None:
    if value is None:
        return None
    from tailrace.service.http import parse

    try:
        return parse(value)
    except ValueError as error:
        raise click.BadParameter(str(error), ctx, param) from None


@click.command(short_help="Deliver, until Ctrl-C.")
@file_argument
@click.option(
    "--until-current",
    is_flag=True,
    help="Leave when every sink durably has what the database had committed at the start.",
)
@click.option(
    "--redeliver-transaction",
    is_flag=True,
    help="Go on at the beginning of a transaction that was delivered in part and cannot be finished as it "
    "was begun: its settings or the server's version changed since, or it does not come again as it was. "
    "Its first changes arrive twice.",
)
@click.option(
    "--http",
    metavar="HOST:PORT",
    callback=_address,
    help="Serve /livez, /readyz, /metrics and /status there; `:8080` is on 127.0.0.1.",
)
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="How lines on stderr look; with json there is no live view on a terminal.",
)
def run(
    file: str,
    until_current: bool,
    redeliver_transaction: bool,
    http: tuple[str, int] | None,
    log_format: Literal["text", "json"],
) -> None:
    """Run a pipeline.

    It goes on exactly where its sinks' stored positions are; a first run starts with what the database
    commits from now on. Trouble that passes (network, a server that restarts) is waited out.

    Ctrl-C or SIGTERM delivers what was read, then leaves with exit code 0; a second one leaves at once,
    with 130: nothing is lost by that either.

    Status goes to stderr: a live view on a terminal, log lines elsewhere.
    """
    log_to_stderr(json=log_format == "json")
    if log_format == "json":
        click.get_current_context().meta[ERROR_LINES] = error_line
    click.get_current_context().meta[CHECKED_BY_DOCTOR] = file
    with loading():
        pipeline = Pipeline.load(file, redeliver_transaction=redeliver_transaction)
        display = StatusLines() if log_format == "json" else _display(pipeline.config)
    asyncio.run(_run(pipeline, display, http, until_current=until_current))


async def _run(
    pipeline: Pipeline,
    display: LiveStatus | StatusLines,
    http: tuple[str, int] | None,
    *,
    until_current: bool,
) -> None:

    def on_signal() -> None:
        if stopping.is_set():
            display.end(pipeline.status)
            with contextlib.suppress(OSError):
                sys.stderr.flush()
            os._exit(INTERRUPTED)  # no clean-up may hold this up; a start after it is as after any crash
        stopping.set()
        pipeline.stop()

    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, on_signal)
    async with contextlib.AsyncExitStack() as offers:
        listening = await _offer(pipeline, http, offers)
        display.begin(pipeline.status)
        running = asyncio.create_task(pipeline.run_async(until_current=until_current, owned=listening))
        try:
            while not running.done():
                await asyncio.wait({running}, timeout=_LOOK)
                display.look(pipeline.status)
        finally:
            ended = running.done() and not running.cancelled()
            display.end(pipeline.status, running.exception() if ended else None)
        await running


async def _offer(
    pipeline: Pipeline, http: tuple[str, int] | None, offers: contextlib.AsyncExitStack
) -> contextlib.AbstractContextManager[None]:
    """Answer HTTP, if wanted, and what is asked over the control socket, which listens within the result."""
    if http is not None:
        from tailrace.service.http import bound, serving  # takes half a second, which most runs need not wait

        await offers.enter_async_context(serving(bound(*http), pipeline.report))
    act = {"pause": pipeline.pause, "resume": pipeline.resume, "stop": pipeline.stop}

    def answer(command: str) -> Report:
        if command in act:
            act[command]()
        return pipeline.report()

    try:
        path = control.path_of(pipeline.name, pipeline.config.data_dir)
    except Stop as error:
        _log.warning("no control socket", code=error.code.id, at=error.where, error=error.found)
        return contextlib.nullcontext()
    offered = control.ControlSocket(path, answer)
    offers.push_async_callback(offered.close)
    return offered.listening()


def _display(config: PipelineConfig) -> LiveStatus | StatusLines:
    """Lines that stay in place and data that scrolls do not share a terminal."""
    data_on_terminal = sys.stdout.isatty() and any(sink.block.type == "stdout" for sink in config.sinks)
    if not sys.stderr.isatty() or data_on_terminal:
        return StatusLines()
    from tailrace.cli.live import LiveStatus  # takes its time, and a service has no terminal

    return LiveStatus()
