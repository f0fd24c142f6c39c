"""The setting `snapshot`, of sources that deliver changes only."""

from __future__ import annotations

from typing import Annotated, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from tailrace.abc import not_available

_MODES: Final = (
    "initial", "always", "only",
    "initial_only", "no_data", "when_needed", "configuration_based", "custom", "recovery", "schema_only",
    "schema_only_recovery",
)  # fmt: skip
"""What a person may look for: what the word means elsewhere, and Debezium's names."""


def _refuse(value: object) -> object:
    if value in _MODES:
        raise not_available(
            f"snapshot: {value} is not available in this version, which delivers changes only",
            "Write snapshot: never, and bring the rows that exist already over by other means.",
        )
    return value


ChangesOnly: TypeAlias = Annotated[
    Literal["never"],
    BeforeValidator(_refuse),
    Field(
        description="What to do with the rows that exist already. `never`: nothing, deliver changes from the "
        "first start on. Must be written, so that nobody is surprised."
    ),
]
