"""The transform `skip`: operations that are left out."""

from __future__ import annotations

from typing import Final, Literal

from pydantic import Field, field_validator

from tailrace.abc import Declaration
from tailrace.events import Batch, SchemaChange

_OPERATIONS: Final = ("c", "u", "d", "r", "t", "m")


class Skip:
    """See `tailrace.abc.Transform`. A change of the key is a `d` and a `c`, each of which is asked on its
    own. For logical messages (`m`) leave out `tables`: they belong to none."""

    class Settings(Declaration):
        """Settings of the transform `skip`."""

        operations: tuple[Literal["c", "u", "d", "r", "t", "m"], ...] = Field(
            min_length=1,
            description="What is left out: c create, u update, d delete, r read, t truncate, m message.",
        )

        @field_validator("operations")
        @classmethod
        def _leaves_something(cls, operations: tuple[str, ...]) -> tuple[str, ...]:
            if set(operations) == set(_OPERATIONS):
                raise ValueError("nothing would be left")
            return operations

    def __init__(self, settings: Settings) -> None:
        self._skipped = frozenset(settings.operations)

    def apply(self, batch: Batch) -> Batch:
        """See `tailrace.abc.Transform`."""
        skipped = self._skipped
        kept = [event for event in batch.events if type(event) is SchemaChange or event.op not in skipped]
        return batch if len(kept) == len(batch.events) else batch.with_events(kept)
