"""Which XA transactions are in doubt at a place of a server's log, as the files before it tell: those that
were prepared before the position at which a pipeline began, of which its stream has read nothing, or while it
captured other tables."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import closing
from typing import Final

from connectors.mysql.assembly import meaning
from connectors.mysql.assembly.meaning import Meaning
from connectors.mysql.binlog.event import TYPE, EventType
from connectors.mysql.binlog.mariadb_gtid import split_mariadb
from connectors.mysql.binlog.messages import Flavor, Gtid, KnownGtids, Query, Rotate, XaPrepare
from connectors.mysql.binlog.protocol import Decoder
from connectors.mysql.dump import whole
from connectors.mysql.file_events import events
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.position import FilePlace
from tailrace.clients.mysql.address import Address
from tailrace.logs import Logger
from tailrace.worker_thread import WorkerThread

_TOLD_BY: Final = frozenset(
    (
        EventType.FORMAT_DESCRIPTION, EventType.ROTATE, EventType.GTID, EventType.ANONYMOUS_GTID,
        EventType.GTID_TAGGED, EventType.MARIADB_GTID, EventType.GTID_LIST, EventType.XA_PREPARE,
        EventType.TRANSACTION_PAYLOAD,
    )
)  # fmt: skip
_TELL_SECONDS: Final = 10.0
_ENDS: Final = (Meaning.XA_COMMIT, Meaning.XA_ROLLBACK)

_log: Final = Logger(__name__)


class Lookup:
    """Reads files from the newest back, until one transaction is found. Many large files take long: what is
    being read is logged."""

    def __init__(self, address: Address, flavor: Flavor, before: FilePlace) -> None:
        self._address = address
        self._flavor = flavor
        self._before = before
        self._known: dict[str, Prepared | None] = {}  # by XID, how the newest of each stands; None: ended
        self._given_up = False  # a process that ends waits for its threads

    async def find(self, xid: str, files: Sequence[str]) -> Sequence[Prepared]:
        """Those that are in doubt, with the one of this name and all that were found beside it; none where
        the files, oldest first, do not hold that one. Errors are those of `file_events`."""
        before = [file for file in reversed(files) if FilePlace(file, 0).number < self._before.number]
        _log.info("an XA transaction is looked for in the log before it", xid=xid, files=len(before))
        thread = WorkerThread("mysql-lookup")
        try:
            for count, file in enumerate(before, 1):
                reading = thread.call(self._read, file)
                while not (await asyncio.wait((reading,), timeout=_TELL_SECONDS))[0]:
                    _log.info(
                        "the XA transaction is looked for still",
                        xid=xid,
                        file=file,
                        number=count,
                        of=len(before),
                    )
                self._known = {**reading.result(), **self._known}
                if self._known.get(xid) is not None:
                    return [one for one in self._known.values() if one is not None]
        finally:
            self._given_up = True
            thread.end()
        return []

    def _read(self, file: str) -> dict[str, Prepared | None]:
        """How a file leaves those that it tells of, up to the place."""
        decoder, known = Decoder(self._flavor), dict[str, Prepared | None]()
        domains: dict[int, str] = {}  # MariaDB: the last transaction of each
        gtid, last, begin = "", "", 0  # of the newest transaction
        with closing(events(self._address, whole(file, self._flavor))) as sent:
            for event in sent:
                if self._given_up:
                    break
                of_statement = event[TYPE] == EventType.QUERY and b"XA " in event
                if event[TYPE] not in _TOLD_BY and not of_statement:
                    continue
                for message in decoder.feed(event):
                    if isinstance(message, Rotate) and message.file != file:
                        return known
                    if isinstance(message, KnownGtids) and self._flavor == "mariadb":
                        domains = {split_mariadb(name)[0]: name for name in message.text.split(",") if name}
                    elif isinstance(message, Gtid):
                        begin, gtid = message.place.end - len(event), message.gtid or ""
                        if file == self._before.file and begin >= self._before.offset:
                            return known
                        if self._flavor == "mariadb":
                            domain, *_ = split_mariadb(gtid)
                            last, domains[domain] = domains.get(domain, ""), gtid
                    elif isinstance(message, XaPrepare) and not message.one_phase:
                        xid = message.xid.decode("ascii", "replace")
                        known[xid] = Prepared(xid, gtid, last, file, begin, message.place.timestamp)
                    elif isinstance(message, Query) and (done := meaning.read(message.sql)).meaning in _ENDS:
                        known[done.name] = None
        return known
