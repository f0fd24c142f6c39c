"""Checkpoints in a SQLite file, fenced by epochs: one row per sink identity.

`claim` and `save` work inside a transaction that their caller has begun, so that a checkpoint can become
durable together with data. A row is never removed, since its epoch is what keeps an earlier writer out.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tailrace.checkpoint import Checkpoint
from tailrace.clients.sqlite import Kind, SqliteFile
from tailrace.errors import Fenced, Stop, code

FENCED = code(
    "TR-SINK-001",
    "a newer claim exists",
    "Another process has claimed this sink since. What this process had not committed is dropped here and "
    "delivered there.",
)

LAYOUT: Final = """CREATE TABLE checkpoint (
    sink TEXT PRIMARY KEY, -- pipeline/name
    epoch INTEGER NOT NULL, -- raised by every claim; only the newest may write
    checkpoint TEXT -- JSON; NULL while nothing is stored
) WITHOUT ROWID"""


def peek(path: Path, kind: Kind, sink: str) -> Checkpoint | None:
    """The stored checkpoint, read beside whoever writes. None too where there is no file."""
    file = SqliteFile.read(path, kind)
    if file is None:
        return None
    try:
        with file.reading() as connection:
            return _read(connection, sink, path)[1]
    finally:
        file.close()


def forget(path: Path, kind: Kind, sink: str) -> bool:
    """Remove the checkpoint and fence whoever writes; whether there was one."""
    if peek(path, kind, sink) is None:
        return False
    file = SqliteFile.open(path, kind)
    try:
        with file.writing() as connection:
            forgotten = connection.execute(
                "UPDATE checkpoint SET checkpoint = NULL, epoch = epoch + 1 "
                "WHERE sink = ? AND checkpoint NOT NULL",
                (sink,),
            )
            return forgotten.rowcount == 1
    finally:
        file.close()


def claim(connection: sqlite3.Connection, sink: str, path: Path) -> tuple[int, Checkpoint | None]:
    """Raise the epoch: the new one, and the stored checkpoint. Stop if that cannot be read."""
    connection.execute(
        "INSERT INTO checkpoint (sink, epoch) VALUES (?, 1) "
        "ON CONFLICT (sink) DO UPDATE SET epoch = epoch + 1",
        (sink,),
    )
    return _read(connection, sink, path)


def save(connection: sqlite3.Connection, sink: str, epoch: int, checkpoint: Checkpoint, path: Path) -> None:
    """Store the checkpoint. Fenced if `epoch` is not the newest."""
    updated = connection.execute(
        "UPDATE checkpoint SET checkpoint = ? WHERE sink = ? AND epoch = ?",
        (checkpoint.encode().decode(), sink, epoch),
    )
    if updated.rowcount == 1:
        return
    newest, stored = _read(connection, sink, path)
    raise Fenced(
        FENCED,
        f"{sink} was claimed again (epoch {newest} after {epoch}); the checkpoint there is "
        + (f"of {stored.owner}" if stored else "not written yet"),
        "Nothing, if that process is the one meant to run.",
        where=str(path),
    )


def writers(connection: sqlite3.Connection) -> Sequence[str]:
    """Per sink identity, the process that wrote last: what can be seen without the write lock."""
    found = []
    for sink, stored in connection.execute("SELECT sink, checkpoint FROM checkpoint ORDER BY sink"):
        try:
            owner = str(Checkpoint.decode(stored, sink).owner) if stored else "a process that has only begun"
        except Stop:
            owner = "a process of another version"
        found.append(f"{sink} by {owner}")
    return found


def _read(connection: sqlite3.Connection, sink: str, path: Path) -> tuple[int, Checkpoint | None]:
    row = connection.execute("SELECT epoch, checkpoint FROM checkpoint WHERE sink = ?", (sink,)).fetchone()
    if row is None:
        return 0, None
    epoch, stored = row
    return epoch, None if stored is None else Checkpoint.decode(stored, f"{path}, {sink}")
