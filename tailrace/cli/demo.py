"""`tailrace demo`: a database, a pipeline, live changes, a SIGKILL, and the proof."""

from __future__ import annotations

import contextlib
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console

from tailrace import plugins
from tailrace.cli.completion import complete_source_type
from tailrace.cli.failure import FAILED
from tailrace.demo.proof import Proof
from tailrace.demo.screen import Screen
from tailrace.demo.show import Show
from tailrace.errors import ConfigurationError, code
from tailrace.hooks import Demo

NO_DEMO = code("TR-DEMO-004", "no demo of this source", "No installed source connector brings a demo.")


@click.command(short_help="Show it at work, on a database of its own.")
@click.option(
    "--seconds",
    type=click.FloatRange(2, 3600),
    default=20.0,
    show_default=True,
    help="How long there is traffic.",
)
@click.option("--keep", is_flag=True, help="Leave database and pipeline running at the end, until Ctrl-C.")
@click.option(
    "--json", "as_json", is_flag=True, help="Write one line of JSON for programs; the rest to stderr."
)
@click.option(
    "--source",
    "kind",
    metavar="TYPE",
    shell_complete=complete_source_type,
    help="Which source connector's demo, if several have one.",
)
def demo(seconds: float, keep: bool, as_json: bool, kind: str | None) -> None:
    """Show a pipeline at work, on a database of its own that is thrown away afterwards.

    Starts a real database server, lets a client change its tables, follows it with `tailrace run` into an
    event log, kills that process in the middle of it all, starts it again, and proves at the end that log
    and database agree. Exit code 1 if they do not.

    Needs the extra `demo`: pip install 'tailrace[demo]'. Touches nothing outside of temporary folders.
    """
    began = time.monotonic()
    database = _find(kind)
    screen = Screen(Console(stderr=as_json), database.tables)
    with _clearing_up() as ending:
        directory = Path(tempfile.mkdtemp(prefix="tailrace-demo-"))
        ending.callback(shutil.rmtree, directory, ignore_errors=True)
        ending.callback(database.stop)
        show = Show(database, directory, seconds, screen, ending)
        proof = show.run()
        took = time.monotonic() - began
        if as_json:
            click.echo(msgspec.json.encode(_as_json(proof, show, took)))
        screen.say(f"{took:.0f} seconds", "dim")
        if keep:
            show.keep()
    if not proof.holds:
        click.get_current_context().exit(FAILED)


def _find(kind: str | None) -> Demo:
    """The demo of a source, by default of the first that has one."""
    for name in plugins.names("sources") if kind is None else [kind]:
        plugin = plugins.load("sources", name)
        if hasattr(plugin, "demo"):
            found: Demo = plugin.demo()
            return found
    raise ConfigurationError(
        NO_DEMO,
        f"{kind or 'no installed source'} has none",
        f"Installed sources are: {', '.join(plugins.names('sources')) or 'none'}.",
    )


@contextlib.contextmanager
def _clearing_up() -> Iterator[contextlib.ExitStack]:
    """What is put on the stack happens at the end, whatever the end is: SIGTERM and SIGHUP come as exceptions
    as Ctrl-C does, and nothing interrupts the clearing up."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}
    try:
        with contextlib.ExitStack() as ending:
            try:
                for number in signals[1:]:
                    signal.signal(number, end)
                yield ending
            finally:
                for number in signals:
                    signal.signal(number, signal.SIG_IGN)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _as_json(proof: Proof, show: Show, took: float) -> dict[str, Any]:
    return {
        "holds": proof.holds,
        "database": show.version,
        "seconds": round(took, 1),
        "row_changes": proof.changes,
        "events": proof.events,
        "unlogged_at_kill": show.unlogged_at_kill,
        "lost": proof.lost,
        "surplus": proof.surplus,
        "misplaced": proof.misplaced,
        "tables": {
            name: {
                "rows": table.rows,
                "folded": table.folded,
                "row_changes": table.changes,
                "events": table.events,
                "differences": table.differences,
            }
            for name, table in proof.tables.items()
        },
    }
