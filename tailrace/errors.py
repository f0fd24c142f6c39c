"""The exception tree. Every error has a code, says what was found and what to do, and belongs to one policy.

TailraceError
├── Retry               policy retry: try again with back-off, for ever unless configured otherwise
│   └── UnknownOutcome  a commit may or may not have happened: open again and read the checkpoint
├── Stop                policy stop: needs a person
│   ├── ConfigurationError  wrong file or wrong usage (exit code 2); carries every fault of the file
│   ├── NotReady            the server or target is not set up for this (settings, permissions, tables)
│   ├── Gap                 the log no longer holds what follows the checkpoint
│   ├── Diverged            the checkpoint lies beyond the server's own history
│   ├── Malformed           bytes that cannot be decoded, a value that cannot be converted
│   └── Rejected            the target refuses one event
└── Fenced              policy fenced: another process owns this pipeline now
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import ClassVar, Final

_REGISTER: Final[dict[str, Code]] = {}


class Policy(enum.Enum):
    """What the engine does with an error of this kind."""

    RETRY = "retry"
    STOP = "stop"
    FENCED = "fenced"


@dataclass(frozen=True)
class Code:
    """An entry of the register of error codes, from which the documentation is made."""

    id: str  # TR-<area>-<number>
    title: str
    meaning: str  # one or two sentences for the documentation: when it is raised, what it protects


def code(id: str, title: str, meaning: str) -> Code:
    """Register an error code. Called at import time, once per code; a second use of an id is an error."""
    if not re.fullmatch(r"TR-[A-Z]+-\d{3}", id):
        raise ValueError(f"not an error code: {id}")
    if id in _REGISTER:
        raise ValueError(f"error code {id} is already registered as {_REGISTER[id].title!r}")
    entry = _REGISTER[id] = Code(id, title, meaning)
    return entry


def registered_codes() -> list[Code]:
    """All codes of the modules imported so far, sorted by id."""
    return [_REGISTER[id] for id in sorted(_REGISTER)]


class TailraceError(Exception):
    """An error that a person can act on.

    `found` says what was seen (never a secret), `remedy` what to do about it, `where` the place: a file with
    line and column, a table, a topic, a log position.
    """

    policy: ClassVar[Policy] = Policy.STOP

    def __init__(self, code: Code, found: str, remedy: str, *, where: str | None = None) -> None:
        super().__init__(code, found, remedy)
        self.code = code
        self.found = found
        self.remedy = remedy
        self.where = where

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.code.id} {self.code.title}: {self.found}"


class Retry(TailraceError):
    """Passes by itself: a network, a deadlock, a broker that is away."""

    policy = Policy.RETRY


class UnknownOutcome(Retry):
    """A commit was sent and its answer never came: only the stored checkpoint tells what happened."""


class Stop(TailraceError):
    """Needs a person; trying again changes nothing."""


class NotReady(Stop):
    """The server or the target is not set up for what the pipeline asks of it."""


class Gap(Stop):
    """The log no longer holds everything after the checkpoint: going on would lose events unsaid."""


class Diverged(Stop):
    """The checkpoint lies beyond the server's history: another server, or one restored from a backup."""


class Malformed(Stop):
    """Bytes or a value that cannot be decoded. The event is shown; nothing after it is delivered."""


class Rejected(Stop):
    """The target refuses one event for what it is (too large, not acceptable), not for the state it is in."""


class Fenced(TailraceError):
    """A newer claim on this pipeline's sink exists."""

    policy = Policy.FENCED


class ConfigurationError(Stop):
    """One or more faults in a configuration file or in the words of a command.

    `faults` holds each as an error of its own, with its place; a single fault is its own only element.
    """

    def __init__(
        self,
        code: Code,
        found: str,
        remedy: str,
        *,
        where: str | None = None,
        faults: tuple[ConfigurationError, ...] = (),
    ) -> None:
        super().__init__(code, found, remedy, where=where)
        self.faults: tuple[ConfigurationError, ...] = faults or (self,)
