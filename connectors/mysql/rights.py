"""What an account lacks, and the statement that grants it."""

from __future__ import annotations

from tailrace.clients.mysql.connection import Session
from tailrace.clients.mysql.faults import PERMISSION
from tailrace.errors import NotReady, TailraceError


async def account_of(session: Session) -> str:
    """The account that the session has, as GRANT takes it."""
    ((text,),) = await session.query("SELECT CURRENT_USER()")
    return account(str(text))


def account(current_user: str) -> str:
    """What CURRENT_USER() says as GRANT takes it: the host is the one that the account was made with, which
    is seldom the one that is connected from."""
    user, _, host = current_user.rpartition("@")
    return f"{_text(user)}@{_text(host)}"


def lacking(error: TailraceError, right: str, account: str) -> TailraceError:
    """The error with the right that is missing and its statement; another one as it is. The server's own
    words for a command of the protocol are those of a wrong password."""
    if error.code is not PERMISSION:
        return error
    found = f"the account lacks {right}"
    return NotReady(PERMISSION, found, f"GRANT {right} ON *.* TO {account};", where=error.where)


def _text(value: str) -> str:
    return "'" + value.replace("\\", "\\\\").replace("'", "''") + "'"
