"""Character sets: every collation of the servers is known, and every character is what they take it for."""

from __future__ import annotations

from collections.abc import Iterator

from pymysql.cursors import Cursor

from connectors.mysql.charsets import charset
from connectors.mysql.folding import lowered
from tests.servers import MySql

_COLLATIONS = {
    "mysql": "select id, character_set_name from information_schema.collations",
    "mariadb": "select id, character_set_name from information_schema.collation_character_set_applicability",
}
_WIDTHS = "select character_set_name, maxlen from information_schema.character_sets"
_DEFAULTS = "select character_set_name, id from information_schema.collations where is_default = 'Yes'"
_TEXTS = """
with recursive numbers as (select {first} as n union all select n + 1 from numbers where n < {last}),
texts as (select lpad(hex(n), {digits}, '0') as text from numbers)
select text, hex(convert(convert(unhex(text) using {charset}) using utf32)) from texts
"""
_THREE_BYTES = [("eucjpms", 0x8FA1A1, 0x8FFEFE), ("ujis", 0x8FA1A1, 0x8FFEFE)]
_FOUR_BYTES = [("gb18030", 0x8135F400, 0x8135F4FF)]
_NOT_SAID = ("?", "\ufffd")
"""What a server shows for a byte that is no character of a set."""


def test_every_collation_is_known(every_mysql: MySql) -> None:
    widths = dict(every_mysql.execute(_WIDTHS))
    for id, name in every_mysql.execute(_COLLATIONS[every_mysql.flavor]):
        if id is None:
            continue
        known = charset(id)
        assert known, (id, name)
        assert (known.name, known.width) == (name, widths[name])


def test_every_character_is_what_the_server_takes_it_for(mysql: MySql) -> None:
    """Single bytes, pairs of which the first is no ASCII, and longer ones where the codec differs."""
    wrong = []
    read = 0
    with mysql.connect() as connection, connection.cursor() as cursor:
        cursor.execute("set cte_max_recursion_depth = 100000")
        cursor.execute(_DEFAULTS)
        for name, id in cursor.fetchall():
            known = charset(id)
            assert known
            if known.is_binary or name.startswith(("utf", "ucs")):  # of Unicode itself
                continue
            ranges = [(0, 0xFF), *[(0x8100, 0xFEFF)] * (known.width > 1)]
            ranges += [(first, last) for of, first, last in _THREE_BYTES + _FOUR_BYTES if of == name]
            for first, last in ranges:
                for raw, told in _told(cursor, name, first, last):
                    read += 1
                    try:
                        found = known.decode(raw)
                    except ValueError:
                        found = None
                    if found != told:
                        wrong.append((name, raw.hex(), told, found))
    assert not wrong, wrong[:50]
    assert read > 100_000


def _told(cursor: Cursor, name: str, first: int, last: int) -> Iterator[tuple[bytes, str]]:
    """The texts between these two that the server takes for such, and what it makes of them in Unicode."""
    digits = len(f"{last:x}")
    cursor.execute(_TEXTS.format(first=first, last=last, digits=digits, charset=name))
    for text, converted in cursor.fetchall():
        if converted:
            raw, told = bytes.fromhex(text), bytes.fromhex(converted).decode("utf-32-be")
            if not any(mark in told and mark.encode() not in raw for mark in _NOT_SAID):
                yield raw, told


def test_names_in_lower_case_are_the_servers(every_mysql: MySql) -> None:
    """Of all characters that names of tables may have."""
    every = "".join(chr(code) for code in range(1, 0x10000) if not 0xD800 <= code < 0xE000)
    lower = "SELECT LOWER(CONVERT(%s USING utf8mb3) COLLATE utf8mb3_general_ci)"
    with every_mysql.connect(charset="utf8mb4") as connection, connection.cursor() as cursor:
        for at in range(0, len(every), 8192):
            cursor.execute(lower, (every[at : at + 8192],))
            assert cursor.fetchall() == ((lowered(every[at : at + 8192]),),)
