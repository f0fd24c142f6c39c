"""The status of a running pipeline on a terminal: a few lines that stay in place."""

from __future__ import annotations

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from tailrace.amounts import show_bytes, show_seconds
from tailrace.checkpoint import show_position
from tailrace.cli.figures import Figures, SinkFigures
from tailrace.engine.status import PipelineStatus, SinkStatus, State
from tailrace.errors import TailraceError
from tailrace.printable import printable
from tailrace.redact import redact

_COLOURS = {State.STREAMING: "green", State.RETRYING: "yellow"}


class LiveStatus:
    """On stderr, so that stdout stays free for data."""

    def __init__(self) -> None:
        self._figures = Figures()
        self._live = Live(console=Console(stderr=True), auto_refresh=False, redirect_stdout=False)

    def begin(self, status: PipelineStatus) -> None:
        """The first look."""
        self._live.start()
        self.look(status)

    def look(self, status: PipelineStatus) -> None:
        """Show how it stands now; called several times a second."""
        figures = self._figures.of(status)
        table = Table.grid(padding=(0, 2))
        ended = status.state is State.STOPPED
        table.add_row(
            Text(status.name, "bold"),
            _state(_state_of(status)),
            Text() if ended else _error(status.error or status.source.error),
        )
        for identity, sink in status.sinks.items():
            state = status.state if ended else sink.state
            table.add_row(
                Text(f"  {identity.partition('/')[2]}"), _state(state), _sink(sink, figures[identity], ended)
            )
            if sink.error is not None and not ended:
                table.add_row("", "", _error(sink.error))
        self._live.update(table, refresh=True)

    def end(self, status: PipelineStatus, failure: BaseException | None = None) -> None:
        """The last look; the terminal is as it was. A failure stands below it, where the command tells it."""
        self.look(status)
        self._live.stop()


def _state_of(status: PipelineStatus) -> State:
    """The source's trouble is the pipeline's as long as the pipeline itself has nothing else to say."""
    return status.source.state if status.state is State.STREAMING else status.state


def _state(state: State) -> Text:
    return Text(state.value, _COLOURS.get(state, ""))


def _error(error: TailraceError | None) -> Text:
    if error is None:
        return Text()
    told = redact(f"{error}\n→ {error.remedy}" if error.remedy else str(error))
    return Text(printable(told, lines=True), "yellow")


def _sink(sink: SinkStatus, figures: SinkFigures, ended: bool) -> Text:
    """One line, cut where the terminal is narrow, so that nothing jumps; what stays at the end is whole."""
    committed = "none" if figures.idle_seconds is None else f"{show_seconds(figures.idle_seconds)} ago"
    return Text(
        f"{figures.rows_per_second:,.0f} rows/s  "
        f"lag {show_bytes(sink.lag_bytes)}, {show_seconds(figures.lag_seconds)}  "
        f"last commit {committed}  at {show_position(sink.position)}",
        no_wrap=not ended,
        overflow="fold" if ended else "ellipsis",
    )
