"""The decoder of logical replication: CopyData payloads in, batches of changes out. No I/O.

Protocol version 1 of pgoutput with `messages 'true'`, text format
(https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html). The session that produces
it must be pinned: client_encoding UTF8, DateStyle ISO, IntervalStyle postgres, extra_float_digits 3,
bytea_output hex, TimeZone UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from connectors.postgres.position import WalPosition
from connectors.postgres.relations import RelationDetails, Relations, Undescribed
from tailrace.events import Batch, Origin

OWN_PREFIX: Final = "tailrace"
"""Logical messages with this prefix are the connector's own: counted, never delivered."""


def origin(pipeline: str, database: str) -> Origin:
    """The origin of this connector's tables, with the fields it adds to the source block."""
    raise NotImplementedError


class Decoder:
    """Decodes one connection's stream, which the server was asked for from `resume.end` on.

    ::

        needed = decoder.feed(messages)
        while needed:
            needed = decoder.describe(await catalogue.describe(needed))
        batch = decoder.cut()

    What `resume` covers of the first transaction is dropped. Errors are `Malformed` (bytes that are not the
    protocol) and `NotReady` (a column's type is not supported); after one, the decoder is of no further use.
    Not safe for use from several threads at once.
    """

    in_transaction: bool
    """Between Begin and Commit."""

    end: int
    """The last commit's end, or the idle position behind it: what `cut` would be requested from again."""

    server_end: int
    """The newest end of the server's log that it has told. For the lag; nothing else may rest on it."""

    reply_requested: bool
    """A keepalive asked for an answer at once. Set by `feed`; whoever answers sets it back to False."""

    size: int
    """Bytes of the messages behind the events that the next `cut` hands out."""

    def __init__(self, relations: Relations, resume: WalPosition) -> None:
        raise NotImplementedError

    def feed(self, messages: Sequence[bytes]) -> Undescribed | None:
        """Decode CopyData payloads (XLogData and keepalives) in the order they came, whole.

        Returns None when all are decoded, else the relation that must be described first: the rest waits in
        the decoder. A keepalive outside Begin…Commit moves the position (an idle position).
        """
        raise NotImplementedError

    def describe(self, details: RelationDetails) -> Undescribed | None:
        """Answer what `feed` (or `describe`) asked for and go on with the rest, as `feed`. Raises NotReady if
        the table has a column whose type is not supported."""
        raise NotImplementedError

    def cut(self) -> Batch | None:
        """Hand out what has been decoded since the last call, up to here, be that inside a transaction.

        None if there are no events and no commit's end or idle position has been passed since then. A batch
        without events is a position alone: how often these are wanted is the caller's business.
        """
        raise NotImplementedError
