"""The settings of the format `debezium` that choose how values are written: Debezium's own, by its names."""

from __future__ import annotations

from binascii import unhexlify
from typing import Final, Literal, TypeAlias

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from tailrace.abc import Declaration

DecimalMode: TypeAlias = Literal["precise", "double", "string"]
TimeMode: TypeAlias = Literal[
    "adaptive", "adaptive_time_microseconds", "connect", "isostring", "microseconds", "nanoseconds"
]
BinaryMode: TypeAlias = Literal["bytes", "base64", "base64-url-safe", "hex"]

_HEX: Final = "hex:"


class Options(Declaration):
    """Each but `unavailable_values` is Debezium's setting of that name, dots for underscores, with its values
    and its default."""

    decimal_handling_mode: DecimalMode = Field(
        default="precise",
        description="How numeric and money are written. `precise`: Connect's Decimal, base64 of the unscaled "
        "integer; NaN and infinity are refused. `double`: a floating point number, which may lose digits; "
        "numbers beyond its range are refused. `string`: digits; `NAN`, `POSITIVE_INFINITY`, "
        "`NEGATIVE_INFINITY`.",
    )
    time_precision_mode: TimeMode = Field(
        default="adaptive",
        description="How date, time and timestamp without time zone are written. `adaptive`: days; "
        "milliseconds up to 3 digits of a second, else microseconds. `adaptive_time_microseconds`: the same "
        "with time always in microseconds. `connect`: Connect's own Date, Time, Timestamp: days and "
        "milliseconds, further digits are cut off. `isostring`: ISO 8601 text. `microseconds`, "
        "`nanoseconds`: always so; what does not fit 64 bits is refused.",
    )
    binary_handling_mode: BinaryMode = Field(
        default="bytes",
        description="How bytea is written: Connect's bytes (base64 in JSON), or text as base64, in its "
        "URL-safe alphabet, or as hexadecimal digits.",
    )
    hstore_handling_mode: Literal["json", "map"] = Field(
        default="json", description="How hstore is written: as text that holds a JSON object, or as a map."
    )
    interval_handling_mode: Literal["numeric", "string"] = Field(
        default="numeric",
        description="How interval is written: in microseconds with months of 30.4375 days, or exactly, as "
        "`P1Y2M3DT4H5M6.789S`.",
    )
    money_fraction_digits: int = Field(
        default=2,
        ge=0,
        le=9,
        description="Digits after the point that money has as a precise decimal; further ones are rounded "
        "half up.",
    )
    unavailable_value_placeholder: str = Field(
        default="__debezium_unavailable_value",
        min_length=1,
        description="What stands for a large value that an update left alone and the log does not repeat; "
        "`hex:` and hexadecimal digits of UTF-8 for what cannot be typed.",
    )

    unavailable_values: Literal["placeholder", "omit"] = Field(
        default="placeholder",
        description="What becomes of columns whose values the log does not hold. `placeholder`: the "
        "placeholder in a new row, where the type has one, else the pipeline stops; null in an old row, as "
        "with Debezium. `omit`: they are left out of the row, new or old. Whoever reads it must not take "
        "what is missing for null.",
    )

    @field_validator("unavailable_value_placeholder")
    @classmethod
    def _check_placeholder(cls, value: str) -> str:
        try:
            _decoded(value)
        except ValueError:
            raise PydanticCustomError(
                "placeholder", "hex: must be followed by hexadecimal digits of UTF-8 text, as in hex:6e2f61"
            ) from None
        return value

    @property
    def placeholder(self) -> str:
        """The placeholder as it is written."""
        return _decoded(self.unavailable_value_placeholder)


def _decoded(placeholder: str) -> str:
    if not placeholder.startswith(_HEX):
        return placeholder
    if not (decoded := unhexlify(placeholder.removeprefix(_HEX)).decode()):
        raise ValueError("it is empty")
    return decoded


DEFAULTS: Final = Options()
