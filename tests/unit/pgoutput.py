"""What the tests of the PostgreSQL decoder share: recorded streams, and messages made by hand."""

import json
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from connectors.postgres.position import WalPosition
from connectors.postgres.protocol import Decoder, origin
from connectors.postgres.relations import RelationDetails, Relations
from connectors.postgres.types import TypeDetails
from tailrace.events import UNCHANGED, Batch, Change, Event

MAJORS = (16, 18)
SCENARIOS = (
    "rows full leading toast index truncate messages ddl savepoints keyless origin types".split()  # noqa: SIM905
)


@dataclass(frozen=True)
class Recording:
    """One scenario as a server sent it; `recordings/record.py` has its statements."""

    messages: Sequence[bytes]
    details: Mapping[int, RelationDetails]


@cache
def _recordings(major: int) -> dict[str, Any]:
    path = Path(__file__).with_name("recordings") / f"pgoutput{major}.json"
    recordings: dict[str, Any] = json.loads(path.read_text())
    return recordings


@cache
def recording(major: int, scenario: str) -> Recording:
    stored = _recordings(major)[scenario]
    details = {int(oid): described(relation) for oid, relation in stored["relations"].items()}
    return Recording([bytes.fromhex(message) for message in stored["messages"]], details)


def described(relation: Mapping[str, Any]) -> RelationDetails:
    """What `recordings/record.py` took from the catalogue."""
    types = [TypeDetails(**{**type, "labels": tuple(type["labels"])}) for type in relation["types"]]
    return RelationDetails(
        frozenset(relation["not_null"]), tuple(relation["primary_key"]), {type.oid: type for type in types}
    )


def relations(*uncaptured: str) -> Relations:
    return Relations(origin("orders", "shop"), lambda schema, table: table not in uncaptured)


def feed(
    decoder: Decoder, messages: Sequence[bytes], details: Mapping[int, RelationDetails] | None = None
) -> Batch | None:
    """Decode the messages, answering what is asked, and cut behind them."""
    needed = decoder.feed(messages)
    while needed:
        needed = decoder.describe((details or {}).get(needed.oid, RelationDetails()))
    return decoder.cut()


def events(recorded: Recording, known: Relations | None = None) -> list[Event]:
    """All of a recording in one batch."""
    batch = feed(Decoder(known or relations(), WalPosition(0)), recorded.messages, recorded.details)
    assert batch
    return list(batch.events)


def changes(found: Iterable[Event]) -> list[Change]:
    return [event for event in found if isinstance(event, Change)]


def kind(message: bytes) -> str:
    """The letter of a message; `k` for a keepalive."""
    return chr(message[25] if message[:1] == b"w" else message[0])


def again(messages: Sequence[bytes], lsn: int) -> list[bytes]:
    """What a server sends to a new connection that asks for `lsn`: whole transactions that commit at or after
    it, messages behind it, and each relation anew before its first row."""
    sent: list[bytes] = []
    announced: dict[bytes, bytes] = {}
    wanted = False
    for message in messages:
        match kind(message):
            case "k":
                continue
            case "B":
                wanted = struct.unpack(">Q", message[26:34])[0] >= lsn
            case "M" if message[26] == 0:
                if struct.unpack(">Q", message[27:35])[0] > lsn:
                    sent.append(message)
                continue
            case "R":
                announced[message[26:30]] = message
        if wanted:
            if kind(message) == "B":
                sent += [message, *announced.values()]
            else:
                sent.append(message)
        wanted = wanted and kind(message) != "C"
    return sent


def xlog_data(payload: bytes, lsn: int = 0x1000) -> bytes:
    return struct.pack(">cQQq", b"w", lsn, lsn, 7) + payload


def keepalive(wal_end: int, *, reply: bool = False) -> bytes:
    return struct.pack(">cQqB", b"k", wal_end, 7, reply)


def begin(commit_lsn: int, *, time: int = 5, xid: int = 42) -> bytes:
    return xlog_data(struct.pack(">cQqI", b"B", commit_lsn, time, xid))


def commit(commit_lsn: int, end: int, *, time: int = 5) -> bytes:
    return xlog_data(struct.pack(">cBQQq", b"C", 0, commit_lsn, end, time), end)


def string(text: str) -> bytes:
    return text.encode() + b"\0"


def relation(
    oid: int, columns: Sequence[tuple[str, int, bool]], *, name: str = "t", identity: str = "d"
) -> bytes:
    """A relation message; columns are (name, type oid, in the identity)."""
    attributes = (bytes([flag]) + string(n) + struct.pack(">Ii", type, -1) for n, type, flag in columns)
    head = struct.pack(">cI", b"R", oid) + string("public") + string(name) + identity.encode()
    return xlog_data(head + struct.pack(">H", len(columns)) + b"".join(attributes))


def tuple_data(tag: bytes, fields: Sequence[Any]) -> bytes:
    return tag + struct.pack(">H", len(fields)) + b"".join(_field(field) for field in fields)


def _field(field: Any) -> bytes:
    if field is None:
        return b"n"
    return b"u" if field is UNCHANGED else b"t" + struct.pack(">I", len(field)) + field


def row(operation: bytes, oid: int, *tuples: bytes, lsn: int = 0x1000) -> bytes:
    """An I, U or D message."""
    return xlog_data(operation + struct.pack(">I", oid) + b"".join(tuples), lsn)


def insert(oid: int, *fields: Any) -> bytes:
    return row(b"I", oid, tuple_data(b"N", fields))


def truncate(*oids: int, options: int = 0) -> bytes:
    return xlog_data(struct.pack(f">cIB{len(oids)}I", b"T", len(oids), options, *oids))


def logical_message(prefix: str, content: bytes, *, lsn: int, transactional: bool) -> bytes:
    head = struct.pack(">cBQ", b"M", transactional, lsn) + string(prefix)
    return xlog_data(head + struct.pack(">I", len(content)) + content, lsn)
