"""The statements that changes come from, as far as they are delivered (`include_query`)."""

from __future__ import annotations

from typing import Final

_CHARACTERS: Final = 16_384


def delivered(sql: str) -> str:
    """A statement, cut if it is long: it stands in each of its changes, of which an insert may have as many
    as it has lines. What is cut says so."""
    if len(sql) <= _CHARACTERS:
        return sql
    return f"{sql[:_CHARACTERS]} … ({len(sql)} characters)"
