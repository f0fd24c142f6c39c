"""A child process that never outlives the demo."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypedDict

# Its standard input ends when the demo does, however that ends. (A child that ends earlier takes its guard
# with it.) The child's folder is removed when the child is gone, after ten seconds in any case.
_GUARD: Final = """
read -r _
kill -s "$1" "$2"
for _ in 1 2 3 4 5 6 7 8 9 10; do kill -0 "$2" || break; sleep 1; done
rm -rf "$3"
"""


class Account(TypedDict, total=False):
    """As whom a process runs, in the words of `subprocess.Popen`. Empty: as its parent."""

    user: int
    group: int
    extra_groups: list[int]


class ChildProcess:
    """A running child. It is out of the reach of the terminal's Ctrl-C: only its parent ends it.

    `last` is the signal that it is sent by whatever remains if the demo itself is killed; `directory`, its
    working directory, is removed then.
    """

    def __init__(
        self,
        command: Sequence[str | Path],
        *,
        directory: Path,
        log: Path,
        last: signal.Signals,
        account: Account | None = None,
    ) -> None:
        self._log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=directory,
                start_new_session=True,
                **(account or {}),
            )
        self._guard = subprocess.Popen(
            ["sh", "-c", _GUARD, "guard", last.name.removeprefix("SIG"), str(self.pid), str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def running(self) -> bool:
        if self._process.poll() is None:
            return True
        self._guard.kill()  # from here on the pid may be another process's
        self._guard.communicate()
        return False

    def end(self, how: signal.Signals, timeout: float) -> int:
        """Send a signal and wait for the end, which is forced when the time is over. Returns the exit code;
        that of a process that has ended before is known for good."""
        if self.running:
            self._process.send_signal(how)
        return self.wait(timeout)

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; it is forced when the time (seconds) is over. Returns the exit code."""
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert not self.running
        return self._process.returncode

    def tail(self, lines: int = 12) -> str:
        """The last lines that it wrote."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])
