"""The control socket: how another process on this machine asks a running pipeline, and tells it what to do.

A Unix socket in a folder of the user's own. A request is a line of JSON, `{"command": "status"}`, its answer
is one too: `{"report": …}`, or `{"error": …}`. Commands are those of `COMMANDS`; `stop` answers at once, and
the socket closes when the pipeline has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import socket
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import msgspec

from tailrace.errors import Stop, code
from tailrace.logs import Logger
from tailrace.service.report import Report

NOT_RUNNING = code(
    "TR-CTL-001",
    "the pipeline is not running",
    "No process of this user on this machine runs the pipeline, or it has not got as far as listening yet.",
)
AMBIGUOUS = code(
    "TR-CTL-002",
    "several pipelines have this name",
    "Pipelines of one name run from different files.",
)
UNUSABLE_FOLDER = code(
    "TR-CTL-003",
    "the folder of control sockets cannot be used",
    "Control sockets lie in $XDG_RUNTIME_DIR/tailrace or, where that is not set, in "
    "/tmp/tailrace-UID. It must belong to the user, and nobody else may have access.",
)
UNANSWERED = code(
    "TR-CTL-004",
    "the pipeline does not answer",
    "A process listens on the control socket, and did not answer in time, or in another way.",
)

COMMANDS: Final = ("status", "pause", "resume", "stop")
_LONGEST: Final = 64 * 1024  # bytes of a request
_LONGEST_PATH: Final = 103  # bytes of a socket's path: 107 on Linux
_NOBODY: Final = (FileNotFoundError, ConnectionRefusedError)  # no process listens there
_ANSWER_SECONDS: Final = 5.0
_TAKE_AGAIN_SECONDS: Final = 1.0

_log: Final = Logger(__name__)


class _Request(msgspec.Struct):
    command: str


class _Answer(msgspec.Struct, omit_defaults=True):
    report: Report | None = None
    error: str | None = None


def folder() -> Path:
    """Where the sockets lie; made if need be. Stop if it is not safe."""
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    # Not among TMPDIR's: a service and a shell may differ in that, and would miss each other.
    place = Path(runtime) / "tailrace" if runtime else Path("/tmp") / f"tailrace-{os.getuid()}"
    try:
        place.mkdir(mode=0o700, parents=bool(runtime), exist_ok=True)
        found = place.lstat()
    except OSError as error:
        raise Stop(
            UNUSABLE_FOLDER,
            error.strerror or str(error),
            "Set XDG_RUNTIME_DIR to a folder of yours.",
            where=str(place),
        ) from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise Stop(
            UNUSABLE_FOLDER,
            f"it is no folder, or belongs to user {found.st_uid}, or is open to others",
            f"Remove it, or chmod 700 {place}, or set XDG_RUNTIME_DIR to another folder of yours.",
            where=str(place),
        )
    return place


def path_of(name: str, data_dir: Path) -> Path:
    """The socket of a pipeline. Pipelines of one name are told apart as their locks are, by data_dir."""
    which = hashlib.sha256(os.fsencode(data_dir.resolve())).hexdigest()[:8]
    path = folder() / f"{name}-{which}.sock"
    if len(os.fsencode(path)) > _LONGEST_PATH:
        raise Stop(
            UNUSABLE_FOLDER,
            f"the path of a socket there is longer than the {_LONGEST_PATH} bytes that a system allows",
            "Set XDG_RUNTIME_DIR to a folder of yours with a shorter path.",
            where=str(path.parent),
        )
    return path


def find(name: str) -> Path:
    """The socket of the one running pipeline of this name. Raises Stop if there is none, or several."""
    running = [path for path in sorted(folder().glob(f"{name}-????????.sock")) if _is_alive(path)]
    if len(running) == 1:
        return running[0]
    if running:
        raise Stop(
            AMBIGUOUS, f"{len(running)} pipelines named {name} run", "Give the pipeline's file instead."
        )
    others = {path.name.rpartition("-")[0] for path in folder().glob("*-????????.sock") if _is_alive(path)}
    raise Stop(
        NOT_RUNNING,
        f"no pipeline named {name} runs here; those that do: {', '.join(sorted(others)) or 'none'}",
        "A name is that of a running pipeline: start it with tailrace run FILE, or give the pipeline's file.",
    )


def ask(path: Path, name: str, command: str, *, file: str = "FILE") -> Report:
    """Send one command; the answer. With `stop`, wait until the pipeline has ended. Raises Stop if
    nobody listens, with the way to start it out of `file`."""
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            try:
                connection.connect(os.fspath(path))
            except _NOBODY:
                raise Stop(
                    NOT_RUNNING, f"nothing listens for {name}", f"Start it with tailrace run {file}."
                ) from None
            with connection.makefile("rwb") as stream:
                stream.write(msgspec.json.encode({"command": command}) + b"\n")
                stream.flush()
                answer = stream.readline()
                if command == "stop":
                    connection.settimeout(None)  # its own deadline bounds it
                    with contextlib.suppress(ConnectionError):
                        stream.read()
            answered = msgspec.json.decode(answer, type=_Answer)
            if answered.report is not None:
                return answered.report
            found = f"it answers: {answered.error}"
        except (OSError, msgspec.DecodeError) as error:
            found = f"{type(error).__name__}: {error}"
        raise Stop(
            UNANSWERED,
            found,
            "Look whether the process is stopped or overloaded, or of another version.",
            where=str(path),
        )


def _is_alive(path: Path) -> bool:
    with contextlib.closing(socket.socket(socket.AF_UNIX)) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        try:
            connection.connect(os.fspath(path))
        except _NOBODY:
            return False
        except OSError:  # as one that is stopped, where many wait for an answer already
            return True
        return True


class ControlSocket:
    """The running pipeline's side. `answer` is called with each command, in the event loop.

    `listening` is for as long as the pipeline's lock is held: of processes that start at one instant only the
    one that runs touches the socket. `close` comes after the lock is free, as who asked for a stop waits for
    that and may start the pipeline again at once.
    """

    def __init__(self, path: Path, answer: Callable[[str], Report]) -> None:
        self._path = path
        self._answer = answer
        self._serving: set[asyncio.Task[None]] = set()
        self._waiting: asyncio.TimerHandle | None = None  # until connections are taken again

    @contextlib.contextmanager
    def listening(self) -> Iterator[None]:
        """Take connections meanwhile, in the running event loop. A socket that a killed process left is
        replaced; where another process listens all the same there is none here."""
        _remove_if_dead(self._path)
        with socket.socket(socket.AF_UNIX) as listener:
            try:
                listener.bind(os.fspath(self._path))
            except OSError as error:  # in use, or longer than the system allows
                _log.warning("no control socket", path=str(self._path), error=error.strerror or str(error))
                yield
                return
            own = _inode(self._path)
            listener.listen()
            listener.setblocking(False)
            self._take_from(listener)
            try:
                yield
            finally:
                self._take_no_more(listener)
                if own is not None and _inode(self._path) == own:
                    self._path.unlink(missing_ok=True)

    async def close(self) -> None:
        """End the connections that were taken."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def _take_from(self, listener: socket.socket) -> None:
        # asyncio's own servers lose who connects while they end.
        asyncio.get_running_loop().add_reader(listener, self._take, listener)

    def _take_no_more(self, listener: socket.socket) -> None:
        asyncio.get_running_loop().remove_reader(listener)
        if self._waiting is not None:
            self._waiting.cancel()

    def _take(self, listener: socket.socket) -> None:
        try:
            connection, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):  # who came has left
            return
        except OSError as error:
            # No descriptor is free: who waits goes on waiting, and would be tried again without a pause.
            if self._waiting is None:
                _log.warning("the control socket takes no connection", error=error.strerror or str(error))
            self._take_no_more(listener)
            loop = asyncio.get_running_loop()
            self._waiting = loop.call_later(_TAKE_AGAIN_SECONDS, self._take_from, listener)
            return
        self._waiting = None
        task = asyncio.get_running_loop().create_task(_serve(connection, self._answer))
        # Not in the task: one that is cancelled before it begins would close nothing.
        task.add_done_callback(lambda _: connection.close())
        task.add_done_callback(self._serving.discard)
        self._serving.add(task)


async def _serve(connection: socket.socket, answer: Callable[[str], Report]) -> None:
    """Answer one line after the other, until the other side or this one leaves."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(ConnectionError):
        connection.setblocking(False)
        pending = b""
        while len(pending) < _LONGEST and (data := await loop.sock_recv(connection, _LONGEST)):
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                await loop.sock_sendall(connection, _answered(line, answer) + b"\n")


def _remove_if_dead(path: Path) -> None:
    if path.exists() and not _is_alive(path):
        path.unlink(missing_ok=True)


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _answered(line: bytes, answer: Callable[[str], Report]) -> bytes:
    try:
        command = msgspec.json.decode(line, type=_Request).command
    except msgspec.DecodeError as error:
        return msgspec.json.encode(_Answer(error=str(error)))
    if command not in COMMANDS:
        return msgspec.json.encode(_Answer(error=f"commands are {', '.join(COMMANDS)}"))
    return msgspec.json.encode(_Answer(report=answer(command)))
