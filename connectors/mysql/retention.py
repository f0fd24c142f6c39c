"""How much of the log behind what was acknowledged a server still has, and when it may remove it.

A server keeps its log for nobody: it removes the oldest files by their age or by the size of all, when it
begins a new one. The age of a file is that of the last write into it, which is when the next one began; the
one that is being written has none. What is needed begins where the oldest XA transaction stands whose rows
wait for its end.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from connectors.mysql import continuity
from connectors.mysql.catalogue import Catalogue, LogFile
from connectors.mysql.in_doubt import InDoubt
from connectors.mysql.position import BinlogPosition, FilePlace
from connectors.mysql.server import Server
from tailrace.abc import Retention
from tailrace.amounts import show_bytes
from tailrace.errors import Gap

_NAME: Final = "binary log"
_DAY: Final = 86_400
_LONG_IN_DOUBT: Final = 600.0  # seconds
_ROTATE_BYTES: Final = 31  # of the event that ends a file, beside the next one's name; none is shorter

_RAISE: Final = (
    "Look at tailrace status FILE which sink holds the others back, and mend or remove it; if none does, let "
    "the pipeline run. In the meantime let the server keep more: SET GLOBAL {setting} = …, and the same in "
    "its configuration; in MySQL SET PERSIST {setting} = … does both."
)
_END_IT: Final = (
    "End XA transaction {xid}: XA COMMIT {xid} or XA ROLLBACK {xid}, whichever its coordinator has decided; "
    "XA RECOVER lists it as long as the server has it."
)
_LOST_REMEDY: Final = (
    "While this process runs it may have read what is gone: let it deliver, and do not stop it. A later "
    "start is refused with TR-MY-330, which says how to begin anew."
)


@dataclass(frozen=True, slots=True)
class Limits:
    """Behind which a server removes files; None: it does not."""

    seconds: float | None = None
    bytes: int | None = None
    seconds_by: str = ""  # the setting that says so
    bytes_by: str = "max_binlog_total_size"

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Limits:
        """As the server's settings have them."""
        seconds, by = float(variables.get("binlog_expire_logs_seconds", 0)), "binlog_expire_logs_seconds"
        if not seconds:
            seconds, by = float(variables.get("expire_logs_days", 0)) * _DAY, "expire_logs_days"
        if variables.get("binlog_expire_logs_auto_purge", "ON") == "OFF":
            seconds = 0
        size = int(variables.get("max_binlog_total_size", 0))
        return cls(seconds or None, size or None, by)


@dataclass(frozen=True, slots=True)
class Needed:
    """The files that are still needed, of those that the server has, and bytes of log in them."""

    files: Sequence[LogFile]  # oldest first; the first one may be needed in part
    behind: int

    @classmethod
    def of(cls, files: Sequence[LogFile], place: FilePlace) -> Needed | None:
        """Behind a place. None if its file is not among the server's, or ends before it."""
        for index, file in enumerate(files):
            if file.name != place.file:
                continue
            rest = files[index:]
            left = file.size - place.offset
            if left < 0:
                return None
            if len(rest) > 1 and left <= _ROTATE_BYTES + len(rest[1].name):
                rest, left = rest[1:], rest[1].size  # of the file nothing is left but its end
            return cls(rest, left + sum(other.size for other in rest[1:]))
        return None


class Headroom:
    """Looks at one server. When a file began is asked for once."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._begun: tuple[str, int] | None = None  # a file, and when it began on the server's clock

    async def look(
        self, acknowledged: BinlogPosition, server: Server, files: Sequence[LogFile]
    ) -> Retention | None:
        """What is left behind a position. None where the position was read from another server's log, in
        which alone its place is known."""
        place = _place(acknowledged, server)
        if place is None or not files:
            return None
        needed = Needed.of(files, place)
        if needed is None:  # also right after the next file was begun
            files = await self._catalogue.files()
            needed = Needed.of(files, place)
        if needed is None:
            if FilePlace(files[0].name, 0).number <= place.number:
                return None  # another log, under the same names
            try:
                await continuity.check(acknowledged, self._catalogue, server, self._catalogue.where)
            except Gap as gap:
                return Retention(_NAME, sum(file.size for file in files), 0, "lost", gap.found, _LOST_REMEDY)
            needed = Needed(files, sum(file.size for file in files))
        limits, now = await self._catalogue.limits()
        age = None
        if len(needed.files) > 1:
            age = max(now - await self._began(needed.files[1].name), 0)
        return waiting(judge(needed, Limits.of(limits), age), acknowledged.in_doubt, now)

    async def _began(self, file: str) -> int:
        if self._begun is None or self._begun[0] != file:
            self._begun = file, await self._catalogue.begun(file)
        return self._begun[1]


def judge(needed: Needed, limits: Limits, age: float | None) -> Retention:
    """`age`: seconds since the oldest needed file was written last; None: it is being written."""
    oldest = needed.files[0].name
    told = [f"{show_bytes(needed.behind)} of log behind the acknowledged position, from {oldest} on"]
    shares: list[tuple[float, str]] = []  # of each limit, what is left of it
    free = seconds = None
    if limits.seconds is not None and age is not None:
        seconds = max(limits.seconds - age, 0.0)
        shares.append((seconds / limits.seconds, limits.seconds_by))
        told.append(
            f"{oldest} is {_time(age)} old, the server may remove it at {_time(limits.seconds)} "
            f"({limits.seconds_by})"
        )
    if limits.bytes is not None and age is not None:
        whole = sum(file.size for file in needed.files)
        free = max(limits.bytes - whole, 0)
        shares.append((free / limits.bytes, limits.bytes_by))
        told.append(f"after {show_bytes(free)} more the server may remove {oldest} ({limits.bytes_by})")
    if limits.seconds is None and limits.bytes is None:
        told.append("the server removes none of it by itself")
    elif age is None:
        told.append("that file is being written, and is not removed before the next one begins")
    left, setting = min(shares, default=(1.0, ""))
    level: Literal["ok", "warning", "error"] = "error" if left < 0.1 else "warning" if left < 0.5 else "ok"
    remedy = "" if level == "ok" else _RAISE.format(setting=setting)
    return Retention(_NAME, needed.behind, free, level, "; ".join(told), remedy, seconds)


def waiting(found: Retention, in_doubt: InDoubt, now: float) -> Retention:
    """With a warning of an XA transaction that has been in doubt for long: what it holds back grows until it
    is ended. `now` on the server's clock."""
    since, xid = min(((one.since, one.xid) for one in in_doubt.with_rows), default=(now, ""))
    if now - since < _LONG_IN_DOUBT:
        return found
    told = f"XA transaction {xid} has been prepared for {_time(now - since)}, and its rows wait for its end"
    remedy = _END_IT.format(xid=xid)
    return replace(
        found,
        level="warning" if found.level == "ok" else found.level,
        found=f"{found.found}; {told}",
        remedy=f"{remedy} {found.remedy}".rstrip(),
    )


def _place(position: BinlogPosition, server: Server) -> FilePlace | None:
    """From where on its log is needed."""
    if isinstance(position.executed, FilePlace):
        place = position.executed
    elif position.proof is not None and position.proof.server == server.name:
        place = position.proof.place
    else:
        return None
    rows = [FilePlace(one.file, one.begin) for one in position.in_doubt.with_rows]
    return min([place, *rows], key=lambda one: one.number)


def _time(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else f"{seconds:.0f} s"
