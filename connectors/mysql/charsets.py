"""Character sets, by the collation's number that a table map tells: how their texts are read.

Python's codecs are used where they read as the servers do; where they differ in a few characters, these are
listed here. All bytes of all sets are compared with the servers by a test.
"""

from __future__ import annotations

import codecs
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final

from connectors.mysql.charset_tables import COLLATIONS, EUCJPMS_8FF3F3, EUCJPMS_AD, UPPER_HALVES

_NONE: Final = "\ufffe"  # in a table of characters: the byte is none


@dataclass(frozen=True, slots=True)
class Charset:
    """How texts of a character set are read."""

    name: str
    width: int  # bytes of its widest character
    decode: Callable[[bytes], str]  # raises ValueError for bytes that are no text of it
    is_utf8: bool = False  # its bytes are UTF-8

    @property
    def is_binary(self) -> bool:
        """Bytes, no text."""
        return self.name == "binary"


@cache
def charset(collation: int) -> Charset | None:
    """The character set of the collation of that number; None if there is none."""
    name = _names().get(collation)
    return None if name is None else _charset(name)


@cache
def _names() -> dict[int, str]:
    """The names of character sets by the numbers of collations."""
    names = {}
    for name, ranges in COLLATIONS.items():
        for range_ in ranges.split():
            first, _, last = range_.partition("-")
            names.update(dict.fromkeys(range(int(first), int(last or first) + 1), name))
    return names


@cache
def _charset(name: str) -> Charset:
    if name in ("utf8mb4", "utf8mb3", "binary"):
        width = {"utf8mb4": 4, "utf8mb3": 3}.get(name, 1)
        return Charset(name, width, bytes.decode, is_utf8=name != "binary")
    if name in UPPER_HALVES:
        return Charset(name, 1, _charmap(_ASCII + UPPER_HALVES[name]))
    if name in _SINGLE_BYTE:
        codec, differing = _SINGLE_BYTE[name]
        return Charset(name, 1, _charmap(_table(codec, differing)) if differing else _codec(codec))
    codec, width = _MULTI_BYTE[name]
    differing_characters = _DIFFERING.get(name)
    if differing_characters is None:
        return Charset(name, width, _codec(codec))
    return Charset(name, width, _with_differing(codec, dict(differing_characters())))


_ASCII: Final = "".join(map(chr, range(128)))

_SINGLE_BYTE: Final[dict[str, tuple[str, dict[int, str]]]] = {
    "ascii": ("ascii", {}),  # MariaDB stores bytes that are none, which may look like UTF-8
    "cp1250": ("cp1250", {}),
    "cp1251": ("cp1251", {}),
    "cp1256": ("cp1256", {}),
    "cp1257": ("cp1257", {}),
    "cp850": ("cp850", {}),
    "cp852": ("cp852", {}),
    "cp866": ("cp866", {0xFC: "ⁿ", 0xFD: "²"}),
    "greek": ("iso8859_7", {0xA1: "ʽ", 0xA2: "ʼ"}),
    "hebrew": ("iso8859_8", {0xAF: "‾"}),
    "hp8": ("hp_roman8", {}),
    "koi8r": ("koi8_r", {}),
    "koi8u": ("koi8_u", {0x95: "•"}),
    "latin1": ("cp1252", {byte: chr(byte) for byte in (0x81, 0x8D, 0x8F, 0x90, 0x9D)}),
    "latin2": ("iso8859_2", {}),
    "latin5": ("iso8859_9", {}),
    "latin7": ("iso8859_13", {}),
    "macce": ("mac_latin2", {}),
    "macroman": ("mac_roman", {}),
    "swe7": ("ascii", dict(zip(b"@[\\]^`{|}~", "ÉÄÖÅÜéäöåü", strict=True))),
    "tis620": ("tis_620", {}),
}
"""Codecs, and the bytes that the servers read otherwise."""

