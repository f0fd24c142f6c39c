"""Topic names: a template filled in per table."""

from __future__ import annotations

import re
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator

from tailrace.events import Table

FIELDS: Final = ("pipeline", "database", "schema", "table")


class TopicTemplate:
    """`{pipeline}.{schema}.{table}` and the like. A field that is empty takes the dot behind it with it.

    Characters that Kafka refuses in a topic's name become `_`, as with Debezium. Raises ValueError for an
    unknown field or stray braces.
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
        self._names: dict[Table, str] = {}

    def topic(self, table: Table) -> str:
        """The topic of a table; cached per table version."""
        name = self._names.get(table)
        if name is None:
            name = self._names[table] = self._fill(table)
        return name

    def _fill(self, table: Table) -> str:
        values = {
            "pipeline": table.origin.pipeline,
            "database": table.origin.database,
            "schema": table.schema,
            "table": table.name,
        }
        name = self.template
        for field, value in values.items():
            name = name.replace(f"{{{field}}}" if value else f"{{{field}}}.", value)
            name = name.replace(f"{{{field}}}", value)
        return re.sub(r"[^a-zA-Z0-9._-]", "_", name)


def _check(template: str) -> str:
    TopicTemplate(template)
    return template


TopicTemplateText: TypeAlias = Annotated[str, AfterValidator(_check)]
"""A template as a setting: refused, when the file is loaded, where `TopicTemplate` would refuse it."""
