"""The text of an hstore → a dict (https://www.postgresql.org/docs/current/hstore.html)."""

from __future__ import annotations

import re
from typing import Final

_STRING: Final = rb'"((?:[^"\\]|\\.)*)"'
_PAIR: Final = re.compile(_STRING + rb"=>(?:" + _STRING + rb"|NULL)(, |$)", re.DOTALL)
_ESCAPED: Final = re.compile(rb"\\(.)", re.DOTALL)


def hstore(text: bytes) -> dict[str, str | None]:
    """Keys and values in the order of the text; NULL is None. ValueError for what the server never writes."""
    pairs: dict[str, str | None] = {}
    position = 0
    separator = b", " if text else b""
    while separator:
        found = _PAIR.match(text, position)
        if not found:
            raise ValueError(f"not an hstore: {text!r}")
        key, value, separator = found.groups()
        pairs[_plain(key)] = None if value is None else _plain(value)
        position = found.end()
    return pairs


def _plain(quoted: bytes) -> str:
    return _ESCAPED.sub(rb"\1", quoted).decode()
