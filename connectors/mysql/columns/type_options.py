"""The settings that choose what MySQL's types are mapped to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from connectors.mysql.binlog.messages import TableMap
from connectors.mysql.columns.zero_dates import Mode
from tailrace.abc import Declaration


class TypeOptions(Declaration):
    """Settings of MySQL and MariaDB sources, of how types are mapped."""

    bigint_unsigned_handling_mode: Literal["long", "precise"] = Field(
        default="long",
        description="What bigint unsigned becomes, as Debezium's setting of that name. `long`: a number of "
        "64 bits with a sign; 9223372036854775808 and above are refused. `precise`: a decimal.",
    )
    zero_dates: Mode = Field(
        default="refuse",
        description="What becomes of dates that no calendar has (`0000-00-00`, `2026-01-00`, `2026-02-31`). "
        "`refuse`: the pipeline stops before the event. `null`: NULL, which makes every column of dates "
        "optional. `epoch`: 1970-01-01, as Debezium writes them where a column is not optional. In a "
        "primary key they are always refused: two keys would become one.",
    )


def by_column(table: TableMap, options: TypeOptions) -> Sequence[TypeOptions]:
    """The settings for each column: in a key no date becomes another, as two keys would become one."""
    in_key = options.model_copy(update={"zero_dates": "refuse"})
    return [in_key if i in (table.key or ()) else options for i in range(len(table.columns))]
