"""The demo from its first line to the proof."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import Final

from tailrace import claims
from tailrace.demo.events import LoggedEvent, LogTail
from tailrace.demo.pipeline import PipelineProcess
from tailrace.demo.proof import Proof, prove
from tailrace.demo.screen import Screen
from tailrace.demo.traffic import Traffic
from tailrace.errors import Stop, code
from tailrace.hooks import Demo
from tailrace.log import Reader
from tailrace.log.layout import LOG

NOT_STREAMING = code(
    "TR-DEMO-005",
    "the demo's pipeline does not begin",
    "The demo's pipeline runs, and has not come to the beginning of its stream within the time allowed.",
)

_BEGIN_SECONDS: Final = 30.0
_KILL_AT: Final = 0.45  # of the traffic's time
_DOWN: Final = 0.15  # of it: how long the pipeline stays away
_LOOK: Final = 0.1  # seconds between two looks at what is shown


class Show:
    """Runs once. What it starts is put on `ending` and ends with that."""

    def __init__(
        self,
        database: Demo,
        directory: Path,
        seconds: float,
        screen: Screen,
        ending: contextlib.ExitStack,
    ) -> None:
        """`seconds`: how long there is traffic."""
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
        self._screen.title("tailrace demo", "everything is real, temporary, and on this machine only")
        self._start_database()
        pid = self._start_pipeline()
        self._screen.step(f"Traffic for {self._seconds:g} s, and every event as it comes out of the log")
        self._ending.callback(self._traffic.stop)
        self._traffic.start()
        with self._screen.live():
            self._watch_a_crash(pid)
        self._finish()
        self._screen.step("The proof")
        proof = prove(
            self._database.tables,
            self._traffic.committed,
            self._events,
            {name: self._database.rows(name) for name in self._database.tables},
        )
        self._screen.proof(proof)
        return proof

    def keep(self) -> None:
        """Leave everything running, until a signal or until the pipeline ends."""
        pid = self._pipeline.start()
        topic = f"{self._pipeline.file.stem}.{next(iter(self._database.tables))}"
        self._screen.step(f"It goes on, the pipeline as process {pid}. In another terminal:")
        self._screen.say(self._database.shell)
        self._screen.say(f"tailrace log read {topic} --log {self._pipeline.log} --follow")
        self._screen.say(f"tailrace offsets show {self._pipeline.file}")
        self._screen.say("Ctrl-C here ends it all and removes it.", "bold")
        with contextlib.suppress(KeyboardInterrupt, SystemExit):
            self._pipeline.wait()
            self._pipeline.check()

    def _start_database(self) -> None:
        began = time.monotonic()
        self.version = self._database.start()
        self._screen.step("A database")
        self._screen.say(f"{self.version}, up in {time.monotonic() - began:.1f} s, with empty tables:")
        for name, table in self._database.tables.items():
            self._screen.say(f"{name} ({', '.join(table.columns)})", "dim")

    def _start_pipeline(self) -> int:
        self._screen.step("A pipeline, which is one file")
        self._pipeline = PipelineProcess(self._directory, self._database.source)
        self._ending.callback(self._pipeline.kill)
        self._screen.file(self._pipeline.text)
        pid = self._pipeline.start()
        self._screen.say(f"tailrace run {self._pipeline.file.name}  → process {pid}")
        self._wait_for_stream(pid)
        reader = Reader(self._pipeline.log)
        self._ending.callback(reader.close)
        self._log = LogTail(reader, self._database.tables)
        return pid

    def _wait_for_stream(self, pid: int) -> None:
        """Return when the pipeline's process knows where its stream begins: what commits from then on is in
        it, and SIGTERM is understood."""
        deadline = time.monotonic() + _BEGIN_SECONDS
        while True:
            stored = claims.peek(self._pipeline.log, LOG, self._pipeline.sink)
            if stored is not None and stored.owner.pid == pid and stored.position is not None:
                return
            self._pipeline.check()
            if time.monotonic() > deadline:
                raise Stop(
                    NOT_STREAMING,
                    f"no position after {_BEGIN_SECONDS:g} s; its last lines:\n{self._pipeline.tail()}",
                    "The lines above say why.",
                )
            time.sleep(0.05)

    def _watch_a_crash(self, pid: int) -> None:
        began = time.monotonic()
        self._watch(f"running, process {pid}", until=began + self._seconds * _KILL_AT)
        self._traffic.wait_for_commit()
        self._pipeline.kill()
        self._look("killed")
        self.unlogged_at_kill = len(self._traffic.committed) - self._logged
        self._screen.say(
            f"SIGKILL → process {pid}. Committed and not yet in the log: {self.unlogged_at_kill}. "
            "The traffic goes on.",
            "bold red",
        )
        killed = time.monotonic()
        self._watch("killed", until=killed + self._seconds * _DOWN, alive=False)
        pid = self._pipeline.start()
        self._screen.say(
            f"tailrace run {self._pipeline.file.name}  → process {pid} goes on where the log ends.",
            "bold green",
        )
        self._watch(f"running, process {pid}", until=began + self._seconds)
        self._wait_for_stream(pid)

    def _finish(self) -> None:
        """End the traffic and let the pipeline deliver the rest."""
        self._traffic.stop()
        self._traffic.check()
        self._pipeline.stop()
        self._screen.say("The traffic ends. SIGTERM: the pipeline delivers what it has read, and leaves.")
        self._screen.say(f"tailrace run {self._pipeline.file.name} --until-current  delivers what is left.")
        self._pipeline.catch_up()
        self._look()

    def _watch(self, state: str, *, until: float, alive: bool = True) -> None:
        """Show what arrives until then. Raises what goes wrong meanwhile."""
        while (left := until - time.monotonic()) > 0:
            self._look(state)
            self._traffic.check()
            if alive:
                self._pipeline.check()
            self._log.wait(min(left, _LOOK))

    def _look(self, state: str = "") -> None:
        """Read what has been appended to the log, and show it in the order of the commits."""
        events = self._log.read()
        self._events += events
        self._screen.show(
            sorted(events, key=lambda event: event.place), state, len(self._traffic.committed), self._logged
        )

    @property
    def _logged(self) -> int:
        return sum(event.op is not None for event in self._events)
