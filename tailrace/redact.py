"""Takes passwords out of texts that people get to see."""

from __future__ import annotations

import re
from typing import Final

HIDDEN: Final = "***"

# Greedy up to the last @ before the next URL: a password may hold any character that somebody forgot to
# quote, a blank too.
_USERINFO: Final = re.compile(r"(?P<scheme>[a-zA-Z][a-zA-Z0-9+.-]*://[^:/@\s]*):(?:\S|[^\S\n](?!\S*://))*@")
# A lone … is our own, in a remedy that shows what to type.
_PARAMETER: Final = re.compile(
    r"(?P<name>\b\w*(?:password|passwd|secret|token)\s*=\s*)(?!…(?:[\s),;]|$))"
    r"(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)",
    re.I,
)


def redact(text: str) -> str:
    """The text with the passwords of URLs and of `password=…` parameters hidden."""
    return _PARAMETER.sub(rf"\g<name>{HIDDEN}", _USERINFO.sub(rf"\g<scheme>:{HIDDEN}@", text))
