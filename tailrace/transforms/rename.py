"""The transform `rename`: other names for columns, tables and schemas."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from tailrace.abc import Declaration, Derived
from tailrace.errors import Stop, code
from tailrace.events import Table
from tailrace.transforms.naming import require_columns

ONE_COLUMN = code(
    "TR-SHAPE-003", "two columns would have one name", "One of them would hide the other from every reader."
)

_FIELDS: Final = ("schema", "table")


def _check_template(template: str) -> str:
    rest = template
    for field in _FIELDS:
        rest = rest.replace(f"{{{field}}}", "")
    if "{" in rest or "}" in rest:
        raise ValueError(f"fields are {{schema}} and {{table}}; found {template!r}")
    return template


NameTemplate: TypeAlias = Annotated[str, Field(min_length=1), AfterValidator(_check_template)]


class Rename:
    """See `tailrace.abc.TableTransform`. What renames a table also changes its topic where a sink's template
    names it, and the source block; positions and values stay as they are."""

    class Settings(Declaration):
        """Settings of the transform `rename`."""

        columns: dict[str, str] = Field(
            default={},
            description="Old name: new name. Each table that the transform is for must have each of them.",
        )
        to_table: NameTemplate | None = Field(
            default=None,
            description="The table's new name; {schema} and {table} are filled in with the old ones.",
        )
        to_schema: NameTemplate | None = Field(
            default=None, description="The schema's new name, made in the same way."
        )

        @model_validator(mode="after")
        def _says_something(self) -> Rename.Settings:
            if not (self.columns or self.to_table or self.to_schema):
                raise ValueError("write columns:, to_table: or to_schema:")
            return self

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def derive(self, table: Table) -> Derived:
        """See `tailrace.abc.TableTransform`."""
        renamed = self._settings.columns
        require_columns(table, renamed)
        columns = tuple(
            replace(column, name=renamed[column.name]) if column.name in renamed else column
            for column in table.columns
        )
        names = [column.name for column in columns]
        for name in names:
            if names.count(name) > 1:
                raise Stop(
                    ONE_COLUMN,
                    f"two columns would be called {name}",
                    "Rename the other one too, or exclude it before.",
                    where=str(table),
                )
        return Derived(
            replace(
                table,
                schema=_filled(self._settings.to_schema, table, table.schema),
                name=_filled(self._settings.to_table, table, table.name),
                columns=columns,
            )
        )


def _filled(template: str | None, table: Table, name: str) -> str:
    if template is None:
        return name
    parts = template.split("{schema}")
    return table.schema.join(part.replace("{table}", table.name) for part in parts)
