"""Positions in a binary log: their order, their document, and what of a batch one of them covers.

What was executed says where the log is read on: with GTIDs MySQL's set of them or MariaDB's last one of each
domain, without them the file and the offset behind the last commit. Where things stand, as (number, ordinal):

- `number` counts: transactions in MySQL's set, the numbers of MariaDB's domains together, files and offsets.
  It grows with each transaction, and is known from what was executed alone;
- a change is (number of what was executed before its transaction, its ordinal): ordinals count the row events
  of the transaction from 1 on, before any filter. The rows of one event share it; positions lie between
  events only. A TRUNCATE is the first and only one of its transaction;
- a commit's end is (number of what was executed with it, 0).

An XA transaction that is in doubt has been read and is counted, as is the one that ends it: what was executed
alone says how far a stream has come. Its rows are wanted again: the server is asked for them from before
(`asked`), and what comes along that was executed is passed over.

Beside its place a position keeps where the last transaction before it stands in the log of its server. Two
servers, or one that was put back from a copy, may have given out the same GTIDs; at the same place of the
same file they have not.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from connectors.mysql.binlog.gtid import GtidSet
from connectors.mysql.binlog.mariadb_gtid import GtidPosition, split_mariadb
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.in_doubt import NONE, InDoubt, Prepared
from tailrace.events import Batch, Change, Event, Position, SchemaChange, Transaction

_EVENT: Final = re.compile(r"[0-9]{20}:[0-9]+:[0-9]+")  # see `Change.position`
_ALONE: Final = re.compile(r"([0-9A-Fa-f-]{36}(?::[A-Za-z_]\w*)?):([0-9]{1,19})")
_FILE: Final = re.compile(r"[^:\s/]+\.([0-9]{1,10})")
_PROOF: Final = re.compile(r"(\S+):(?:([0-9]+)-)?([0-9]+) (?:begun ([0-9]+) |(\S+) )?of (\S+)")
_FILE_STEP: Final = 10**12  # more than a file is long

NUMBER_WIDTH: Final = 20
"""Digits of a number in `Transaction.position`."""


@dataclass(frozen=True, slots=True)
class FilePlace:
    """A place between two events of a file of the log."""

    file: str
    offset: int

    @classmethod
    def parse(cls, text: str) -> FilePlace:
        """Read `binlog.000003:1234`. Raises ValueError for anything else."""
        file, _, offset = text.rpartition(":")
        if not _FILE.fullmatch(file) or not re.fullmatch(r"[0-9]{1,12}", offset):
            raise ValueError(f"a place in a binary log looks like binlog.000003:1234; found {text[:80]!r}")
        return cls(file, int(offset))

    def __str__(self) -> str:
        return f"{self.file}:{self.offset}"

    @property
    def is_told_whole(self) -> bool:
        """Whether `parse` reads it: the names of a server's files may have blanks and colons in them."""
        return _FILE.fullmatch(self.file) is not None

    @property
    def number(self) -> int:
        """The file's number, then the offset."""
        return _file_number(self.file) * _FILE_STEP + self.offset


@lru_cache(maxsize=64)
def _file_number(file: str) -> int:
    matched = _FILE.fullmatch(file)
    if matched is None:
        raise ValueError(f"a file of a binary log ends with its number: {file!r}")
    return int(matched[1])


Executed: TypeAlias = GtidSet | GtidPosition | FilePlace
"""Everything up to a commit."""


def number(executed: Executed) -> int:
    """What orders positions of one stream."""
    return executed.count if isinstance(executed, GtidSet) else executed.number


def _before(executed: Executed, rows: Sequence[Prepared]) -> Executed:
    """What was executed, without the transactions that prepared these, or up to the oldest of them."""
    if isinstance(executed, GtidSet):
        prepared = GtidSet.parse(",".join([one.gtid for one in rows]))
        if prepared.count < len(rows):
            raise ValueError("an XA transaction in doubt without a GTID of its own")
        return executed - prepared
    if isinstance(executed, FilePlace):
        places = [FilePlace(one.file, one.begin) for one in rows]
        return min([executed, *places], key=lambda place: place.number)
    oldest: dict[int, tuple[int, Prepared]] = {}  # by domain, with its number
    for one in rows:
        domain, _, number = split_mariadb(one.gtid)
        if domain not in oldest or number < oldest[domain][0]:
            oldest[domain] = number, one
    for _, one in oldest.values():
        executed = executed.back_to(one.before, one.gtid)
    return executed


def was_executed(prepared: Prepared, executed: Executed) -> bool:
    """Whether the transaction that prepared one is among these."""
    if isinstance(executed, FilePlace):
        return FilePlace(prepared.file, prepared.begin).number < executed.number
    return prepared.gtid in executed


