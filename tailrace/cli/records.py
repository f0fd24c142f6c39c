"""A record of a log as a line: for a person, as logfmt, as JSON.

What is logged is anybody's, and may come out of a database: arguments that do not fit their text, a value
whose text cannot be had, characters that a terminal obeys or that no encoding has, a password. A line comes
of it all the same: whoever logs has other things to do than to fail by that.
"""

from __future__ import annotations

import logging
import math
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final

import msgspec

from tailrace.logs import Event
from tailrace.printable import printable
from tailrace.redact import redact, redacted_field

_UNSAFE: Final = re.compile(r'[\s="]')
_DEEPEST: Final = 8  # lists and mappings in each other; one may hold itself
_LEAST, _MOST = -(2**63), 2**64 - 1  # of integers that the JSON encoder takes


def as_words(record: logging.LogRecord) -> str:
    """`warning: what happened (slot orders)`."""
    return f"{record.levelname.lower()}: {printable(_message(record))}"


def as_json(record: logging.LogRecord) -> str:
    """An object with timestamp, level, event and what else there is to say."""
    return printable(msgspec.json.encode(_fields(record)).decode())


def as_logfmt(record: logging.LogRecord) -> str:
    """The same as `name=value`, quoted where that is needed."""
    return " ".join(f"{_word(name)}={_quoted(value)}" for name, value in _fields(record).items())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    """All that a record tells, in the order of a line, as JSON has it. A value that is called like what
    each line has gets an underscore behind its name."""
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds")
    first = {"timestamp": at.replace("+00:00", "Z"), "level": record.levelname.lower()}
    told: Mapping[str, Any] = {}
    if isinstance(record.msg, Event):
        first["event"], told = _text(record.msg.text), record.msg.fields
    else:
        first |= {"event": _message(record), "logger": record.name}
    last = {}
    if record.exc_info and record.exc_info[0] is not None:
        last["traceback"] = _text("".join(traceback.format_exception(*record.exc_info)))
    named: dict[str, Any] = {}
    for name, value in told.items():
        free = name
        while free in first or free in last or free in named:
            free += "_"
        named[free] = redacted_field(name, _plain(value))
    return {**first, **named, **last}


def _message(record: logging.LogRecord) -> str:
    try:
        return _text(record.getMessage())
    except Exception:  # its arguments do not fit, or one of them has no text
        return f"{_text(record.msg)} {_text(record.args)}"


def _plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON has it. Text by text: what looks like an address in one must not reach into the
    next."""
    match value:
        case None | bool():
            return value
        case Enum():
            return _plain(value.value, depth)
        case int():
            return int(value) if _LEAST <= value <= _MOST else str(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case Mapping() if depth < _DEEPEST:
            inner = {_text(name): _plain(one, depth + 1) for name, one in value.items()}
            return {name: redacted_field(name, one) for name, one in inner.items()}
        case list() | tuple() | set() | frozenset() if depth < _DEEPEST:
            return [_plain(one, depth + 1) for one in value]
        case _:
            return _text(value)


def _text(value: Any) -> str:
    """Its text without passwords; half a surrogate pair, which UTF-8 does not have, is written out."""
    try:
        text = str(value)
    except Exception:
        text = f"<{type(value).__name__} without a text>"
    return redact(text.encode("utf-8", "backslashreplace").decode())


def _quoted(value: Any) -> str:
    """As logfmt has it: quoted where a blank, a quote, an equals sign or what is not to be seen is in it."""
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    if text.isprintable() and not _UNSAFE.search(text):
        return text
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def _word(name: str) -> str:
    """A name that ends where the equals sign stands."""
    return _UNSAFE.sub("_", printable(name))
