"""The transform `columns`: columns left out, masked, hashed, cut.

A row is changed between the log and whoever asks for its values: the derived table's `split` is that of the
table, and a function generated for this version behind it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any, Final, TypeAlias

from pydantic import Field, SecretStr, model_validator

from tailrace.abc import Declaration, Derived
from tailrace.errors import Malformed, Stop, code
from tailrace.events import ABSENT, Column, Missing, Row, Table
from tailrace.patterns import NamePattern, NamePatternText
from tailrace.transforms.canonical import canonical_text
from tailrace.transforms.naming import require_matches
from tailrace.types import Kind, LogicalType

KEY_COLUMN = code(
    "TR-SHAPE-004",
    "a column of the key",
    "A transform would leave out, mask or cut a column of the key: rows would become one that are not, and a "
    "compacted topic would keep one of them.",
)
NO_TEXT = code(
    "TR-SHAPE-005",
    "not a text",
    "A transform would hash a column whose values have no text of their own, or cut one that is not a plain "
    "text.",
)
NOTHING_LEFT = code(
    "TR-SHAPE-006", "no column is left", "A table would flow on without any column: leave it out instead."
)
UNREADABLE = code(
    "TR-SHAPE-008",
    "no value to hash or to cut",
    "A field of a column that a transform hashes or cuts does not hold a value of the column's type.",
)

_TEXT: Final = LogicalType(Kind.STRING, "text")

Change: TypeAlias = Callable[[Any], Any]
"""A raw field of the table → one of the derived table."""


class Columns:
    """See `tailrace.abc.TableTransform`.

    A column of the key may be hashed, in key and row alike: different values keep different hashes. It is not
    left out, masked or cut unless a transform before this one has given the table another key.
    """

    class Settings(Declaration):
        """Settings of the transform `columns`. Columns are named by themselves or by patterns (`*`, `?`); one
        that is named by itself must be there."""

        include: tuple[NamePatternText, ...] | None = Field(
            default=None, min_length=1, description="The columns that stay. Default: all."
        )
        exclude: tuple[NamePatternText, ...] = Field(
            default=(), description="Columns that are left out although `include` names them."
        )
        mask: dict[NamePatternText, str | Annotated[int, Field(ge=0, le=1000, strict=True)] | None] = Field(
            default={},
            description="Column: the text that stands in place of every value, NULL included; or so many "
            "asterisks; or null. But for null, the column becomes a text.",
        )
        hash: tuple[NamePatternText, ...] = Field(
            default=(),
            description="Columns that become the SHA-256 of `salt` and their text, in hexadecimal digits, as "
            "Debezium's column.mask.hash.v2 writes it; NULL stays NULL.",
        )
        salt: SecretStr | None = Field(
            default=None,
            min_length=1,
            description="Goes before each text that is hashed; keep it secret, usually `${NAME}`. Written "
            "whenever `hash` is.",
        )
        truncate: dict[NamePatternText, Annotated[int, Field(ge=0)]] = Field(
            default={}, description="Column: the characters of its text that stay at most."
        )

        @model_validator(mode="after")
        def _fits_together(self) -> Columns.Settings:
            named = [*self.mask, *self.hash, *self.truncate]
            if self.include is None and not self.exclude and not named:
                raise ValueError("write include:, exclude:, mask:, hash: or truncate:")
            if bool(self.hash) != (self.salt is not None):
                raise ValueError("hash: and salt: are written together")
            for name in named:
                if named.count(name) > 1:
                    raise ValueError(f"{name} stands under two of mask:, hash: and truncate:")
            return self

    def __init__(self, settings: Settings) -> None:
        self._include = [NamePattern.parse(one) for one in settings.include or ("*",)]
        self._exclude = [NamePattern.parse(one) for one in settings.exclude]
        self._mask = {NamePattern.parse(one): value for one, value in settings.mask.items()}
        self._hash = [NamePattern.parse(one) for one in settings.hash]
        self._salt = settings.salt.get_secret_value().encode() if settings.salt else b""
        self._truncate = {NamePattern.parse(one): limit for one, limit in settings.truncate.items()}

    def derive(self, table: Table) -> Derived:
        """See `tailrace.abc.TableTransform`."""
        patterns = [*self._include, *self._exclude, *self._mask, *self._hash, *self._truncate]
        require_matches(table, patterns)
        derived = [
            _Derivation(i, *self._column(table, i))
            for i, column in enumerate(table.columns)
            if self._kept(column)
        ]
        if not derived:
            raise Stop(
                NOTHING_LEFT,
                "no column is included, or every one excluded",
                "Correct include and exclude, or leave the table out: {type: tables, exclude: …}.",
                where=str(table),
            )
        places = {one.index: place for place, one in enumerate(derived)}
        for i in table.key:
            if i not in places:
                raise _key_column(table, i, "left out")
        columns = tuple(one.column for one in derived)
        key = tuple(places[i] for i in table.key)
        return Derived(replace(table, columns=columns, key=key, split=_split(table, derived)))

    def _kept(self, column: Column) -> bool:
        return _matching(self._include, column) is not None and _matching(self._exclude, column) is None

    def _column(self, table: Table, i: int) -> tuple[Column, Change | None]:
        """What a column becomes, and what its fields go through."""
        column = table.columns[i]
        if masked := _matching(self._mask, column):
            if i in table.key:
                raise _key_column(table, i, "masked")
            return _masked(column, self._mask[masked])
        if _matching(self._hash, column):
            text = canonical_text(column)
            if text is None:
                raise _no_text(table, column, "has no text of its own to hash")
            hashed = self._hashed
            return _text(column, column.type), _of_values(table, column, lambda field: hashed(text(field)))
        if cut := _matching(self._truncate, column):
            if i in table.key:
                raise _key_column(table, i, "cut")
            if column.type.kind is not Kind.STRING or column.type.labels:
                raise _no_text(table, column, "is not a plain text: cut, it would be another value or none")
            limit, value = self._truncate[cut], column.value
            shorter = replace(column, value=bytes.decode, text=True)
            return shorter, _of_values(table, column, lambda field: value(field)[:limit].encode())
        return column, None

    def _hashed(self, field: bytes) -> bytes:
        return hashlib.sha256(self._salt + field).hexdigest().encode()


@dataclass(frozen=True, slots=True)
class _Derivation:
    """A column that stays: where it stood, what it is now, what its fields go through."""

    index: int
    column: Column
    change: Change | None


def _matching(patterns: Iterable[NamePattern], column: Column) -> NamePattern | None:
    return next((pattern for pattern in patterns if pattern.matches(column.name)), None)


def _masked(column: Column, value: str | int | None) -> tuple[Column, Change]:
    field = None if value is None else ("*" * value if isinstance(value, int) else value).encode()
    changed = replace(column, optional=True) if field is None else _text(column, column.type)
    # What the log does not hold of an old row stays away: it would look like a row that is known whole.
    return changed, lambda old: ABSENT if old is ABSENT else field


def _text(column: Column, type: LogicalType) -> Column:
    return Column(column.name, _TEXT, column.optional, bytes.decode, text=True)


def _of_values(table: Table, column: Column, change: Callable[[Any], bytes]) -> Change:
    def changed(field: Any) -> Any:
        if field is None or isinstance(field, Missing):
            return field
        try:
            return change(field)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
            # Without the value: whoever hashes a column does not want it seen.
            raise Malformed(
                UNREADABLE,
                f"a field of column {column.name} ({column.type.native}) holds no value of that type "
                f"({type(error).__name__})",
                "Mask the column (mask:) or leave it out (exclude:), or correct what wrote the value.",
                where=str(table),
            ) from None

    return changed


def _split(table: Table, derived: list[_Derivation]) -> Callable[[Any], tuple[Row | None, Row | None]]:
    names: dict[str, Any] = {"split": table.split}
    names |= {f"change{one.index}": one.change for one in derived if one.change is not None}

    def row(name: str) -> str:
        fields = [
            f"{name}[{one.index}]" if one.change is None else f"change{one.index}({name}[{one.index}])"
            for one in derived
        ]
        return f"None if {name} is None else [{', '.join(fields)}]"

    source = (
        "def split_shaped(raw):\n"
        "    before, after = split(raw)\n"
        f"    return {row('before')}, {row('after')}\n"
    )
    exec(compile(source, f"<columns of {table}>", "exec"), names)
    shaped: Callable[[Any], tuple[Row | None, Row | None]] = names["split_shaped"]
    return shaped


def _key_column(table: Table, i: int, what: str) -> Stop:
    return Stop(
        KEY_COLUMN,
        f"column {table.columns[i].name} would be {what}, and belongs to the key of {table}",
        "Hash it (hash:, salt:): key and row then hold the same hash. Or give the table another key in a "
        "transform before this one: {type: route, key: […]}.",
        where=str(table),
    )


def _no_text(table: Table, column: Column, found: str) -> Stop:
    return Stop(
        NO_TEXT,
        f"column {column.name} ({column.type.native}) {found}",
        "Mask it (mask:) or leave it out (exclude:).",
        where=str(table),
    )
