"""What the demo shows: lines, and on a terminal the newest events and figures in a place that stays."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tailrace.demo.events import LoggedEvent
from tailrace.demo.proof import Proof
from tailrace.hooks import DemoTable
from tailrace.types import Kind, LogicalType

_WORDS: Final = {
    "c": ("create", "green"),
    "u": ("update", "yellow"),
    "d": ("delete", "red"),
    "t": ("truncate", "red"),
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEWEST: Final = 12  # events in the place that stays, terminals that are lower have fewer
_AROUND: Final = 10  # lines left free around it
_WRONG: Final = 10  # lines of each kind of what is wrong


class Screen:
    """Writes to one console; in its own thread only."""

    def __init__(self, console: Console, tables: Mapping[str, DemoTable]) -> None:
        self._console = console
        self._tables = tables
        self._name_width = max(len(_short(name)) for name in tables)
        self._live: Live | None = None
        self._newest: deque[Text] = deque(maxlen=max(3, min(_NEWEST, console.height - _AROUND)))
        self._steps = 0

    def title(self, text: str, beside: str) -> None:
        """The first line."""
        self._line(Text.assemble((text, "bold"), "  ", (beside, "dim")))

    def step(self, text: str) -> None:
        """The headline of the next step."""
        self._steps += 1
        self._line()
        self._line(Text.assemble((f"{self._steps} ", "bold cyan"), (text, "bold")))

    def say(self, text: str, style: str = "") -> None:
        """A line of the step."""
        self._line(Text(f"  {text}", style))

    def file(self, text: str) -> None:
        """A file's text."""
        for line in text.splitlines():
            self._line(Text.assemble(("  │ ", "dim"), (line, "cyan")))

    @contextmanager
    def live(self) -> Iterator[None]:
        """While events are shown. On a terminal they stay in their place; other lines go above it."""
        if not self._console.is_terminal or self._console.is_dumb_terminal:
            yield
            return
        self._live = Live(console=self._console, refresh_per_second=12, transient=False)
        try:
            with self._live:
                yield
        finally:
            self._live = None

    def show(self, events: Sequence[LoggedEvent], state: str, committed: int, logged: int) -> None:
        """New events, and how the pipeline and the figures stand."""
        lines = [self._event(event) for event in events if event.op is not None]
        if self._live is None:
            for line in lines:
                self._line(line)
            return
        self._newest.extend(lines)
        figures = Text.assemble(
            ("  pipeline ", "dim"),
            (state, "green" if state.startswith("running") else "bold red"),
            ("   row changes committed ", "dim"),
            (str(committed), "bold"),
            ("   events in the log ", "dim"),
            (str(logged), "bold"),
        )
        self._live.update(Group(*self._newest, Text(), figures))

    def proof(self, proof: Proof) -> None:
        """The figures of the proof, and what is wrong if something is."""
        figures = Table(box=None, padding=(0, 3, 0, 0), pad_edge=False, header_style="dim")
        figures.add_column("  table")
        for title in ("rows", "folded from the log", "differences", "row changes", "events"):
            figures.add_column(title, justify="right")
        for name, table in proof.tables.items():
            numbers = (table.rows, table.folded, len(table.differences), table.changes, table.events)
            figures.add_row(f"  {_short(name)}", *(f"{number:,}" for number in numbers))
        self._line(figures)
        self._line()
        kinds = {
            "lost": proof.lost,
            "doubled or never committed": proof.surplus,
            "out of order": proof.misplaced,
        }
        self.say(", ".join(f"{len(wrong)} {kind}" for kind, wrong in kinds.items()))
        for kind, wrong in {**kinds, "different": proof.differences}.items():
            for text in wrong[:_WRONG]:
                self.say(f"{kind}: {text}", "red")
            if len(wrong) > _WRONG:
                self.say(f"{kind}: and {len(wrong) - _WRONG} more", "red")
        self._line()
        if proof.holds:
            self._line(
                Text.assemble(
                    ("✓ ", "bold green"),
                    ("log and database agree: ", "bold"),
                    f"{proof.changes:,} row changes, each in the log once and in the order of the commits; ",
                    "every row identical.",
                )
            )
        else:
            self._line(Text.assemble(("✗ ", "bold red"), ("log and database do not agree", "bold")))

    def _line(self, line: RenderableType = "") -> None:
        self._console.print(line, soft_wrap=True, highlight=False)

    def _event(self, event: LoggedEvent) -> Text:
        word, style = _WORDS.get(event.op or "", (str(event.op), ""))
        committed = (_EPOCH + timedelta(microseconds=event.timestamp)).astimezone()
        key = "/".join(map(str, event.key))
        line = Text.assemble(
            (f"  {committed:%H:%M:%S}.{committed.microsecond // 1000:03}  ", "dim"),
            (f"{word:<8} ", style),
            f"{_short(event.table):<{self._name_width}} ",
            (f"{key:<10}", "bold"),
            no_wrap=True,
            overflow="ellipsis",
        )
        table = self._tables[event.table]
        for name, value in (event.row or {}).items():
            if name not in table.key:
                line.append(f" {name} ", "dim")
                line.append(_show(table.columns[name], value))
        line.rstrip()
        return line


def _short(table: str) -> str:
    return table.rpartition(".")[2]


def _show(type: LogicalType, value: Any) -> str:
    """A canonical value, short."""
    if value is None:
        return "–"
    match type.kind:
        case Kind.DATE:
            return str(date(1970, 1, 1) + timedelta(days=value))
        case Kind.TIMESTAMP:
            return f"{_EPOCH + timedelta(microseconds=value):%H:%M:%S}"
        case Kind.TIMESTAMPTZ:
            return f"{(_EPOCH + timedelta(microseconds=value)).astimezone():%H:%M:%S}"
        case _:
            return str(value)
