"""What in a log stops the stream: each error with its code, what was found, and what to do."""

from __future__ import annotations

from typing import Final

from connectors.mysql.binlog.messages import Incident, Query
from connectors.mysql.in_doubt import Prepared
from connectors.mysql.position import BinlogPosition, Executed, FilePlace, as_given
from tailrace.errors import Gap, Malformed, Retry, Stop, code

NOT_FOUND_AGAIN: Final = code(
    "TR-MY-310",
    "transaction not found again",
    "A checkpoint stands inside a transaction, or behind an XA transaction that is prepared, and the server "
    "does not send that transaction as it did before. Going on would lose or double some of its changes.",
)
OUT_OF_ORDER: Final = code(
    "TR-MY-311",
    "the log is out of order",
    "What the server sends does not follow on what it sent before: a transaction that begins inside of "
    "another, rows without a table, a GTID for the second time.",
)
AS_STATEMENT: Final = code(
    "TR-MY-312",
    "changes were logged as a statement",
    "A session has set binlog_format to STATEMENT or MIXED: the log holds the statement in place of the rows "
    "that it changed, perhaps of captured tables. Views, triggers and functions lead to other tables than a "
    "statement names. MySQL tells in which databases these are, and goes on where none is captured; MariaDB "
    "does not.",
)
INCIDENT: Final = code(
    "TR-MY-313",
    "the server's log lacks something",
    "The server has written an incident into its log: it could not write changes that it had made.",
)
PREPARED: Final = code(
    "TR-MY-314",
    "an XA transaction was prepared before the pipeline began",
    "The log holds the rows of an XA transaction where it is prepared. One that is committed now was "
    "prepared before the position at which the pipeline began, or while it captured other tables, in a part "
    "of the log that the server does not have any more.",
)
NO_ROOM: Final = code(
    "TR-MY-315",
    "no room for a large transaction",
    "A transaction's rows are kept in a file of the system's temporary folder (TMPDIR) until its end is "
    "read, and that file could not be written.",
)

CUT_OFF: Final = code(
    "TR-MY-316",
    "a transaction is cut off in the log",
    "A file of the log ends inside of a transaction. A MariaDB that crashed as it wrote leaves it so, rolls "
    "the transaction back when it starts, and goes on in the next file.",
)

_LEAVE_OUT: Final = (
    "What it changed is not in the log. Bring the targets up to date by other means, then begin anew behind "
    "it: tailrace offsets reset FILE, and run it again."
)
_SHOWN: Final = 120  # characters of a statement


class PreparedBefore(Stop):
    """An XA transaction is committed whose rows stand before all that was read."""

    def __init__(self, xid: str, transaction: str, begin: FilePlace, behind: Executed) -> None:
        """`transaction`: the GTID of the one that commits it, empty without GTIDs, which begins at `begin`;
        `behind`: what is executed with it."""
        super().__init__(
            PREPARED,
            f"XA COMMIT {xid}: it was prepared before the position at which the pipeline began, or while it "
            "captured other tables, and the server's log does not hold its rows any more",
            "Bring what it changed in captured tables to the targets by other means, then go on behind it: "
            f"tailrace offsets set FILE --at '{as_given(behind)}'",
            where=f"binary log {begin}",
        )
        self.xid = xid
        self.transaction = transaction
        self.begin = begin

    def is_due(self, executed: Executed) -> bool:
        """Whether what commits it comes behind this."""
        if isinstance(executed, FilePlace):
            return executed.number <= self.begin.number
        return self.transaction not in executed


def not_found_again(sought: BinlogPosition, found: str, where: str) -> Gap:
    """The transaction in which a position lies does not come, or not as it was."""
    return Gap(
        NOT_FOUND_AGAIN,
        f"the checkpoint stands at {sought}, and {found}",
        "Let the URL lead to the server from which the transaction was read, or start once with "
        "--redeliver-transaction: the transaction is then delivered again from its begin.",
        where=where,
    )


def out_of_order(found: str, where: str) -> Malformed:
    """What comes does not follow on what came before."""
    return Malformed(
        OUT_OF_ORDER,
        found,
        "Compare with what mysqlbinlog shows of the file there. The position is kept, and the next start "
        "goes on before the transaction.",
        where=where,
    )


def repeated(gtid: str, where: str, *, mariadb: bool) -> Stop:
    """A GTID that was executed already."""
    hint = (
        "Set gtid_strict_mode = ON, which keeps the numbers of a domain in order."
        if mariadb
        else "Look for a proxy between here and the server."
    )
    return Stop(OUT_OF_ORDER, f"{gtid} comes although it came before", hint, where=where)


def anonymous(where: str, words: str = "") -> Stop:
    """A transaction without a GTID in a log that is read by GTIDs; `words` are the server's."""
    return Stop(
        OUT_OF_ORDER,
        words or "a transaction without a GTID, in a log that is read by GTIDs",
        "Let gtid_mode be ON on this server and on those that it replicates from. What is logged meanwhile "
        "is read by file and offset while gtid_mode is not ON: the next start names the place.",
        where=where,
    )


def as_statement(query: Query, where: str, behind: Executed | None) -> Stop:
    """Rows were changed, and the log has the statement alone. `behind`: what is executed with its
    transaction; None: that is not known before its end."""
    remedy = _LEAVE_OUT
    if behind is not None:
        remedy = (
            "What its transaction changed in captured tables is not delivered: bring that to the targets by "
            f"other means, then go on behind it: tailrace offsets set FILE --at '{as_given(behind)}'"
        )
    return Stop(
        AS_STATEMENT,
        f"{shortened(query.sql)} in database {query.schema or '(none)'}",
        f"Let no session change binlog_format. {remedy}",
        where=where,
    )


def incident(message: Incident, where: str) -> Stop:
    """The log lacks something."""
    found = f"incident {message.number}: {message.message or 'no message'}"
    return Stop(INCIDENT, found, _LEAVE_OUT, where=where)


def rows_not_found_again(prepared: Prepared, found: str, where: str) -> Gap:
    """The rows of an XA transaction in doubt do not come again, or are not those that were read."""
    return Gap(
        NOT_FOUND_AGAIN,
        f"the checkpoint waits for the rows of XA transaction {prepared}, and {found}",
        "Let the URL lead to the server from which it was read.",
        where=where,
    )


def cut_off(found: str, where: str) -> Retry:
    """A file of the log ends too early. Asked anew, the server begins with the file behind it once all before
    that was read."""
    return Retry(
        CUT_OFF,
        found,
        "Nothing, if it passes: the log is read on in the next file. Else that file is damaged: read from "
        "another server of the same data.",
        where=where,
    )


def no_room(error: OSError) -> Stop:
    """The file of a large transaction cannot be written."""
    return Stop(
        NO_ROOM,
        error.strerror or str(error),
        "Make room, or let the environment variable TMPDIR name another folder; then start again.",
    )


def shortened(sql: str) -> str:
    """A statement in one line, for people, up to its first text: what rows hold is not for everybody. Where a
    text ends depends on what the session had set."""
    shown, quote, _ = sql.replace('"', "'").partition("'")
    text = " ".join(shown.split()) + (" …" if quote else "")
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"
