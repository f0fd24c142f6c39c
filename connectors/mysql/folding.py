"""Names of tables as a server keeps them in lower case (lower_case_table_names = 1). No I/O."""

from __future__ import annotations

import unicodedata
from typing import Final

_UNICODE: Final = unicodedata.ucd_3_2_0
_KEPT: Final = frozenset("ȠϘϴҊӅӉӍԀԂԄԆԈԊԌԎ")  # of that version, and older than what the servers know


def lowered(name: str) -> str:
    """A name in small letters: each character by itself, and none that is newer than the servers' tables."""
    if name.isascii():
        return name.lower()
    return "".join(map(_lowered, name))


def _lowered(character: str) -> str:
    small = character.lower()[0]  # `İ` has two
    known = all(_UNICODE.category(one) != "Cn" for one in (character, small))
    return small if known and character not in _KEPT else character
