"""Statements without the modes of their sessions: what a quote begins and what a backslash is depends on
sql_mode. No I/O."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

ANSI_QUOTES: Final = 1 << 2
NO_BACKSLASH_ESCAPES: Final = 1 << 20
"""Bits of sql_mode."""

COMMENT: Final = r"/\*(?!M?!)(?:.*?\*/|.*) | \#[^\n]* | --(?=[\x00-\ \x7f\xa0]|\Z)[^\n]*"
"""What the server does not execute, as an expression with re.X and re.S. Behind two hyphens stands a blank, a
control character or nothing; the line's end is one, and what follows on it is no comment."""

_NAME: Final = "`(?:[^`]+|``)*+`"


def plain(sql: str, mode: int) -> str:
    """The statement as it would stand with an empty sql_mode: names in backticks, backslashes in texts
    doubled where they are none that escape."""
    ansi, literal = bool(mode & ANSI_QUOTES), bool(mode & NO_BACKSLASH_ESCAPES)
    if not (ansi and '"' in sql) and not (literal and "\\" in sql):
        return sql

    def written(quoted: re.Match[str]) -> str:
        found = quoted[0]
        if found[0] == '"' and ansi:
            return "`" + found[1:-1].replace('""', '"').replace("`", "``") + "`"
        if found[0] in "'\"" and literal:
            return found.replace("\\", "\\\\")
        return found

    return _quoted(ansi, literal).sub(written, sql)


@cache
def _quoted(ansi: bool, literal: bool) -> re.Pattern[str]:
    """What stands in quotes or is a comment, in time in proportion to the statement, closed or not."""
    escape = "" if literal else r"|\\."
    kept = "" if literal else r"\\"
    text = rf"'(?:[^'{kept}]+{escape}|'')*+'"
    other = r'"(?:[^"]+|"")*+"' if ansi else rf'"(?:[^"{kept}]+{escape}|"")*+"'
    # Escaped outside of texts a quote begins none, or the end of each of many would be sought anew.
    return re.compile(f"{COMMENT} | {_NAME} | {text} | {other}{escape}", re.X | re.S)
