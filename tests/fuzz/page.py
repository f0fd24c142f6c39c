"""The section of `docs/crash.md` that tells what was damaged and what became of it."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Final

import tailrace.errors

BEGIN: Final = "<!-- From here on it is written by `make fuzz`. -->"
END: Final = "<!-- What `make fuzz` writes ends here. -->"
DAMAGED: Final = "damaged: "
READ: Final = "read"
_SEEN: Final = {
    "rows": "rows",
    "values": "values of them",
    "values refused": "values of them, refused by themselves",
}


def write(path: Path, command: str, counts: Counter[str]) -> None:
    """Write the section anew; the rest of the page stays."""
    before, begin, rest = path.read_text().partition(BEGIN)
    _, end, after = rest.partition(END)
    assert begin, f"{path} has no line {BEGIN}"
    assert end, f"{path} has no line {END}"
    path.write_text("\n".join([before + BEGIN, "", *section(command, counts), "", END + after]))


def section(command: str, counts: Counter[str]) -> Iterator[str]:
    """Its lines."""
    versions = f"tailrace {version('tailrace')}, Python {platform.python_version()}"
    yield f"`{command}` on {date.today().isoformat()} with {versions}:"
    yield ""
    damaged = [(name.removeprefix(DAMAGED), n) for name, n in counts.items() if name.startswith(DAMAGED)]
    yield from _table("what was damaged", "inputs", damaged)
    yield ""
    titles = {code.id: code.title for code in tailrace.errors.registered_codes()}
    ended = [(f"{id}, {title}", counts[id]) for id, title in titles.items() if counts[id]]
    yield from _table("how it ended", "inputs", [*ended, ("read", counts[READ])])
    yield ""
    yield from _table("what was read and compared", "times", [(_SEEN[name], counts[name]) for name in _SEEN])
    yield ""
    yield "Another exception, an input without an end, more memory than any may take, a wrong row: none."
    yield "A run that finds one fails and writes nothing."


def _table(name: str, figure: str, rows: Iterable[tuple[str, int]]) -> Iterator[str]:
    yield f"| {name} | {figure} |"
    yield "|---|---:|"
    for name, count in rows:
        yield f"| {name} | {count:,} |"
