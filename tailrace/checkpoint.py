"""Checkpoints: how far one sink has durably come, stored with the data itself."""

from __future__ import annotations

import os
import socket
import uuid
from typing import Any, Final

import msgspec

from tailrace.errors import Stop, code
from tailrace.events import Position

VERSION: Final = 1

UNREADABLE = code(
    "TR-CKPT-001",
    "unreadable checkpoint",
    "A stored checkpoint is damaged or was written by a newer tailrace. Nothing is delivered on a guess.",
)


class Owner(msgspec.Struct, frozen=True):
    """The process that holds a claim: for people, and for telling oneself from another."""

    host: str
    pid: int
    id: str  # a fresh uuid per run

    @classmethod
    def this_process(cls) -> Owner:
        """A new owner for this run of this process."""
        return cls(socket.gethostname(), os.getpid(), str(uuid.uuid4()))

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


class Identity(msgspec.Struct, frozen=True):
    """Which server a position belongs to."""

    system: str  # PostgreSQL's system identifier, MySQL's server uuid
    database: str  # empty: positions are of the whole server
    timeline: int | None = None  # not compared here: only the source knows which timelines follow each other

    def __str__(self) -> str:
        return f"database {self.database} of system {self.system}" if self.database else self.system

    def same_system(self, other: Identity) -> bool:
        """Whether positions of both belong to one log, as far as can be told without the server."""
        return (self.system, self.database) == (other.system, other.database)


class Checkpoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Position, and whose and of what it is. Written by the engine alone, opaque to sinks.

    States of a sink: *empty* (nothing stored, or a bare claim), *new* (a first start has begun, and its place
    in the log is not yet known), *at* a position. `start` names one first start of the pipeline, `origin` is
    the position at which that start's stream begins. `sequence` grows by one with each commit of this sink
    but a claim, which changes the owner alone: it tells whether a unit got in, whoever claimed it since.
    """

    owner: Owner
    sequence: int = 0
    start: str | None = None
    identity: Identity | None = None
    fingerprint: str = ""  # of what shapes the stream; meaningful while inside a transaction
    origin: Position | None = None
    position: Position | None = None
    version: int = VERSION

    @property
    def is_empty(self) -> bool:
        """Nothing but a claim."""
        return self.start is None

    @property
    def is_new(self) -> bool:
        """A first start began and did not get as far as knowing where its stream begins."""
        return self.start is not None and self.position is None

    def encode(self) -> bytes:
        """JSON, readable by people and by `decode` of this and later versions."""
        return msgspec.json.encode(self)

    @classmethod
    def decode(cls, data: bytes | str, where: str) -> Checkpoint:
        """Read a stored checkpoint; `where` names its place for the error."""
        try:
            version = msgspec.json.decode(data, type=dict[str, Any]).get("version")
            if version == VERSION:
                return msgspec.json.decode(data, type=cls)
            found = f"its version is {version!r}, this tailrace reads {VERSION}"
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            found = str(error)
        raise unreadable(found, where)


def unreadable(found: str, where: str) -> Stop:
    """The error for a checkpoint, or a position in it, that this tailrace cannot read."""
    return Stop(
        UNREADABLE,
        found,
        "Run the tailrace that wrote it. If none can read it, give the sink another name in the file and "
        "then a position: tailrace offsets set FILE --sink NAME --at POSITION. The server keeps its log "
        "from the place on that tailrace doctor FILE shows; what was delivered behind it arrives twice.",
        where=where,
    )


def show_position(position: Position | None) -> str:
    """`0/16B3748`, or with more than one part `lsn 0/16B3748, ordinal 7, end 0/16B3000`."""
    if position is None:
        return "none"
    place = {name: value for name, value in position.items() if name != "proof"}
    if len(place) == 1:
        return str(next(iter(place.values())))
    return ", ".join(f"{name} {value}" for name, value in place.items())
