"""What tells one log from another that looks like it: the last thing that the server sent before a position.

A position is a number, and a database that is put back from a copy comes to the same number again, with
another log before it. A commit tells which log it is in: no two have the same place, transaction id and time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final
from zlib import crc32

from tailrace.events import Transaction

_MESSAGE: Final = "message "


@dataclass(frozen=True, slots=True)
class Witness:
    """Asked for its log from `start` on, the server sends what `proof` describes before anything else."""

    start: int  # LSN; of a transaction the commit's, of a message the end of what was sent before it
    proof: str = ""  # empty: nothing has been sent since `start`

    @classmethod
    def transaction(cls, transaction: Transaction) -> Witness:
        """A transaction that was sent, wholly or in part."""
        seconds, microseconds = divmod(transaction.timestamp, 1_000_000)
        return cls(
            int(transaction.position, 16), f"transaction {transaction.id} of {seconds}.{microseconds:06d}"
        )

    @classmethod
    def message(cls, since: int, payload: bytes) -> Witness:
        """A message outside of transactions, which came first behind `since`; its LSN is in the payload."""
        return cls(since, f"{_MESSAGE}{crc32(payload):08x}")

    def same(self, other: Witness) -> bool:
        """Whether both are of the same thing. Where to ask for a message depends on what was seen before."""
        return self.proof == other.proof and (self.start == other.start or self.proof.startswith(_MESSAGE))
