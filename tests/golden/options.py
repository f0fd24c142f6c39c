"""The settings that choose how values are written, beside Debezium's defaults.

Each set is one run of Debezium; what touches different types stands together. Together the sets hold every
value of every setting that is not its default.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

#: The version of PostgreSQL on which they are recorded.
MAJOR: Final = 18

#: Settings of the format `debezium`; Debezium's own have a dot for each underscore.
OPTIONS: Final[dict[str, dict[str, Any]]] = {
    "doubles": {
        "decimal_handling_mode": "double",
        "time_precision_mode": "connect",
        "binary_handling_mode": "base64",
        "interval_handling_mode": "string",
        "hstore_handling_mode": "map",
        "unavailable_value_placeholder": "gone",
    },
    "strings": {
        "decimal_handling_mode": "string",
        "time_precision_mode": "isostring",
        "binary_handling_mode": "hex",
        "money_fraction_digits": 4,
        "unavailable_value_placeholder": "hex:676f6e65",
    },
    "microseconds": {
        "time_precision_mode": "microseconds",
        "binary_handling_mode": "base64-url-safe",
        "money_fraction_digits": 1,
    },
    "nanoseconds": {"time_precision_mode": "nanoseconds", "money_fraction_digits": 3},
    "time_in_microseconds": {"time_precision_mode": "adaptive_time_microseconds"},
}


def properties(options: Mapping[str, Any]) -> dict[str, str]:
    """The same settings for Debezium."""
    return {name.replace("_", "."): str(value) for name, value in options.items()}
