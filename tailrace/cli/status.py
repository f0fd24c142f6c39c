"""`tailrace status`: how a running pipeline stands."""

from __future__ import annotations

from collections.abc import Iterator

import click
import msgspec

from tailrace.amounts import show_bytes, show_seconds
from tailrace.checkpoint import show_position
from tailrace.cli.control import ask, pipeline_argument
from tailrace.cli.output import json_option, write, write_json
from tailrace.service.report import Report, Trouble


@click.command(short_help="How a running pipeline stands.")
@pipeline_argument
@json_option
def status(pipeline: str, as_json: bool) -> None:
    """Show how a running pipeline stands: states, lags, positions, and the log that the server keeps for it.

    Counts are of this run. A pipeline is named by its file, or by its name if it runs as the same user.
    """
    report = ask(pipeline, "status")
    if as_json:
        write_json(msgspec.to_builtins(report))
        return
    for line in lines(report):
        write(line)


def lines(report: Report) -> Iterator[str]:
    """The report for people."""
    waits = report.state == "streaming" and not report.ready
    yield f"{report.name}  {report.state}{', not ready' if waits else ''}  process {report.pid}"
    yield from _trouble(report.error)
    yield f"  source  {report.source.state}  {report.source.events:,} events read"
    yield from _trouble(report.source.error)
    if (kept := report.source.retention) is not None:
        full = "" if kept.full_in_seconds is None else f", {show_seconds(kept.full_in_seconds)} left"
        yield f"    {'' if kept.level == 'ok' else f'{kept.level}: '}{kept.found}{full}"
        if kept.level != "ok":
            yield f"    → {kept.remedy}"
    for sink in report.sinks:
        age = "none" if sink.checkpoint_age is None else f"{show_seconds(sink.checkpoint_age)} ago"
        yield (
            f"  {sink.name}  {sink.state}  {sink.events:,} events  "
            f"lag {show_bytes(sink.lag_bytes)}, {show_seconds(sink.lag_seconds)}  "
            f"last commit {age}  at {show_position(sink.position)}"
        )
        yield from _trouble(sink.error)
        for table, count in sorted(sink.tables.items()):
            skipped = sink.skipped.get(table)
            yield f"    {table}  {count:,}{f', {skipped:,} records left out' if skipped else ''}"


def _trouble(error: Trouble | None) -> Iterator[str]:
    if error is None:
        return
    yield f"    {error.code} {error.title}: {f'{error.where}: ' if error.where else ''}{error.found}"
    if error.remedy:
        yield f"    → {error.remedy}"
