"""Source of Python expressions, of which functions are generated that would else call one for each field."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Expression:
    """Python source that makes something of `{f}`, which stands for another expression, once or more often.

    `names`: what it uses; `{n}` in source and names stands for the column's number. No other braces.
    """

    source: str
    names: Mapping[str, Any] = field(default_factory=dict)

    def of(self, operand: str, n: int) -> str:
        """The source for an operand, in column `n`."""
        return self.source.format(f=operand, n=n)

    def after(self, first: Expression) -> Expression:
        """What this makes of what another one makes of a field."""
        return Expression(self.source.format(f=f"({first.source})", n="{n}"), {**first.names, **self.names})

    def bound(self, n: int) -> dict[str, Any]:
        """The names that column `n` needs for it."""
        return {name.format(n=n): value for name, value in self.names.items()}


@dataclass(frozen=True, slots=True)
class Inline:
    """A `Column.value` that is there as source too.

    `expression` makes of a raw field what `read` does; of a DECIMAL the unscaled integer, the value times
    ten to the power of the type's scale. It makes a value of the type, whole numbers and µs within 64
    bits: formats do not look at it again. For what is no value it raises ArithmeticError, AttributeError,
    LookupError, TypeError or ValueError. Equal bytes give equal values. Its names begin with `value` and end
    with `{n}`.
    """

    read: Callable[[Any], Any]
    expression: Expression

    def __call__(self, field: Any) -> Any:
        return self.read(field)


def called(read: Callable[[Any], Any], inline: Callable[[Any], Any] | None = None) -> Inline:
    """What is a function all the same: `inline`, by default `read` itself, is called by whoever generates."""
    return Inline(read, Expression("value{n}({f})", {"value{n}": inline or read}))
