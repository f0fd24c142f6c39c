"""Messages of transactions that have not committed yet: versions 2 to 4 of the protocol. No I/O.

A large transaction comes in pieces while it is open, each between a Stream Start and a Stream Stop; inside of
a piece most messages have the number of their (sub)transaction behind their kind. A Stream Commit or a Stream
Abort ends it (https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html).

Transactions of two phases are read to be refused: their rows come at PREPARE, when nobody knows whether they
will ever be committed, and do not come again at COMMIT PREPARED.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from connectors.postgres.wire import KIND, Reader, malformed
from tailrace.errors import NotReady, code

PREPARED: Final = code(
    "TR-PG-104",
    "a prepared transaction before its commit",
    "The server sends transactions at PREPARE TRANSACTION: the slot decodes with two_phase. Whether such a "
    "transaction will be committed is not known then, and its rows do not come again when it is.",
)

STREAM_START, STREAM_STOP, STREAM_COMMIT, STREAM_ABORT = b"S", b"E", b"c", b"A"

_PREPARED: Final[Mapping[int, tuple[str, int]]] = {
    ord("b"): ("Begin Prepare", 24),
    ord("P"): ("Prepare", 25),
    ord("K"): ("Commit Prepared", 25),
    ord("r"): ("Rollback Prepared", 33),
    ord("p"): ("Stream Prepare", 25),
}
"""Names by kind, and the bytes of flags, LSNs and times before the transaction's number."""

_VERSIONS: Final = ((160_000, "4"), (150_000, "3"), (140_000, "2"))


def options(version: int) -> dict[str, str]:
    """What pgoutput of a server of this version (160004) is given for it."""
    protocol = next(protocol for since, protocol in _VERSIONS if version >= since)
    return {"proto_version": protocol, "streaming": "on"}


@dataclass(frozen=True, slots=True)
class StreamStart:
    """A piece of a transaction begins."""

    xid: int
    first: bool  # of its pieces

    @classmethod
    def read(cls, message: bytes) -> StreamStart:
        """Raises Malformed."""
        reader = Reader(message)
        xid, first = reader.uint32(), reader.byte()
        reader.finish()
        if first > 1:
            raise malformed(message, f"a Stream Start with the mark {first:#x}")
        return cls(xid, first == 1)


@dataclass(frozen=True, slots=True)
class StreamCommit:
    """A transaction that came in pieces commits."""

    xid: int
    commit_lsn: int
    end: int  # LSN behind the commit
    time: int  # µs since 2000-01-01

    @classmethod
    def read(cls, message: bytes) -> StreamCommit:
        """Raises Malformed."""
        reader = Reader(message)
        xid, flags = reader.uint32(), reader.byte()
        found = cls(xid, reader.uint64(), reader.uint64(), reader.int64())
        reader.finish()
        if flags:
            raise malformed(message, f"a Stream Commit with the flags {flags:#x}")
        return found


@dataclass(frozen=True, slots=True)
class StreamAbort:
    """A transaction that came in pieces, or a subtransaction of it, is rolled back."""

    xid: int  # of the whole
    subxid: int  # of what is rolled back, which may be the whole
    lsn: int | None = None  # of the abort; with `streaming 'parallel'` alone
    time: int | None = None  # µs since 2000-01-01; likewise

    @classmethod
    def read(cls, message: bytes) -> StreamAbort:
        """Raises Malformed."""
        reader = Reader(message)
        xid, subxid = reader.uint32(), reader.uint32()
        if reader.offset == len(message):
            return cls(xid, subxid)
        found = cls(xid, subxid, reader.uint64(), reader.int64())
        reader.finish()
        return found


def prepared(message: bytes) -> NotReady | None:
    """The error for a message of a transaction of two phases; None for any other. Raises Malformed."""
    kind = _PREPARED.get(message[KIND])
    if kind is None:
        return None
    name, skipped = kind
    reader = Reader(message)
    reader.take(skipped)
    xid, gid = reader.uint32(), reader.string()
    reader.finish()
    return NotReady(
        PREPARED,
        f"{name} of the transaction {gid!r} ({xid})",
        "Let a slot without two_phase be made: SELECT pg_drop_replication_slot('…'); then begin anew: "
        "tailrace teardown FILE, and run it again.",
    )