_MULTI_BYTE: Final = {
    "big5": ("big5", 2),
    "cp932": ("cp932", 2),
    "eucjpms": ("euc_jp", 3),
    "euckr": ("cp949", 2),
    "gb18030": ("gb18030", 4),
    "gb2312": ("gb2312", 2),
    "gbk": ("gbk", 2),
    "sjis": ("shift_jis", 2),
    "ucs2": ("utf_16_be", 2),
    "ujis": ("euc_jp", 3),
    "utf16": ("utf_16_be", 4),
    "utf16le": ("utf_16_le", 4),
    "utf32": ("utf_32_be", 4),
}
"""Codecs, and the bytes of the widest character."""


def _codec(name: str) -> Callable[[bytes], str]:
    decode = codecs.lookup(name).decode
    return lambda raw: decode(raw, "strict")[0]


def _charmap(table: str) -> Callable[[bytes], str]:
    return lambda raw: codecs.charmap_decode(raw, "strict", table)[0]


def _table(codec: str, differing: dict[int, str]) -> str:
    """The characters of all bytes."""
    characters = [bytes((byte,)).decode(codec, "replace") for byte in range(256)]
    return "".join([differing.get(byte, _NONE if c == "\ufffd" else c) for byte, c in enumerate(characters)])


_CHARACTERS: Final = {
    "big5": rb"[\x81-\xfe][\x40-\xfe]|.",
    "euc_jp": rb"\x8f..|[\x8e\xa1-\xfe].|.",
    "gb18030": rb"[\x81-\xfe][\x30-\x39]..|[\x81-\xfe].|.",
    "shift_jis": rb"[\x81-\x9f\xe0-\xfc].|.",
}
"""By codec, how bytes are cut into characters."""


def _with_differing(codec: str, differing: dict[bytes, str]) -> Callable[[bytes], str]:
    """Reads texts that may hold characters which the codec lacks or reads otherwise."""
    usual = _codec(codec)
    suspect = re.compile(b"|".join(sorted({re.escape(character[:2]) for character in differing})))
    character = re.compile(_CHARACTERS[codec], re.DOTALL)

    def decode(raw: bytes) -> str:
        if not suspect.search(raw):
            return usual(raw)
        parts = character.findall(raw)
        return "".join([differing.get(part) or usual(part) for part in parts])

    return decode


def _user_defined() -> Iterator[tuple[bytes, str]]:
    """Of EUC-JP: F5 A1 to FE FE, then the same behind 8F, as private characters from U+E000 on."""
    private = 0xE000
    for lead in (b"", b"\x8f"):
        for row in range(0xF5, 0xFF):
            for cell in range(0xA1, 0xFF):
                yield lead + bytes((row, cell)), chr(private)
                private += 1


def _eucjpms() -> Iterator[tuple[bytes, str]]:
    yield from _user_defined()
    cells = range(0xA1, 0xFF)
    for cell, character in zip(cells, EUCJPMS_AD, strict=True):
        if character != _NONE:
            yield bytes((0xAD, cell)), character
    places = [(0xF3, cell) for cell in range(0xF3, 0xFF)] + [(0xF4, cell) for cell in cells]
    for place, character in zip(places, EUCJPMS_8FF3F3, strict=True):
        yield bytes((0x8F, *place)), character
    yield from {
        b"\xa1\xc1": "～", b"\xa1\xc2": "∥", b"\xa1\xdd": "－", b"\xa1\xf1": "￠", b"\xa1\xf2": "￡",
        b"\xa2\xcc": "￢", b"\x8f\xa2\xb7": "～", b"\x8f\xa2\xc3": "￤",
    }.items()  # fmt: skip


def _ujis() -> Iterator[tuple[bytes, str]]:
    yield from _user_defined()
    yield b"\xa1\xc0", "\\"


_DIFFERING: Final[dict[str, Callable[[], Iterable[tuple[bytes, str]]]]] = {
    "big5": lambda: zip([bytes((0xF9, byte)) for byte in range(0xD6, 0xDD)], "碁銹裏墻恒粧嫺", strict=True),
    "eucjpms": _eucjpms,
    "gb18030": lambda: [(b"\xa8\xbc", "ḿ"), (b"\x81\x35\xf4\x37", "\ue7c7")],
    "sjis": lambda: [(b"\x81\x5f", "\\")],
    "ujis": _ujis,
}
"""Characters that a codec lacks or reads otherwise than the servers."""
