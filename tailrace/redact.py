"""Takes passwords out of texts that people get to see."""

from __future__ import annotations

import re
from typing import Any, Final

HIDDEN: Final = "***"

# Greedy up to the last @ before the next URL: a password may hold any character that somebody forgot to
# quote, a blank too.
_USERINFO: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://[^:/@\s]*):(?:\S|[^\S\n](?!\S*://))*@")
_NAME: Final = r"\w*(?:password|passwd|secret|token)"
_QUOTED: Final = r"(?:'(?:[^'\\]|\\.)*')+|\"(?:[^\"\\]|\\.)*\""
# A lone … is our own, in a remedy that shows what to type.
_PARAMETER: Final = re.compile(
    rf"(?P<name>\b{_NAME}\s*=\s*)(?!…(?:[\s),;]|$))(?:{_QUOTED}|[^\s&;,'\"]+|['\"]\S*)", re.I
)
# As JSON and Python show a mapping.
_ENTRY: Final = re.compile(
    rf"(?P<name>\b{_NAME}(?P<quote>['\"])\s*:\s*)(?!['\"]?…['\"])(?:{_QUOTED}|[^\s,}}\]]+)", re.I
)
_SECRET: Final = re.compile(_NAME, re.I)


def redact(text: str) -> str:
    """The text with the passwords of URLs, of `password=…` parameters and of `'password': …` hidden."""
    shown = _USERINFO.sub(rf"\g<scheme>:{HIDDEN}@", text)
    return _ENTRY.sub(rf"\g<name>{HIDDEN}", _PARAMETER.sub(rf"\g<name>{HIDDEN}", shown))


def redacted_field(name: str, value: Any) -> Any:
    """A value by its name: hidden where the name says that it is a secret, and it is there at all."""
    is_secret = _SECRET.fullmatch(name.rpartition(".")[2]) and not (value is None or isinstance(value, bool))
    return HIDDEN if is_secret else value
