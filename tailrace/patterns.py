"""Patterns over schema.table: which tables something is about."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

WRITTEN: Final = (
    "`*` stands for any characters, `?` for one. Blanks and Unicode need no quoting; a name that "
    'holds a dot, `*`, `?` or `"` goes in double quotes, where nothing is special and `""` is one quote: '
    '`public."odd.name"`. So does one that holds a backquote, which is SQL\'s, or `\\`, `|`, `^` or `[`: '
    "they look like a regular expression, which this is not."
)
"""How a pattern is written, whatever the two names before and behind the dot are called."""

RULE: Final = (
    "`schema.table`, both exactly as the database stores them, case included: `public.Orders` is the table "
    f'"Orders". {WRITTEN}'
)

_EXPRESSION: Final = {*"\\|^["}  # nearly never in a name, nearly always in an expression
_FOREIGN: Final = {*_EXPRESSION, "`"}  # the last one is how MySQL quotes
_SPECIAL: Final = {*'."*?', *_FOREIGN}  # a name that holds one of these is quoted
_QUOTED: Final = re.compile(r'"(?:[^"]|"")*"')
_PART: Final = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


@dataclass(frozen=True, slots=True)
class Pattern:
    """One pattern; `text` is what was written."""

    text: str
    schema: re.Pattern[str]
    table: re.Pattern[str]
    literal: tuple[str, str] | None  # schema and table, where the pattern names exactly one table

    @classmethod
    def parse(cls, text: str) -> Pattern:
        """Raises ValueError for anything but two parts, and for what looks like a regular expression."""
        parts: list[tuple[str, str | None]] = []
        offset = 0
        while found := _PART.match(text, offset):
            parts.append(_read(*found.groups()))
            offset = found.end() + 1
            if text[found.end() : offset] != ".":
                break
        bare = _QUOTED.sub("", text)
        if len(parts) != 2 or offset <= len(text) or _FOREIGN & {*bare}:
            hint = _hint(bare, len(parts))
            raise ValueError(f"{text!r} is not schema.table, as in public.orders or audit.*{hint}")
        (schema, in_schema), (table, name) = parts
        literal = None if in_schema is None or name is None else (in_schema, name)
        return cls(text, re.compile(schema, re.S), re.compile(table, re.S), literal)

    @property
    def database(self) -> str | None:
        """The schema, where the pattern names exactly one."""
        found = _PART.match(self.text)
        return None if found is None else _read(*found.groups())[1]

    def matches(self, schema: str, table: str) -> bool:
        """Whether it names this table."""
        return bool(self.schema.fullmatch(schema) and self.table.fullmatch(table))


def _hint(bare: str, parts: int) -> str:
    """What may be meant by a text that is no pattern, as a clause. `bare`: what of it stands in no quotes."""
    if "`" in bare:
        return "; it is no SQL: names stand without backquotes"
    if _EXPRESSION & {*bare} or ".." in bare or (parts > 2 and ".*" in bare):
        return (
            "; it is no regular expression: * alone stands for any characters, and several tables are "
            "several patterns"
        )
    if "," in bare:
        return "; several patterns are several items of the list"
    return "; a name that holds a dot goes in double quotes" if parts > 2 else ""


def _read(quoted: str | None, bare: str) -> tuple[str, str | None]:
    """A part's regular expression and, if nothing in it is a wildcard, the name itself."""
    if quoted is not None:
        name = quoted.replace('""', '"')
        return re.escape(name), name
    expression = "".join({"*": ".*", "?": "."}.get(c, re.escape(c)) for c in bare)
    return expression, None if set(bare) & {"*", "?"} else bare


def exactly(schema: str, table: str) -> str:
    """The pattern that names this table and no other."""
    return ".".join(
        '"' + part.replace('"', '""') + '"' if _SPECIAL & {*part} else part for part in (schema, table)
    )


class TableFilter:
    """The tables that `include` names and `exclude` does not."""

    def __init__(self, include: Sequence[Pattern], exclude: Sequence[Pattern]) -> None:
        self.include = include
        self.exclude = exclude

    def captured(self, schema: str, table: str) -> bool:
        """Whether the pipeline wants this table."""
        return any(pattern.matches(schema, table) for pattern in self.include) and not any(
            pattern.matches(schema, table) for pattern in self.exclude
        )


@dataclass(frozen=True, slots=True)
class NamePattern:
    """A pattern over one name, such as a column's: written like one half of a `Pattern`."""

    text: str
    expression: re.Pattern[str]
    literal: str | None  # the name, where the pattern names exactly one

    @classmethod
    def parse(cls, text: str) -> NamePattern:
        """Raises ValueError for a text that is empty or not well quoted. A dot needs no quotes here."""
        quoted = _PART.fullmatch(text) if text.startswith('"') else None
        if not text or (text.startswith('"') and quoted is None):
            raise ValueError(f"{text!r} is no name and no pattern of one")
        expression, literal = _read(quoted[1], "") if quoted else _read(None, text)
        return cls(text, re.compile(expression, re.S), literal)

    def matches(self, name: str) -> bool:
        """Whether it stands for this name."""
        return bool(self.expression.fullmatch(name))


def _check_table(text: str) -> str:
    Pattern.parse(text)
    return text


def _check_tables(texts: tuple[str, ...]) -> tuple[str, ...]:
    for text in texts:
        Pattern.parse(text)
    return texts


def _check_name(text: str) -> str:
    NamePattern.parse(text)
    return text


TablePatternText: TypeAlias = Annotated[str, AfterValidator(_check_table)]
"""A pattern over schema.table as a setting."""

TablePatterns: TypeAlias = Annotated[tuple[str, ...], AfterValidator(_check_tables)]
"""Several of them as one setting, whose description says how they are written."""

NamePatternText: TypeAlias = Annotated[str, AfterValidator(_check_name)]
"""A pattern over one name as a setting."""
