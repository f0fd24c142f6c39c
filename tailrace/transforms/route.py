"""The transform `route`: another topic, another message key."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final

from msgspec.structs import replace as with_fields
from pydantic import Field, field_validator, model_validator

from tailrace.abc import Declaration, Derived
from tailrace.errors import Malformed, Stop, code
from tailrace.events import ABSENT, UNCHANGED, Change, Table, differ
from tailrace.topics import SHARED, TopicTemplate, TopicTemplateText, topic_name
from tailrace.transforms.naming import require_columns

KEY_NOT_IN_LOG = code(
    "TR-SHAPE-007",
    "the old key is not in the log",
    "A table has a message key of other columns than its own key, and the old row of an update is not in "
    "the log whole: whether the update moves the row to another key cannot be known.",
)

_GROUP: Final = re.compile(r"\$(\d+|\{\w+\})")


class Route:
    """See `tailrace.abc.TableTransform`.

    A topic that is chosen here holds for every sink, whatever its own template says. An update that changes
    the message key becomes a `d` and a `c`, as one that changes the primary key does.
    """

    class Settings(Declaration):
        """Settings of the transform `route`."""

        topic: TopicTemplateText | None = Field(
            default=None,
            min_length=1,
            description="The topic: {pipeline}, {database}, {schema} and {table} are filled in.",
        )
        regex: str | None = Field(
            default=None,
            description="A regular expression over the whole of `schema.table`; a table that it does not "
            "match keeps its topic. With it goes `replacement`.",
        )
        replacement: str | None = Field(
            default=None,
            min_length=1,
            description="The topic where `regex` matches; `$1` (or `\\1`) is its first group. Tables of "
            "which it makes one name share the topic.",
        )
        key: tuple[str, ...] | None = Field(
            default=None,
            min_length=1,
            description="The columns that are the message key, in this order. Unless they belong to the "
            "primary key, the log has to hold whole rows: with PostgreSQL the table needs REPLICA IDENTITY "
            "FULL, with MySQL and MariaDB row_images: full (the default) sees to it.",
        )

        @field_validator("regex")
        @classmethod
        def _compiles(cls, regex: str | None) -> str | None:
            if regex is not None:
                try:
                    re.compile(regex)
                except (re.error, OverflowError, RecursionError) as error:
                    raise ValueError(f"{error}") from None
            return regex

        @field_validator("key")
        @classmethod
        def _once_each(cls, key: tuple[str, ...] | None) -> tuple[str, ...] | None:
            if key is not None and len(set(key)) < len(key):
                raise ValueError("a column stands in it twice")
            return key

        @model_validator(mode="after")
        def _fits_together(self) -> Route.Settings:
            if (self.regex is None) != (self.replacement is None):
                raise ValueError("regex: and replacement: are written together")
            if self.topic is not None and self.regex is not None:
                raise ValueError("write topic:, or regex: and replacement:")
            if self.topic is None and self.regex is None and self.key is None:
                raise ValueError("write topic:, regex: and replacement:, or key:")
            if self.regex is not None and self.replacement is not None:
                try:
                    _groups_alone(self.regex).sub(_python(self.replacement), "")
                except (re.error, IndexError) as error:
                    raise ValueError(f"replacement: {error}") from None
            return self

    def __init__(self, settings: Settings) -> None:
        self._template = TopicTemplate(settings.topic) if settings.topic is not None else None
        self._regex = None if settings.regex is None else re.compile(settings.regex, re.S)
        self._replacement = _python(settings.replacement or "")
        self._key = settings.key
        self._replaced: dict[str, tuple[str, str]] = {}  # topic → what was made of its first table, and that

    def derive(self, table: Table) -> Derived:
        """See `tailrace.abc.TableTransform`."""
        routed = replace(table, topic=self._topic(table))
        if self._key is None:
            return Derived(routed)
        require_columns(table, self._key)
        places = {column.name: i for i, column in enumerate(table.columns)}
        key = tuple(places[name] for name in self._key)
        # A change of these was told as a `d` and a `c` by the source.
        told = set(key) <= set(table.key)
        return Derived(replace(routed, key=key, key_is_newer=False), None if told else _moves(table, key))

    def _topic(self, table: Table) -> str | None:
        if self._template is not None:
            return self._template.fill(table)
        match = None if self._regex is None else self._regex.fullmatch(str(table))
        if match is None:
            return table.topic
        made = match.expand(self._replacement)
        name = topic_name(made)
        first, by = self._replaced.setdefault(name, (made, str(table)))
        if first != made:
            raise Stop(
                SHARED,
                f"{first!r} and {made!r} become the same name",
                "Correct the replacement: of route, so that it makes names of a-z, A-Z, 0-9, '.', '_' and "
                "'-'.",
                where=f"topic {name}, of {by} and {table}",
            )
        return name


def _python(replacement: str) -> str:
    """`$1` as Python writes it."""
    return _GROUP.sub(lambda match: rf"\g<{match[1].strip('{}')}>", replacement)


def _groups_alone(regex: str) -> re.Pattern[str]:
    """An expression that matches nothing with the groups of this one."""
    compiled = re.compile(regex)
    names = {number: name for name, number in compiled.groupindex.items()}
    groups = (f"(?P<{names[n]}>)" if n in names else "()" for n in range(1, compiled.groups + 1))
    return re.compile("".join(groups))


def _moves(table: Table, key: tuple[int, ...]) -> Callable[[Change], Sequence[Change]]:
    """Makes a `d` and a `c` of an update that changes this key."""

    def each(change: Change) -> Sequence[Change]:
        if change.op != "u":
            return (change,)
        before, after = table.split(change.raw)
        if before is None or after is None or any(before[i] is ABSENT for i in key):
            names = ", ".join(table.columns[i].name for i in key)
            raise Malformed(
                KEY_NOT_IN_LOG,
                f"the update at {change.position} does not say what {names} was before",
                f"Have the log hold whole rows (PostgreSQL: ALTER TABLE {table} REPLICA IDENTITY FULL, "
                "MySQL: binlog_row_image=FULL); for changes from before that, leave out key: until they have "
                "passed.",
                where=str(table),
            )
        if all(after[i] is UNCHANGED or not differ(before[i], after[i]) for i in key):
            return (change,)
        return with_fields(change, op="d"), with_fields(change, op="c", index=change.index + 2)

    return each
