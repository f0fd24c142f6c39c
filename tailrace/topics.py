"""Topic names: a template filled in per table."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

from tailrace.errors import Stop, code
from tailrace.events import Table

SHARED = code(
    "TR-SINK-002",
    "two tables would share a topic",
    "The sink's topic template names what two tables differ in, and yet makes one name of them: by the `_` "
    "that stands for what a topic's name cannot hold, or by the dots in their own names. Their rows may have "
    "equal keys: mixed, one would pass for the other.",
)

FIELDS: Final = ("pipeline", "database", "schema", "table")


class TopicTemplate:
    """`{pipeline}.{schema}.{table}` and the like. A field that is empty takes the dot behind it with it.

    Characters that Kafka refuses in a topic's name become `_`, as with Debezium. Tables share a topic where
    the template does not name what they differ in (`all`, `{schema}`), and only there. Raises ValueError for
    an unknown field or stray braces.
    """

    def __init__(self, template: str) -> None:
        rest = template
        for field in FIELDS:
            rest = rest.replace(f"{{{field}}}", "")
        if "{" in rest or "}" in rest:
            raise ValueError(
                f"fields are {', '.join(f'{{{field}}}' for field in FIELDS)}; found {template!r}"
            )
        self.template = template
        self._fields = [field for field in FIELDS if f"{{{field}}}" in template]
        self._names: dict[tuple[str, str, str | None], str] = {}  # by what all versions have in common
        # By name: what it was filled with, and by which table.
        self._filled: dict[str, tuple[Sequence[str | None], str]] = {}

    def topic(self, table: Table) -> str:
        """The topic of a table: what a transform has chosen, else the template filled in. Stop where it is
        that of a table which the template tells apart from this."""
        of = (table.schema, table.name, table.topic)
        name = self._names.get(of)
        if name is None:
            if table.topic is None:
                name = self.fill(table)
            else:
                name = self._unshared(table.topic, table, [None, table.topic])  # as no template has
            self._names[of] = name
        return name

    def fill(self, table: Table) -> str:
        """The template filled in, whatever a transform has chosen. Stop as `topic`."""
        values = {
            "pipeline": table.origin.pipeline,
            "database": table.database,
            "schema": table.schema,
            "table": table.name,
        }
        name = self.template
        for field, value in values.items():
            name = name.replace(f"{{{field}}}" if value else f"{{{field}}}.", value)
            name = name.replace(f"{{{field}}}", value)
        return self._unshared(topic_name(name), table, [values[field] for field in self._fields])

    def _unshared(self, name: str, table: Table, told_apart: Sequence[str | None]) -> str:
        filled, by = self._filled.setdefault(name, (told_apart, str(table)))
        if filled != told_apart:
            raise Stop(
                SHARED,
                f"{self.template!r} makes the same name of {by} and {table}",
                "Give the sink another topic: template, one that tells them apart, or one without {table} to "
                "have them share a topic. Or exclude one of them. If the one was renamed to the other, just "
                "start again.",
                where=f"topic {name}",
            )
        return name


def topic_name(text: str) -> str:
    """The text with `_` for each character that Kafka refuses in a topic's name."""
    return re.sub(r"[^a-zA-Z0-9._-]", "_", text)


def _check(template: str) -> str:
    TopicTemplate(template)
    return template


TopicTemplateText: TypeAlias = Annotated[str, AfterValidator(_check)]
"""A template as a setting: refused, when the file is loaded, where `TopicTemplate` would refuse it."""