class Proof(msgspec.Struct, frozen=True, gc=False):
    """Where the last transaction before a position stands in the log of one server."""

    file: str
    end: int  # offset behind it
    server: str  # MySQL's UUID, MariaDB's server id
    begin: int | None = None  # offset of its GTID; None: nothing is known of it
    gtid: str = ""
    begun: int | None = None  # without GTIDs: when the file was begun, in seconds since the epoch

    def __str__(self) -> str:
        if self.begun is not None:
            return f"{self.file}:{self.end} begun {self.begun} of {self.server}"
        if self.begin is None:
            return f"{self.file}:{self.end} of {self.server}"
        return f"{self.file}:{self.begin}-{self.end} {self.gtid} of {self.server}"

    @property
    def place(self) -> FilePlace:
        """Where it ends."""
        return FilePlace(self.file, self.end)

    @classmethod
    def parse(cls, text: str) -> Proof:
        """Read what `str` made. Raises ValueError for anything else."""
        matched = _PROOF.fullmatch(text)
        if matched is None or (matched[2] is None) != (matched[5] is None):
            raise ValueError(f"not where a transaction stands: {text[:80]!r}")
        begin = None if matched[2] is None else int(matched[2])
        begun = None if matched[4] is None else int(matched[4])
        return cls(matched[1], int(matched[3]), matched[6], begin, matched[5] or "", begun)


def _refuse_alone(text: str) -> None:
    """ValueError where a set has one transaction of a server that is not its first: the name of a transaction
    taken for all up to it. What is not in the set is delivered, so all of them would be once more."""
    for part in text.split(","):
        if (found := _ALONE.fullmatch("".join(part.split()))) and (number := int(found[2])) > 1:
            source = found[1]
            raise ValueError(
                f"{source}:{number} is this transaction alone, and those before it would be delivered again; "
                f"all up to it are {source}:1-{number} (and the one alone is {source}:{number}-{number})"
            )


def as_given(executed: Executed) -> str:
    """As a person gives it, of whom one transaction alone is not taken: see `BinlogPosition.parse`."""
    parts = str(executed).split(",")
    return ",".join([f"{part}-{alone[2]}" if (alone := _ALONE.fullmatch(part)) else part for part in parts])


@dataclass(frozen=True, slots=True)
class BinlogPosition:
    """A place between two row events, or between transactions. Compared by `reached`."""

    executed: Executed
    transaction: str = ""  # inside of one: its GTID; without GTIDs `executed` is where it begins
    ordinal: int = 0  # its row events before this place; 0: outside of any
    proof: Proof | None = field(default=None, compare=False)  # None where a person gave the place
    in_doubt: InDoubt = NONE

    def __post_init__(self) -> None:
        named = bool(self.transaction) if not isinstance(self.executed, FilePlace) else not self.transaction
        if self.ordinal < 0 or (self.ordinal > 0 and not named) or (not self.ordinal and self.transaction):
            raise ValueError(f"no position: {self.executed}, {self.transaction!r}, {self.ordinal}")

    def __str__(self) -> str:
        where = str(self.executed) or "the beginning"
        if not self.ordinal:
            return where
        return f"{where}, then {self.transaction or 'the next transaction'} after row event {self.ordinal}"

    @classmethod
    def parse(cls, text: str, flavor: Flavor) -> BinlogPosition:
        """A position as people write it: GTIDs, or a file and an offset. Raises ValueError."""
        text = text.strip()
        if "\0" in text or not text:
            raise ValueError("a position is a GTID set, or a file and an offset as in binlog.000003:1234")
        if _EVENT.fullmatch(text):
            raise ValueError(
                f"{text} is the place of an event; that of its transaction is in the source block of "
                "Debezium's envelope, as gtid or as file and pos"
            )
        if flavor == "mysql":
            _refuse_alone(text)
        try:
            if flavor == "mariadb":
                return cls(GtidPosition.parse(text))
            if _FILE.fullmatch(text.rpartition(":")[0]):
                return cls(FilePlace.parse(text))
            if not (executed := GtidSet.parse(text)):
                raise ValueError(f"no transaction is named in {text[:80]!r}")
            return cls(executed)
        except ValueError as error:
            expected = "0-1-7" if flavor == "mariadb" else "a GTID set, or binlog.000003:1234"
            raise ValueError(f"a position looks like {expected}: {error}") from None

    @property
    def reached(self) -> tuple[int, int]:
        """(number, ordinal)."""
        return number(self.executed), self.ordinal

    @property
    def inside(self) -> bool:
        """Whether it lies inside a transaction."""
        return self.ordinal > 0

    @property
    def asked(self) -> Executed:
        """Up to where the server need not send its log: what was executed, or less than that where rows are
        in doubt."""
        rows = self.in_doubt.with_rows
        return _before(self.executed, rows) if rows else self.executed

    def document(self) -> Position:
        """What is stored: `{"gtids": "uuid:1-7"}`, of MariaDB `{"domains": "0-1-7"}`, without GTIDs `{"file":
        "binlog.000003", "pos": 1234}`; inside a transaction also `transaction` (with GTIDs) and `ordinal`; of
        XA transactions that are in doubt `in_doubt`."""
        executed = self.executed
        place: dict[str, int | str]
        if isinstance(executed, FilePlace):
            place = {"file": executed.file, "pos": executed.offset}
        else:
            place = {"gtids" if isinstance(executed, GtidSet) else "domains": str(executed)}
        if self.transaction:
            place["transaction"] = self.transaction
        if self.ordinal:
            place["ordinal"] = self.ordinal
        if self.in_doubt:
            place["in_doubt"] = str(self.in_doubt)
        if self.proof is not None:
            place["proof"] = str(self.proof)
        return place

    @classmethod
    def from_document(cls, document: Position) -> BinlogPosition:
        """Read what `document` wrote. Raises ValueError for anything else."""
        rest = dict(document)
        transaction, ordinal, proof, in_doubt = (
            rest.pop("transaction", ""),
            rest.pop("ordinal", 0),
            rest.pop("proof", None),
            rest.pop("in_doubt", ""),
        )
        executed: Executed | None = None
        match rest:
            case {"gtids": str(text)} if len(rest) == 1:
                executed = _gtid_set(text)
            case {"domains": str(text)} if len(rest) == 1:
                executed = _gtid_position(text)
            case {"file": str(file), "pos": int(offset)} if len(rest) == 2:
                executed = FilePlace.parse(f"{file}:{offset}")
        if (
            executed is None
            or not isinstance(transaction, str)
            or type(ordinal) is not int
            or not isinstance(in_doubt, str)
        ):
            raise ValueError(f"not a position of a binary log: {dict(document)}")
        known = Proof.parse(str(proof)) if proof is not None else None
        waiting = _in_doubt(in_doubt) if in_doubt else NONE
        if waiting.with_rows:
            _before(executed, waiting.with_rows)  # ValueError where they are named in another form
        return cls(executed, transaction, ordinal, known, waiting)


