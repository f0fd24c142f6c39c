"""Holds the values of a file against declarations, and says in words of the file what does not fit."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from tailrace.abc import Declaration
from tailrace.config.document import Document, KeyPath
from tailrace.config.faults import Faults
from tailrace.config.hints import OF_DEBEZIUM, brief, did_you_mean, first_sentence, named_otherwise
from tailrace.errors import code
from tailrace.redact import redact

UNKNOWN_KEY = code(
    "TR-CONF-006", "unknown key", "A key that nothing reads: a slip, or a setting of another type or version."
)
MISSING_KEY = code("TR-CONF-007", "missing key", "A key that must be written is not there.")
WRONG_VALUE = code(
    "TR-CONF-008", "wrong value", "A value is not of the kind or in the range that its key asks for."
)
NOT_AVAILABLE = code(
    "TR-CONF-009",
    "not available in this version",
    "A setting that the design knows and this version does not have. It is refused instead of ignored.",
)

_PLUGIN: Final = re.compile(r"[a-z][a-z0-9_]*")
_REFERENCE: Final = re.compile(r"\$\{\w+\}")  # and nothing beside it, nor a default
_SECRET: Final = re.compile(r"secret|passw|token|credential", re.I)
_LOGIN: Final = re.compile(r"://|@")

_WORDS: Final = {  # the library's, and those of a person who writes YAML
    "Input should be": "It must be",
    "a valid dictionary": "a mapping (key: value)",
    "a valid list": "a list",
    "a valid tuple": "a list",
    "a valid string": "text",
    "a valid integer, unable to parse string as an integer": "an integer",
    "a valid integer": "an integer",
    "a valid number, unable to parse string as a number": "a number",
    "a valid number": "a number",
    "a valid boolean, unable to interpret input": "true or false",
    "a valid boolean": "true or false",
}
_TOGETHER: Final = "Correct that; docs/settings.md says of each key what it goes with."
_INSTANCE: Final = re.compile(r" or instance of \w+")  # which nobody can write into a file

D = TypeVar("D", bound=Declaration)


def check(
    document: Document,
    faults: Faults,
    declaration: type[D],
    values: Mapping[str, Any],
    path: KeyPath,
    *,
    beside: Iterable[str] = (),
) -> D | None:
    """The declaration's object, or None and at least one fault. `path` is where the values stand; `beside`
    names keys that are known there and are checked by somebody else."""
    try:
        return declaration.model_validate(values)
    except ValidationError as error:
        details = error.errors(include_url=False)
    # Outside of the handler: the library's error holds the values, and a traceback would show them.
    translation = _Translation(document, faults, declaration, path, [*declaration.model_fields, *beside])
    for detail in _without_other_shapes(details, values):
        translation.tell(detail)
    return None


class _Translation:
    def __init__(
        self,
        document: Document,
        faults: Faults,
        declaration: type[Declaration],
        path: KeyPath,
        known: Sequence[str],
    ) -> None:
        self._document = document
        self._faults = faults
        self._declaration = declaration
        self._path = path
        self._known = known

    def tell(self, detail: ErrorDetails) -> None:
        """Turn one of the library's errors into a fault, unless what stands there was found faulty before."""
        kind, loc, context = detail["type"], detail["loc"], detail.get("ctx", {})
        path = self._present(loc)
        if self._document.is_faulty((*path, *loc[-1:]) if kind == "missing" else path):
            return
        key = str(loc[-1]) if loc else ""
        if kind == "extra_forbidden":
            self._unknown(key, loc, path)
        elif kind == "missing":
            remedy = brief(self._description(loc) or f"Write {key}: …")
            self._faults.add(self._document.place(path), MISSING_KEY, key, remedy)
        elif kind == "not_available":
            self._faults.add(
                self._document.place(path), NOT_AVAILABLE, context["found"], context.get("remedy", "")
            )
        else:
            found, remedy = self._wrong(detail, path)
            self._faults.add(self._document.place(path), WRONG_VALUE, found, remedy)

    def _unknown(self, key: str, loc: Sequence[str | int], path: KeyPath) -> None:
        place = self._document.key_place(path)
        if len(loc) > 1:
            known: Sequence[str] = _fields(self._declaration, loc[:-1])
            hint = did_you_mean(key, known)
        elif (why := self._declaration.absent.get(key.replace(".", "_"))) is not None:
            found = f"{key} is not available in this version"
            self._faults.add(place, NOT_AVAILABLE, found, f"Take it out. {why}")
            return
        else:
            known = self._known
            beside_a_format = self._path[:1] in (("source",), ("sinks",)) and len(self._path) <= 2
            if place_of := named_otherwise(key, self._declaration, of_format=beside_a_format):
                self._faults.add(place, UNKNOWN_KEY, key, place_of)
                return
            hint = did_you_mean(key, known) or ("." in key and OF_DEBEZIUM) or ""
        remedy = f"{hint}Known here: {', '.join(sorted(known))}." if known else f"{hint}Remove it."
        self._faults.add(place, UNKNOWN_KEY, key, remedy)

    def _wrong(self, detail: ErrorDetails, path: KeyPath) -> tuple[str, str]:
        context = detail.get("ctx", {})
        text = detail["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
        text = _INSTANCE.sub("", redact(self._document.substitution.conceal(text)))
        for theirs, ours in _WORDS.items():
            text = text.replace(theirs, ours)
        if detail["type"] == "too_short" and context.get("actual_length") == 0:
            text = "it must have at least 1 item"
        written = self._document.written(path)
        where = ".".join(str(part) for part in path[len(self._path) :]) or next(
            (part for part in reversed(path) if isinstance(part, str)), "the file"
        )
        shown = _kind(detail["input"]) if written is None else self._shown(path, written)
        if written is None and detail["type"] == "value_error":  # the words say what of it is wrong
            description = self._description(detail["loc"][:1])
            remedy = first_sentence(description) if description else _TOGETHER
            return f"{where}: {text}", remedy
        hint = ""
        if detail["type"] == "literal_error" and written is not None:
            hint = did_you_mean(written, re.findall(r"'([^']*)'", context.get("expected", "")))
        elif detail["type"] == "string_type" and written is not None:
            hint = "Put it in quotes. "
        elif written and (block := _as_block(path, detail["type"], written)):
            hint = block
        elif detail["type"] in ("tuple_type", "list_type"):
            hint = "Put it in brackets, [ and ]. " if written else ""
            if written is None and path[-1:] in (("sinks",), ("transforms",)):
                hint = "Begin each item with a dash: - type: … "
        remedy = context.get("remedy") or f"{hint}{text[:1].upper()}{text[1:]}."
        return (f"{where}: {text}" if "remedy" in context else f"{where} is {shown}"), remedy

    def _shown(self, path: KeyPath, written: str) -> str:
        """What stands there, fit to be seen: a reference and not what it leads to, and nothing of what is a
        secret or may hold one, as a URL does: in a broken one, nobody can tell where the password ends."""
        if not written:
            return "empty"
        names = ".".join(str(part) for part in path)
        fields = [self._declaration.model_fields.get(str(part)) for part in path]
        if (
            _SECRET.search(f"{names} {written}")
            or _LOGIN.search(written)
            or any(field and (not field.repr or "Secret" in repr(field.annotation)) for field in fields)
        ):
            return written if _REFERENCE.fullmatch(written) else "not shown, since it may hold a secret"
        return repr(written if len(written) <= 80 else written[:77] + "…")

    def _present(self, loc: Sequence[str | int]) -> KeyPath:
        """The way in the file that the library's location means; that one also names members of unions."""
        path = self._path
        for part in loc:
            if (*path, part) in self._document:
                path = (*path, part)
        return path

    def _description(self, loc: Sequence[str | int]) -> str | None:
        field = self._declaration.model_fields.get(str(loc[0])) if len(loc) == 1 else None
        return field.description if field else None


def _kind(value: object) -> str:
    """What a value is that has items of its own."""
    if not value:
        return "empty"
    return "a list" if isinstance(value, list | tuple) else "a mapping"


def _as_block(path: KeyPath, kind: str, written: str) -> str | None:
    """How a plugin is written whose name stands where its block belongs."""
    if not _PLUGIN.fullmatch(written):
        return None
    match kind, path:
        case ("dict_type", (*_, "sinks" | "transforms", int())):
            return f"Write - type: {written}. "
        case ("dict_type", (*_, "source" | "offsets")):
            return f"Write {path[-1]}: {{type: {written}}}. "
        case ("list_type", (*_, "sinks" | "transforms")):
            return f"Write {path[-1]}: [{{type: {written}}}]. "
    return None


def _fields(declaration: type[BaseModel], loc: Sequence[str | int]) -> list[str]:
    """The keys that are known at a location inside of a declaration."""
    models = [declaration]
    for part in loc:
        fields = [model.model_fields[str(part)] for model in models if str(part) in model.model_fields]
        if fields:  # else an item's number, or the library's name of a member of a union
            models = [model for field in fields for model in _models(field.annotation)]
    return [name for model in models for name in model.model_fields]


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The models that stand anywhere in a type: `list[str | Model]`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for inner in get_args(annotation) for model in _models(inner)]


