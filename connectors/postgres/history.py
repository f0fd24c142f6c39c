"""Whether the log that a server sends is still the one in which the checkpoints stand. No I/O.

A database that is put back from a copy, on the same timeline, goes on with another log from the copy's end
on. Once clients have written past a checkpoint, its LSN says nothing any more. Two things do:

- its witness, the last thing that was sent before it, comes first again when the server is asked for it. Only
  a slot that is confirmed beyond it leaves it out; a copy whose slot is has it too;
- between the two nothing was sent. What comes there now is of another log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from connectors.postgres.position import WalPosition, format_lsn
from connectors.postgres.witness import Witness
from tailrace.errors import Diverged, Gap, code

OTHER_LOG: Final = code(
    "TR-PG-323",
    "another log before the checkpoint",
    "The server's log holds something else before the checkpoint than what was read there: the database was "
    "put back from a copy, and has been written past the checkpoint since. What was written up to there "
    "would be left out.",
)


def begin(resume: WalPosition, positions: Iterable[WalPosition]) -> int:
    """What to ask a server for so that the witnesses of all positions come by; `resume` is one of them."""
    starts = [position.witness.start for position in positions if position.witness is not None]
    return min(starts) if resume.witness is not None else min([resume.end, *starts])


@dataclass(slots=True)
class _Claim:
    """What is left to be shown for a position."""

    position: WalPosition
    witness: Witness
    awaited: bool  # the witness must still come


class History:
    """Compares what one connection sends with what was sent before `positions`, which are `resume` and those
    behind it. The server begins at the LSN `begins`: where it was asked to, or where its slot is confirmed.

    Everything is told in the order in which it comes. Raises Gap where the log is another; Diverged if
    `ahead`: these positions were read, and not all that is before them is durable.
    """

    def __init__(
        self,
        resume: WalPosition,
        positions: Sequence[WalPosition] = (),
        begins: int | None = None,
        *,
        ahead: bool = False,
    ) -> None:
        begins = resume.end if begins is None else begins
        claims = [
            _Claim(position, witness, bool(witness.proof) and begins <= witness.start)
            for position in positions
            if (witness := position.witness) is not None
        ]
        self._claims = [claim for claim in claims if claim.awaited or begins < claim.position.end]
        self._resume = resume
        self._behind = begins < resume.end
        self._error = Diverged if ahead else Gap

    @property
    def settled(self) -> bool:
        """Nothing is left to be told."""
        return not (self._claims or self._behind)

    @property
    def proven(self) -> bool:
        """Nothing is left to be shown for `resume`. Before that nothing may be acknowledged: the slot's old
        place is part of the evidence."""
        return not any(claim.position <= self._resume for claim in self._claims)

    def repeats(self, lsn: int, witness: Witness) -> bool:
        """A transaction that begins to come, by its commit LSN, or a message, by the LSN before its end.
        Whether `resume` covers it."""
        for claim in self._claims.copy():
            if lsn < claim.witness.start:
                continue
            if witness.same(claim.witness):
                claim.awaited = False
                if lsn >= claim.position.lsn:
                    self._claims.remove(claim)
            elif claim.awaited:
                raise self._other(claim, f"{witness.proof} comes at {format_lsn(lsn)} in its place")
            elif lsn < claim.position.lsn:
                raise self._other(claim, f"{witness.proof} comes behind it, at {format_lsn(lsn)}")
            else:
                self._claims.remove(claim)
        self._behind = self._behind and lsn < self._resume.end
        return self._behind

    def passed(self, lsn: int) -> None:
        """Everything before `lsn`, an end of a commit or of a message or a keepalive's, has come."""
        self._behind = self._behind and lsn < self._resume.end
        for claim in self._claims.copy():
            if lsn < claim.position.lsn:
                continue
            if not claim.awaited:
                self._claims.remove(claim)
            elif lsn > claim.witness.start:
                raise self._other(claim, f"the server has come to {format_lsn(lsn)} without it")

    def _other(self, claim: _Claim, found: str) -> Gap | Diverged:
        last = claim.witness.proof or "nothing"
        return self._error(
            OTHER_LOG,
            f"the checkpoint stands at {claim.position}; the last that was read before it is {last}, from "
            f"{format_lsn(claim.witness.start)} on, and {found}",
            "The sinks hold changes that the server has lost, in a restore, and lack others: decide which of "
            "both is right, then begin anew: tailrace teardown FILE, and run it again. Where it was only the "
            "file's publication or origin that changed, run it once more with what was there before.",
            where=f"log position {format_lsn(claim.position.lsn)}",
        )
