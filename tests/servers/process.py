"""A server as a child process: its folder, its account, its ports, its log, its end."""

import contextlib
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Self, TypedDict

import psutil

from tests.waiting import wait_until


class _Account(TypedDict, total=False):
    user: int
    group: int
    extra_groups: list[int]


# Reads which process the server is, until its end of the pipe is all that is left: nobody lives who would
# stop the server.
_HEIR = """
while read -r line; do server=$line; done
if [ "$server" ]; then kill -9 "$server"; sleep 1; fi
rm -rf "$0"
"""


class ServerError(Exception):
    """A server did not do what was asked of it; the message ends with the tail of its log."""


class ServerProcess:
    """One server process in a folder of its own, which `remove` deletes.

    Root starts it as the account `nobody`, because PostgreSQL refuses to run as root; everybody else as
    themselves. It ends with the process that made it, even if that is killed.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.directory = Path(tempfile.mkdtemp(prefix=f"tailrace-{name}-"))
        self.log = self.directory / "server.log"
        self._account: _Account = {}
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            self._account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._heir = subprocess.Popen(
            ["sh", "-c", _HEIR, str(self.directory)], stdin=subprocess.PIPE, start_new_session=True
        )

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        if self._process is None:
            raise ServerError(f"{self.name} is not running")
        return self._process.pid

    def run(self, command: Sequence[str | Path], script: str = "") -> None:
        """Run a command of the server's to its end, as its account: initdb and the like.

        It reads the script from its standard input.
        """
        run = subprocess.run(
            command, input=script, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd=self.directory, check=False, text=True, **self._account,
        )  # fmt: skip
        if run.returncode:
            raise ServerError(f"{Path(command[0]).name} failed with {run.returncode}:\n{run.stdout}")

    def start(self, command: Sequence[str | Path], ready: Callable[[], bool], timeout: float) -> None:
        """Start the server and return when `ready` says so."""
        if self.running:
            raise ServerError(f"{self.name} is running already")
        with self.log.open("ab") as log:
            # A session of its own, so that Ctrl-C in the terminal reaches the tests and not the servers.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                cwd=self.directory, start_new_session=True, **self._account,
            )  # fmt: skip
        self._tell_heir(str(self._process.pid))
        try:
            wait_until(lambda: not self.running or ready(), f"{self.name} to answer", timeout)
        except TimeoutError as late:
            self.kill()
            raise ServerError(f"{late}\n{self.tail()}") from None
        if not self.running:
            raise ServerError(f"{self.name} ended while it was starting:\n{self.tail()}")

    def stop(self, how: signal.Signals, timeout: float) -> None:
        """Ask the server to end, and wait until it has."""
        if self._process is None or not self.running:
            return
        self._process.send_signal(how)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise ServerError(f"{self.name} did not stop within {timeout:g} s:\n{self.tail()}") from None
        self._tell_heir("")

    def kill(self) -> None:
        """SIGKILL the server and its children, and return when none of them is left."""
        if self._process is None or not self.running:
            return
        # Held still, it cannot fork a child between the count and the kill.
        self._process.send_signal(signal.SIGSTOP)
        children = psutil.Process(self._process.pid).children(recursive=True)
        self._process.kill()
        self._process.wait()
        self._tell_heir("")
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        wait_until(lambda: not any(map(_alive, children)), f"the children of {self.name} to end")

    def tail(self, lines: int = 30) -> str:
        """The last lines of the server's log."""
        text = self.log.read_text(errors="replace") if self.log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])

    def remove(self) -> None:
        """Kill the server if it still runs and delete its folder."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)
        self._heir.communicate()

    def _tell_heir(self, pid: str) -> None:
        assert self._heir.stdin is not None
        self._heir.stdin.write(f"{pid}\n".encode())
        self._heir.stdin.flush()


class Restartable:
    """What servers of a test's own have in common: one `process`, which they start and stop in their ways. As
    a context manager it runs while it is entered, and is removed at the end, data and all."""

    process: ServerProcess

    def start(self) -> None:
        """Start it and return when it answers."""
        raise NotImplementedError

    def stop(self) -> None:
        """Stop it with a clean shutdown."""
        raise NotImplementedError

    def kill(self) -> None:
        """SIGKILL it and every one of its children."""
        self.process.kill()

    def restart(self) -> None:
        self.stop()
        self.start()

    def remove(self) -> None:
        """Kill it and delete its data."""
        self.process.remove()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def _alive(process: psutil.Process) -> bool:
    # An orphan may stay a zombie for ever where process 1 reaps nobody; it holds no resource any more.
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


_PORTS: Final = range(15_000, 32_000)
_handed_out: set[int] = set()


def free_port() -> int:
    """A free TCP port on 127.0.0.1, out of a range from which no outgoing connection is given its own.

    A port out of the ephemeral range could be taken while the server that owns it restarts, even by a
    client that connects to it again and again and at last meets itself. Nor is it handed out again, here or
    by another worker of the run: it may be bound only later, or never be meant to answer.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    while True:
        port = random.choice(_PORTS[worker % workers :: workers])
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            if port not in _handed_out:
                _handed_out.add(port)
                return port
