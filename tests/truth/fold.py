"""Replays a target's events into tables, to be compared with what SELECT returns."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from tests.truth.catalogue import TableDescription
from tests.truth.comparison import Delivered
from tests.truth.decoding import UNCHANGED, Name
from tests.truth.events import Place
from tests.truth.values import to_json


class Fold:
    """The tables as the events so far leave them. A value that an event leaves out is kept from the row that
    was there; under a new key, from the row under the old one."""

    def __init__(self, tables: Mapping[Name, TableDescription], locate: Callable[[str], Place]) -> None:
        self._tables = tables
        self._locate = locate
        self._rows: dict[Name, dict[str, dict[str, Any]]] = {name: {} for name in tables}
        self._keyless: dict[Name, Counter[str]] = {name: Counter() for name in tables}
        self._moving: dict[str, Any] = {}
        self._applied: set[Place] = set()

    def apply(self, delivered: Iterable[Delivered]) -> None:
        """Take events, in any order; each counts once, none is older than those of an earlier call."""
        for place, found in sorted(((self._locate(one.position), one) for one in delivered), key=_by_place):
            if found.value is None or found.value["op"] == "m" or place in self._applied:
                continue
            self._applied.add(place)
            name = found.value["schema"], found.value["table"]
            if found.key is None:
                self._apply_keyless(name, found.value)
            else:
                self._apply(name, json.dumps(found.key), found.value, moved=place[2] == 2)

    def rows(self, name: Name) -> Counter[str]:
        """The rows of a table, as texts that can be compared, with how often each is there."""
        rows = Counter(_text(row) for row in self._rows[name].values())
        return rows + self._keyless[name]

    def _apply(self, name: Name, key: str, value: dict[str, Any], *, moved: bool) -> None:
        rows = self._rows[name]
        if value["op"] == "d":
            self._moving = rows.pop(key)
        else:
            old = self._moving if moved else rows.get(key, {})
            rows[key] = self._filled(self._tables[name], value["after"], old)

    def _apply_keyless(self, name: Name, value: dict[str, Any]) -> None:
        rows = self._keyless[name]
        if value["op"] == "t":
            rows.clear()
            self._rows[name].clear()
            return
        if value["before"] is not None:
            before = _text(value["before"])
            if not rows[before]:
                raise AssertionError(f"{name}: an event changes a row that is not there: {before}")
            rows[before] -= 1
        if value["after"] is not None:
            rows[_text(value["after"])] += 1

    @staticmethod
    def _filled(table: TableDescription, after: Mapping[str, Any], old: Mapping[str, Any]) -> dict[str, Any]:
        filled = dict(after)
        for name, type in table.columns.items():
            if type in _OUT_OF_ROW and after[name] == to_json(type, UNCHANGED) and name in old:
                filled[name] = old[name]
        return filled


_OUT_OF_ROW = frozenset({"text", "jsonb", "json", "bytea", "text[]"})


def selected(rows: Iterable[Mapping[str, Any]]) -> Counter[str]:
    """The same as `Fold.rows` for rows out of SELECT."""
    return Counter(map(_text, rows))


def _text(row: Mapping[str, Any]) -> str:
    return json.dumps(row, sort_keys=True, ensure_ascii=False)


def _by_place(one: tuple[Place, Delivered]) -> Place:
    return one[0]
