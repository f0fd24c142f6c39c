"""Failpoints: named instants at which a test can end, hold or fail the process.

A module declares its failpoints at import time and calls them where a crash must be survived:

    _before_commit = failpoint("kafka.commit.before")
    ...
    _before_commit()

`TAILRACE_FAILPOINTS="kafka.commit.before=kill@3"` sends SIGKILL to the process at the third call; `stop`
sends SIGSTOP (somebody else may continue it); several are separated by commas. Without the variable a call
costs one attribute look-up and one comparison.
"""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

_ACTIONS: Final = {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}
_declared: Final[dict[str, Failpoint]] = {}


class Failpoint:
    """One named instant. Not safe to call from several threads at once when armed."""

    __slots__ = ("_countdown", "_signal", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self._countdown = 0
        self._signal = signal.SIGKILL

    def arm(self, action: str, nth: int) -> None:
        """Send the action's signal at the nth call from now."""
        self._signal = _ACTIONS[action]
        self._countdown = nth

    def __call__(self) -> None:
        if self._countdown:
            self._countdown -= 1
            if not self._countdown:
                # To this thread, not to the process: another one would take it while this one runs on.
                signal.pthread_kill(threading.get_ident(), self._signal)


def failpoint(name: str) -> Failpoint:
    """Declare a failpoint; a name stands once in the whole program."""
    if name in _declared:
        raise ValueError(f"failpoint {name} is declared twice")
    point = _declared[name] = Failpoint(name)
    for entry in filter(None, os.environ.get("TAILRACE_FAILPOINTS", "").split(",")):
        wanted, _, rest = entry.partition("=")
        if wanted == name:
            action, _, nth = rest.partition("@")
            point.arm(action, int(nth or 1))
    return point


def declared_failpoints() -> list[str]:
    """The names declared by the modules imported so far, sorted."""
    return sorted(_declared)