@lru_cache(maxsize=64)
def _gtid_set(text: str) -> GtidSet:
    return GtidSet.parse(text)


@lru_cache(maxsize=64)
def _gtid_position(text: str) -> GtidPosition:
    return GtidPosition.parse(text)


@lru_cache(maxsize=8)  # of thousands each is large
def _in_doubt(text: str) -> InDoubt:
    return InDoubt.parse(text)


class SourceBlock(dict[str, int | str | None]):
    """`Transaction.source`, which also knows what was executed right before the transaction, where the last
    one of that stands, and what was in doubt there."""

    __slots__ = ("executed", "in_doubt", "proof")

    executed: Executed
    proof: Proof | None
    in_doubt: InDoubt


def place(event: Event) -> tuple[int, int]:
    """Where an event stands: (number, ordinal)."""
    return int(event.transaction.position), event.ordinal


def executed_before(transaction: Transaction) -> Executed:
    """What stands before a transaction in the log that it was read from."""
    block = transaction.source
    assert isinstance(block, SourceBlock)
    return block.executed


def place_in(transaction: Transaction, ordinal: int) -> BinlogPosition:
    """The position behind the row event with this ordinal; 0: right before the transaction."""
    block = transaction.source
    assert isinstance(block, SourceBlock)
    named = "" if isinstance(block.executed, FilePlace) or not ordinal else transaction.id
    return BinlogPosition(block.executed, named, ordinal, block.proof, block.in_doubt)


def after(batch: Batch, position: BinlogPosition) -> Batch:
    """What of the batch `position` does not cover, cut between row events; schema changes stay.

    Ends at the later of both: what is delivered behind a checkpoint must never take it back.
    """
    cut = bisect_right(batch.events, position.reached, key=place)
    passed = position.reached >= BinlogPosition.from_document(batch.end).reached
    if cut == 0 and not passed:
        return batch
    kept: list[Event] = [event for event in batch.events[:cut] if isinstance(event, SchemaChange)]
    kept += batch.events[cut:]
    end, commit = (position.document(), not position.inside) if passed else (batch.end, batch.commit)
    return Batch(
        kept, end, commit=commit, size=_size(batch, kept), timestamp=batch.timestamp, more=batch.more
    )


def before(batch: Batch, change: Change) -> Batch | None:
    """What of the batch stands before the row event of this change; None where no change does."""
    kept = batch.events[: bisect_left(batch.events, place(change), key=place)]
    if not any(isinstance(event, Change) for event in kept):
        return None
    end = place_in(change.transaction, change.ordinal - 1)
    return Batch(
        kept,
        end.document(),
        commit=not end.inside,
        size=_size(batch, kept),
        timestamp=kept[-1].transaction.timestamp,
    )


def _size(batch: Batch, kept: Sequence[Event]) -> int:
    """The bytes of what is kept: events of a batch count alike."""
    return batch.size * len(kept) // len(batch.events) if batch.events else 0
