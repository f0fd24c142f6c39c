"""The settings that choose how values are written, beside Debezium's defaults.

Each set is one run of Debezium; what touches different types stands together. Together the sets hold every
value of every setting that touches types of MySQL and is not its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.golden import options


@dataclass(frozen=True)
class Options:
    """`format`: of the format `debezium`; `source`: of the source, of which `OWN` are not Debezium's."""

    format: Mapping[str, Any] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)

    def properties(self) -> dict[str, str]:
        """The same settings for Debezium."""
        known = {name: value for name, value in self.source.items() if name not in OWN}
        return options.properties({**self.format, **known})


#: Settings that Debezium does not have.
OWN: Final = ("zero_dates",)

DEFAULTS: Final = Options()
OPTIONS: Final[Mapping[str, Options]] = {
    "doubles": Options(
        {
            "decimal_handling_mode": "double",
            "time_precision_mode": "connect",
            "binary_handling_mode": "base64",
        },
        {"bigint_unsigned_handling_mode": "precise", "zero_dates": "null"},
    ),
    "strings": Options(
        {
            "decimal_handling_mode": "string",
            "time_precision_mode": "isostring",
            "binary_handling_mode": "hex",
        },
        {"bigint_unsigned_handling_mode": "precise", "zero_dates": "epoch"},
    ),
    "microseconds": Options(
        {"time_precision_mode": "microseconds", "binary_handling_mode": "base64-url-safe"},
        {"bigint_unsigned_handling_mode": "precise"},
    ),
    "nanoseconds": Options({"time_precision_mode": "nanoseconds"}),
    "time_in_microseconds": Options({"time_precision_mode": "adaptive_time_microseconds"}),
}
