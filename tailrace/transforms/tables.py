"""The transform `tables`: which tables flow on."""

from __future__ import annotations

from pydantic import Field, model_validator

from tailrace.abc import Declaration, Derived
from tailrace.events import Table
from tailrace.patterns import Pattern, TableFilter, TablePatternText


class Tables:
    """See `tailrace.abc.TableTransform`. A table that is left out is left out wholly: its changes and its
    schema changes. Logical messages flow on."""

    class Settings(Declaration):
        """Settings of the transform `tables`."""

        include: tuple[TablePatternText, ...] = Field(
            default=("*.*",), min_length=1, description="Patterns of the tables that flow on."
        )
        exclude: tuple[TablePatternText, ...] = Field(
            default=(), description="Patterns of tables that are left out although `include` names them."
        )

        @model_validator(mode="after")
        def _says_something(self) -> Tables.Settings:
            if not self.model_fields_set:
                raise ValueError("write include: or exclude:")
            return self

    def __init__(self, settings: Settings) -> None:
        self._filter = TableFilter(
            [Pattern.parse(one) for one in settings.include], [Pattern.parse(one) for one in settings.exclude]
        )

    def derive(self, table: Table) -> Derived:
        """See `tailrace.abc.TableTransform`."""
        return Derived(table if self._filter.captured(table.schema, table.name) else None)
