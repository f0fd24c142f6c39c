"""`tailrace doctor`: connects, and says what stands in the way of a start."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from dataclasses import dataclass
from typing import Any

import click

from tailrace.abc import Finding, Sink, Source
from tailrace.cli.failure import FAILED
from tailrace.cli.installed import check_packages
from tailrace.cli.output import file_argument, json_option, with_file, write, write_json
from tailrace.cli.positions import show_checkpoint
from tailrace.config import PipelineConfig, load, make_sinks, make_source
from tailrace.engine.start import rehearse, weighed
from tailrace.engine.started import StartedMark
from tailrace.errors import TailraceError
from tailrace.redact import redact


@dataclass(frozen=True, slots=True)
class _Line:
    part: str  # what was checked: tailrace, source, or a sink by its name
    finding: Finding

    @property
    def verdict(self) -> str:
        if self.finding.error is not None:
            return "fault"
        return "warning" if self.finding.warning else "ok"

    @property
    def remedy(self) -> str:
        error = self.finding.error
        return with_file(redact(self.finding.remedy or (error.remedy if error is not None else "")))


@click.command(short_help="Connect, and list what stands in the way of a start.")
@file_argument
@json_option
def doctor(file: str, as_json: bool) -> None:
    """Connect to a pipeline's source and sinks, and list what was found: each fault with its fix.

    Changes nothing anywhere, and may run beside the pipeline itself. Exit code 1 if something would keep
    the pipeline from starting.
    """
    config = load(file)
    lines = asyncio.run(_examine(config))
    if as_json:
        write_json({"pipeline": config.name, "checks": [_as_json(line) for line in lines]})
    else:
        _print(lines)
    if any(line.verdict == "fault" for line in lines):
        click.get_current_context().exit(FAILED)


async def _examine(config: PipelineConfig) -> list[_Line]:
    lines = [_Line("tailrace", finding) for finding in check_packages()]
    source, sinks = make_source(config), make_sinks(config)
    mark = StartedMark(config.data_dir, config.name)
    try:
        goes_on = await _goes_on(sinks)
        lines += [
            _Line("source", weighed(finding, goes_on=goes_on)) async for finding in _findings(source.check())
        ]
        for sink in sinks:
            name = sink.identity.partition("/")[2]
            lines += [_Line(name, finding) async for finding in _findings(sink.check())]
            checkpoint = _Line(name, await _checkpoint(sink.peek()))
            if not any(_same_fault(line, checkpoint) for line in lines):  # a target that is away is told once
                lines.append(checkpoint)
        if not any(line.finding.error for line in lines):  # else a start would not come so far
            lines.append(_Line("start", await _positions(source, sinks, mark)))
    finally:
        await source.close()
        for sink in sinks:
            await sink.close()
    return lines


def _same_fault(line: _Line, other: _Line) -> bool:
    one, two = line.finding.error, other.finding.error
    return line.part == other.part and one is not None and two is not None and str(one) == str(two)


async def _findings(check: Awaitable[Sequence[Finding]]) -> AsyncIterator[Finding]:
    """What a check found; an error that ends it is a finding too."""
    try:
        for finding in await check:
            yield finding
    except TailraceError as error:
        yield Finding(error.code.title, error.found, error=error)


async def _goes_on(sinks: Sequence[Sink]) -> bool:
    """Whether any sink holds a position, as far as that is to be seen."""
    for sink in sinks:
        with contextlib.suppress(TailraceError):
            if (stored := await sink.peek()) is not None and stored.position is not None:
                return True
    return False


async def _checkpoint(peek: Awaitable[Any]) -> Finding:
    try:
        return Finding("checkpoint", show_checkpoint(await peek))
    except TailraceError as error:
        return Finding("checkpoint", error.found, error=error)


async def _positions(source: Source, sinks: Sequence[Sink], mark: StartedMark) -> Finding:
    title = "positions"
    try:
        goes_on = await rehearse(source, sinks, mark)
    except TailraceError as error:
        return Finding(title, error.found, error=error)
    return Finding(
        title, "the server has what follows them" if goes_on else "none yet: it will be a first start"
    )


def _print(lines: Sequence[_Line]) -> None:
    marks = {"ok": ("✓", "green"), "warning": ("!", "yellow"), "fault": ("✗", "bold red")}
    part = None
    for line in lines:
        if line.part != part:
            part = line.part
            write((part, "bold"))
        found = redact(line.finding.found)
        if line.finding.error is not None and line.finding.error.code.id not in found:
            found += f" ({line.finding.error.code.id})"
        write("  ", marks[line.verdict], f" {line.finding.title}: {found}")
        if line.verdict != "ok" and line.remedy:
            write("    → ", line.remedy)
    faults = sum(line.verdict == "fault" for line in lines)
    warnings = sum(line.verdict == "warning" for line in lines)
    result = f"{faults} of {len(lines)} checks failed" if faults else f"all {len(lines)} checks passed"
    write((f"{result}, {warnings} with a warning" if warnings else result, "bold"))


def _as_json(line: _Line) -> dict[str, str | None]:
    error = line.finding.error
    return {
        "part": line.part,
        "check": line.finding.title,
        "verdict": line.verdict,
        "found": redact(line.finding.found),
        "code": error.code.id if error is not None else None,
        "remedy": line.remedy or None,
    }