def _without_other_shapes(details: Sequence[ErrorDetails], values: Mapping[str, Any]) -> list[ErrorDetails]:
    """Where a value may have one of several shapes the library complains for each of them. Keep the
    complaints of the shape that was meant; if none was, join them into one."""
    kept: dict[tuple[str | int, ...], ErrorDetails] = {}
    inner: list[ErrorDetails] = []
    details = [one for one in details if one["type"] != "too_short" or not _has_faults_within(one, details)]
    for detail in details:
        base = _real(detail["loc"], values)
        if len(base) == len(detail["loc"]) or not detail["type"].endswith(
            ("_type", "_parsing", "literal_error")
        ):
            inner.append(detail)
        elif base in kept:
            first = kept[base]
            more = detail["msg"].removeprefix("Input should be ")
            kept[base] = {**first, "msg": f"{first['msg']} or {more}", "type": "no_shape"}
        else:
            kept[base] = detail
    told = {_real(detail["loc"], values) for detail in inner}
    return inner + [
        detail for base, detail in kept.items() if not any(path[: len(base)] == base for path in told)
    ]


def _has_faults_within(list: ErrorDetails, details: Sequence[ErrorDetails]) -> bool:
    """Whether items of a list are wrong: the library then counts the others alone."""
    depth = len(list["loc"])
    return any(len(one["loc"]) > depth and one["loc"][:depth] == list["loc"] for one in details)


def _real(loc: Sequence[str | int], values: Any) -> tuple[str | int, ...]:
    """The beginning of the location that leads to a value."""
    for index, part in enumerate(loc):
        try:
            values = values[part]
        except (KeyError, IndexError, TypeError):
            return tuple(loc[:index])
    return tuple(loc)
