"""`tailrace run`: one pipeline, until a signal, an error or, if wanted, the log's end."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from typing import Final

import click

from tailrace.cli.failure import INTERRUPTED
from tailrace.cli.lines import StatusLines, log_to_stderr
from tailrace.cli.live import LiveStatus
from tailrace.cli.output import file_argument
from tailrace.config import PipelineConfig
from tailrace.pipeline import Pipeline

_LOOK: Final = 0.25  # seconds between two looks at the status


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
    help="Go on at the beginning of a transaction that was delivered in part, although its settings or the "
    "server's version changed since. Its first changes arrive twice.",
)
def run(file: str, until_current: bool, redeliver_transaction: bool) -> None:
    """Run a pipeline.

    It goes on exactly where its sinks' stored positions are; a first run starts with what the database
    commits from now on. Trouble that passes (network, a server that restarts) is waited out.

    Ctrl-C or SIGTERM delivers what was read, then leaves with exit code 0; a second one leaves at once,
    with 130: nothing is lost by that either.

    Status goes to stderr: a live view on a terminal, log lines elsewhere.
    """
    log_to_stderr()
    pipeline = Pipeline.load(file, redeliver_transaction=redeliver_transaction)
    asyncio.run(_run(pipeline, until_current=until_current))


async def _run(pipeline: Pipeline, *, until_current: bool) -> None:
    display = _display(pipeline.config)

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
    display.begin(pipeline.status)
    running = asyncio.create_task(pipeline.run_async(until_current=until_current))
    try:
        while not running.done():
            await asyncio.wait({running}, timeout=_LOOK)
            display.look(pipeline.status)
    finally:
        display.end(pipeline.status)
    await running


def _display(config: PipelineConfig) -> LiveStatus | StatusLines:
    """Lines that stay in place and data that scrolls do not share a terminal."""
    data_on_terminal = sys.stdout.isatty() and any(sink.block.type == "stdout" for sink in config.sinks)
    return LiveStatus() if sys.stderr.isatty() and not data_on_terminal else StatusLines()
