"""Positions in PostgreSQL's log: their order, their document, and what of a batch one of them covers.

Where things stand, as (LSN, ordinal):

- a change is (commit LSN of its transaction, its ordinal): ordinals count the wire messages I U D T M of the
  transaction from 1 on, before any filter. The changes of one message (a key change, a TRUNCATE of several
  tables) share it; positions lie between messages only;
- a commit's end is (end LSN, 0): the LSN behind the commit record. It is greater than the commit LSN, and
  the next transaction's commit LSN is not less: an end sorts behind its own changes and before the next's;
- an idle position is (walEnd, 0) of a keepalive outside Begin…Commit: what commits later is not before it;
- a non-transactional message is (its LSN, 0): the LSN behind its record, so that no two of them share one.

Beside its place a position keeps its witness (`witness.py`), by which a start tells that the log is the same.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from dataclasses import dataclass, field
from typing import Final

from connectors.postgres.witness import Witness
from tailrace.events import Batch, Change, Event, Position, SchemaChange

_LSN: Final = re.compile(r"[0-9A-Fa-f]{1,8}/[0-9A-Fa-f]{1,8}")
_EVENT: Final = re.compile(r"([0-9A-F]{16}):[1-9][0-9]*:[0-9]+")  # `Change.position`
_FIELDS: Final = {"lsn", "ordinal", "end", "proof"}  # of a position's document


def format_lsn(lsn: int) -> str:
    """As PostgreSQL writes it: `0/16B3748`."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def parse_lsn(text: str) -> int:
    """Read `0/16B3748`. Raises ValueError for anything else."""
    if not _LSN.fullmatch(text):
        raise ValueError(f"a log position looks like 0/16B3748; found {text!r}")
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


@dataclass(frozen=True, order=True, slots=True)
class WalPosition:
    """A place between two wire messages. Ordered and compared by (lsn, ordinal).

    `end` is what to ask the server for to get everything behind this place, and the most that may be
    acknowledged: inside a transaction the last commit's end (or idle position) before it, else `lsn` itself.
    `witness` is of the last thing that was sent before this place, inside a transaction of that transaction;
    None where a person gave the place, the server made it, or a version wrote it that kept none.
    """

    lsn: int
    ordinal: int = 0  # messages of the transaction with commit LSN `lsn` before this place; 0: outside of any
    end: int = field(default=-1, compare=False)
    witness: Witness | None = field(default=None, compare=False)

    def __post_init__(self) -> None:
        if self.ordinal == 0 and self.end == -1:
            object.__setattr__(self, "end", self.lsn)
        valid = self.end == self.lsn if self.ordinal == 0 else self.ordinal > 0 and 0 <= self.end <= self.lsn
        if not (valid and 0 <= self.lsn < 1 << 64):
            raise ValueError(f"no position: {self.lsn}, {self.ordinal}, {self.end}")

    def __str__(self) -> str:
        return format_lsn(self.lsn) + (f" after message {self.ordinal}" if self.ordinal else "")

    @property
    def inside(self) -> bool:
        """Whether it lies inside a transaction."""
        return self.ordinal > 0

    def covers(self, other: WalPosition) -> bool:
        """Whether this is at or past the other."""
        return self >= other

    def document(self) -> Position:
        """What is stored: `{"lsn": "0/16B3748"}`, inside a transaction also `ordinal` and `end`, and `proof`
        where there is a witness: its start, and what it is."""
        place: dict[str, int | str] = {"lsn": format_lsn(self.lsn)}
        if self.ordinal:
            place |= {"ordinal": self.ordinal, "end": format_lsn(self.end)}
        if self.witness is not None:
            place["proof"] = f"{format_lsn(self.witness.start)} {self.witness.proof}".rstrip()
        return place

    @classmethod
    def from_document(cls, document: Position) -> WalPosition:
        """Read what `document` wrote. Raises ValueError for anything else."""
        lsn, ordinal, end = document.get("lsn"), document.get("ordinal", 0), document.get("end")
        proof = document.get("proof")
        wanted = {"lsn", "ordinal", "end"} if ordinal else {"lsn"}
        if unknown := document.keys() - _FIELDS:
            raise ValueError(
                f"the position has {', '.join(sorted(unknown))}, which this tailrace does not know: "
                "a newer one, or another kind of source, wrote it"
            )
        if not (document.keys() - {"proof"} == wanted and isinstance(lsn, str) and type(ordinal) is int):
            raise ValueError(f"not a PostgreSQL position: {dict(document)}")
        witness = None
        if proof is not None:
            start, _, what = str(proof).partition(" ")
            witness = Witness(parse_lsn(start), what)
        return cls(parse_lsn(lsn), ordinal, parse_lsn(str(end)) if ordinal else -1, witness)

    @classmethod
    def parse(cls, text: str) -> WalPosition:
        """A position as people write it: an LSN. What commits at or after it comes behind it. ValueError also
        for the place of an event, with the LSN from which its transaction comes: one message may make several
        events, and the place of one does not tell whether others follow."""
        text = text.strip()
        if event := _EVENT.fullmatch(text):
            lsn = format_lsn(int(event[1], 16))
            raise ValueError(
                f"{text} is the place of an event, inside of a transaction; {lsn} is the log position from "
                "which that transaction is delivered, from its first change on"
            )
        return cls(parse_lsn(text))


def place(event: Event) -> tuple[int, int]:
    """Where an event stands: (LSN, ordinal)."""
    return int(event.transaction.position, 16), event.ordinal


def after(batch: Batch, position: WalPosition) -> Batch:
    """What of the batch `position` does not cover, cut between wire messages; schema changes stay.

    Ends at the later of both: what is delivered behind a checkpoint must never take it back.
    """
    reached = (position.lsn, position.ordinal)
    cut = bisect_right(batch.events, reached, key=place)
    passed = position.covers(WalPosition.from_document(batch.end))
    if cut == 0 and not passed:
        return batch
    kept: list[Event] = [event for event in batch.events[:cut] if isinstance(event, SchemaChange)]
    kept += batch.events[cut:]
    size = sum(len(event.raw) for event in kept if isinstance(event, Change))
    end, commit = (position.document(), not position.inside) if passed else (batch.end, batch.commit)
    return Batch(kept, end, commit=commit, size=size, timestamp=batch.timestamp, more=batch.more)


def before(batch: Batch, change: Change) -> Batch | None:
    """What of the batch stands before the wire message of this change; None where no change does.

    The end is what a server is asked for to send the change's transaction again. Where the batch does not
    tell it, the transaction's commit LSN will do, as all that was committed before ends there at the latest.
    """
    lsn, ordinal = place(change)
    if not ordinal:
        return None  # a message outside of transactions has no place before it that is told apart
    kept = batch.events[: bisect_left(batch.events, (lsn, ordinal), key=place)]
    if not any(isinstance(event, Change) for event in kept):
        return None
    reached = WalPosition.from_document(batch.end)
    asked = -1 if ordinal == 1 else reached.end if reached.inside and reached.lsn == lsn else lsn
    end = WalPosition(lsn, ordinal - 1, asked, Witness.transaction(change.transaction))
    return Batch(
        kept,
        end.document(),
        commit=not end.inside,
        size=sum(len(event.raw) for event in kept if isinstance(event, Change)),
        timestamp=kept[-1].transaction.timestamp,
    )
