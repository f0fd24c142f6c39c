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
from typing import Any, Final, NoReturn

import click
import msgspec
from rich.console import Console

from tailrace import plugins
from tailrace.abc import Demo
from tailrace.cli.failure import FAILED
from tailrace.demo.events import LoggedEvent, LogTail
from tailrace.demo.pipeline import PipelineProcess
from tailrace.demo.proof import Proof, prove
from tailrace.demo.screen import Screen
from tailrace.demo.traffic import Traffic
from tailrace.errors import ConfigurationError, Stop, code
from tailrace.log import Reader

NO_DEMO = code("TR-DEMO-004", "no demo of this source", "No installed source connector brings a demo.")
NOT_STREAMING = code(
    "TR-DEMO-005",
    "the demo's pipeline does not begin",
    "The demo's pipeline runs, and has not come to the beginning of its stream within the time that is allowed.",
)

_BEGIN_SECONDS: Final = 30.0
_KILL_AT: Final = 0.45  # of the traffic's time
_DOWN: Final = 0.15  # of it: how long the pipeline stays away
_LOOK: Final = 0.1  # seconds between two looks at what is shown


@click.command(short_help="A database, live changes, a kill, and the proof that nothing was lost.")
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
@click.option("--source", "kind", metavar="TYPE", help="Which source connector's demo, if several have one.")
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
    with contextlib.ExitStack() as ending:
        ending.enter_context(_signals_end_it())
        directory = Path(tempfile.mkdtemp(prefix="tailrace-demo-"))
        ending.callback(shutil.rmtree, directory, ignore_errors=True)
        ending.callback(database.stop)
        show = _Show(database, directory, seconds, screen, ending)
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
def _signals_end_it() -> Iterator[None]:
    """SIGTERM and SIGHUP end the demo as Ctrl-C does, and nothing interrupts its clearing up."""

    def end(number: int, _: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.getsignal(number) for number in signals}
    for number in signals[1:]:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in signals:
            signal.signal(number, before[number])


class _Show:
    """The demo from its first line to the proof. Whatever it starts is put on `ending`."""

    def __init__(
        self,
        database: Demo,
        directory: Path,
        seconds: float,
        screen: Screen,
        ending: contextlib.ExitStack,
    ) -> None:
        self._database = database
        self._directory = directory
        self._seconds = seconds
        self._screen = screen
        self._ending = ending
        self._traffic = Traffic(database)
        self._events: list[LoggedEvent] = []
        self.version = ""
        self.unlogged_at_kill = 0

    def run(self) -> Proof:
        """Everything but the end."""
        screen = self._screen
        screen.title("tailrace demo", "everything here is real, temporary, and on this machine only")
        began = time.monotonic()
        self.version = self._database.start()
        screen.step("A database")
        screen.say(f"{self.version}, up in {time.monotonic() - began:.1f} s, with empty tables:")
        for name, table in self._database.tables.items():
            screen.say(f"{name} ({', '.join(table.columns)})", "dim")

        screen.step("A pipeline, which is one file")
        self._pipeline = PipelineProcess(self._directory, self._database.source)
        self._ending.callback(self._pipeline.kill)
        screen.file(self._pipeline.text)
        pid = self._pipeline.start()
        screen.say(f"tailrace run {self._pipeline.file.name}  → process {pid}")
        self._tail = self._open_log()

        screen.step(f"Traffic, for {self._seconds:g} seconds: every event as it comes out of the log")
        self._ending.callback(self._traffic.stop)
        self._traffic.start()
        with screen.live():
            self._watch_a_crash(pid)
        self._traffic.stop()
        self._traffic.check()
        self._pipeline.stop()
        screen.say("The traffic ends. SIGTERM: the pipeline delivers what it has read, and leaves.")
        screen.say(f"tailrace run {self._pipeline.file.name} --until-current  → delivers what is left")
        self._pipeline.catch_up()
        self._look()

        screen.step("The proof")
        proof = prove(
            self._database.tables,
            self._traffic.committed,
            self._events,
            {name: self._database.rows(name) for name in self._database.tables},
        )
        screen.proof(proof)
        return proof

    def keep(self) -> None:
        """Leave everything running, until a signal or until the pipeline ends."""
        pid = self._pipeline.start()
        self._screen.step(f"It goes on (pipeline: process {pid}). In another terminal:")
        topic = f"{self._pipeline.file.stem}.{next(iter(self._database.tables))}"
        self._screen.say(self._database.shell)
        self._screen.say(f"tailrace log read {topic} --log {self._pipeline.log} --follow")
        self._screen.say(f"tailrace offsets show {self._pipeline.file}")
        self._screen.say("Ctrl-C here ends it all and removes it.", "bold")
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            self._pipeline.wait()
            self._pipeline.check()

    def _watch_a_crash(self, pid: int) -> None:
        began = time.monotonic()
        self._watch(f"running, process {pid}", until=began + self._seconds * _KILL_AT)
        self._traffic.wait_for_commit()
        self._pipeline.kill()
        self._look()
        self.unlogged_at_kill = len(self._traffic.committed) - self._logged
        self._screen.say(
            f"SIGKILL → process {pid}, {self.unlogged_at_kill} committed row changes not yet in the log. "
            "The shop goes on.",
            "bold red",
        )
        killed = time.monotonic()
        self._watch("killed", until=killed + self._seconds * _DOWN, alive=False)
        pid = self._pipeline.start()
        self._screen.say(
            f"tailrace run {self._pipeline.file.name}  → process {pid} goes on where the log ends",
            "bold green",
        )
        self._watch(f"running, process {pid}", until=began + self._seconds)

    def _watch(self, state: str, *, until: float, alive: bool = True) -> None:
        """Show what arrives until then. Raises what goes wrong meanwhile."""
        while (left := until - time.monotonic()) > 0:
            self._look(state)
            self._traffic.check()
            if alive:
                self._pipeline.check()
            self._tail.wait(min(left, _LOOK))

    @property
    def _logged(self) -> int:
        return sum(event.op is not None for event in self._events)

    def _look(self, state: str = "") -> None:
        """Read what has been appended to the log, and show it."""
        events = self._tail.read()
        self._events += events
        events.sort(key=lambda event: event.place)
        self._screen.show(events, state, len(self._traffic.committed), self._logged)

    def _open_log(self) -> LogTail:
        """The log, as soon as the pipeline stands at the beginning of its stream: what is committed from then
        on is delivered."""
        deadline = time.monotonic() + _BEGIN_SECONDS
        while True:
            self._pipeline.check()
            if self._pipeline.log.exists():
                with contextlib.suppress(Stop):
                    reader = Reader(self._pipeline.log)
                    self._ending.callback(reader.close)
                    break
            if time.monotonic() > deadline:
                raise self._late()
            time.sleep(0.05)
        while (checkpoint := reader.checkpoint(self._pipeline.sink)) is None or checkpoint.position is None:
            self._pipeline.check()
            if not reader.wait(max(0.0, deadline - time.monotonic())):
                raise self._late()
        return LogTail(reader, self._database.tables)

    def _late(self) -> Stop:
        return Stop(NOT_STREAMING, f"it does not stream after {_BEGIN_SECONDS:g} s", "Try again.")


def _as_json(proof: Proof, show: _Show, took: float) -> dict[str, Any]:
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
