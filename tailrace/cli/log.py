"""`tailrace log`: the topics of an embedded event log, and the events in them."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

import click

from tailrace.amounts import show_bytes
from tailrace.cli.events import decoded, event_json, event_line, show_time
from tailrace.cli.output import json_option, write, write_json
from tailrace.config import load
from tailrace.errors import ConfigurationError, Stop, code
from tailrace.log import Entry, Reader, Topic
from tailrace.log.reader import NO_LOG, UNKNOWN_TOPIC

NO_LOG_SINK = code(
    "TR-CLI-020", "no log in the pipeline", "The pipeline has no sink of type log, so there is none to read."
)

_PIPE_SECONDS: Final = 1.0  # between two looks whether somebody still reads what is followed

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400}

_file_argument = click.argument("file", required=False, type=click.Path(dir_okay=False))
_log_option = click.option(
    "--log", "log_path", metavar="PATH", type=click.Path(path_type=Path), help="The log's file."
)


@click.group(short_help="Show what an embedded event log holds.")
def log() -> None:
    """Show what an embedded event log holds, also while a pipeline writes it.

    Name the log itself with --log, or the FILE of a pipeline with a sink of type log.
    """


@log.command()
@_file_argument
@_log_option
@json_option
def topics(file: str | None, log_path: Path | None, as_json: bool) -> None:
    """List the topics: the offsets that they hold, their size and age."""
    found: list[tuple[Path, Topic]] = []
    for path in _paths(file, log_path):
        with contextlib.closing(Reader(path)) as reader:
            found += [(path, topic) for topic in reader.topics()]
    if as_json:
        write_json([_as_json(path, topic) for path, topic in found])
        return
    if not found:
        write("no topics yet")
    width = max((len(topic.name) for _, topic in found), default=0)
    for _, topic in found:
        newest = "" if topic.timestamp is None else f"  newest {show_time(topic.timestamp)[:-8]}Z"
        write(
            (f"{topic.name:<{width}}", "bold"),
            f"  {topic.next - topic.first:>10} events  offsets {topic.first} to {topic.next - 1}"
            if topic.next > topic.first
            else f"  {0:>10} events  next offset {topic.next}",
            f"  {show_bytes(topic.bytes)}{newest}{_kept(topic)}",
        )


def _start(ctx: click.Context, param: click.Parameter, value: str) -> Callable[[Reader, str], int | None]:
    """What `--from` says, as a function that finds the offset (None: the oldest)."""
    if value == "beginning":
        return lambda reader, topic: None
    if value == "end":
        return lambda reader, topic: reader.end(topic)
    try:
        if value.isdecimal():
            offset = int(value)
            return lambda reader, topic: offset
        if ago := re.fullmatch(r"(\d+)([smhd])", value):
            moment = datetime.now(UTC) - timedelta(seconds=int(ago[1]) * _UNITS[ago[2]])
        else:
            moment = datetime.fromisoformat(value)
    except (ValueError, OverflowError):  # also of digits without an end, and of a time before the year 1
        raise click.BadParameter(
            f"{value!r} is no offset, no time (2026-01-31T13:00, in UTC unless it says otherwise; 15m: "
            "15 minutes ago), and neither beginning nor end"
        ) from None
    timestamp = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    return lambda reader, topic: reader.at_time(topic, round(timestamp * 1_000_000))


def _utf8(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """A text that a log can hold: the system hands over any bytes as a word of the command line."""
    try:
        (value or "").encode()
    except UnicodeEncodeError:
        raise click.BadParameter(f"{value!r} is not UTF-8") from None
    return value


@log.command()
@click.argument("topic", callback=_utf8)
@_file_argument
@_log_option
@click.option("--follow", "-f", is_flag=True, help="Wait for more at the end, and for the topic if need be.")
@click.option(
    "--from",
    "start",
    callback=_start,
    default="beginning",
    metavar="WHERE",
    help="An offset, a time (2026-01-31T13:00, or 15m: 15 minutes ago), beginning (the default) or end.",
)
@click.option(
    "--key",
    callback=_utf8,
    metavar="KEY",
    help='Only events of this key: 42, or {"id": 42, "line": 1} if it has more columns.',
)
@click.option("--limit", "-n", type=click.IntRange(min=1), metavar="N", help="Leave after N events.")
@json_option
def read(
    topic: str,
    file: str | None,
    log_path: Path | None,
    follow: bool,
    start: Callable[[Reader, str], int | None],
    key: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """Print the events of TOPIC in order, one a line.

    For people: offset, time of the commit, operation, table, key, fields. With --json: one object a line,
    with key and value as they were delivered.
    """
    if file is not None and file.isprintable() and Path(topic).is_file() and not Path(file).exists():
        topic, file = file, topic  # written in the order of the other commands
    if file is None and log_path is None and topic.endswith((".yaml", ".yml")):
        raise click.UsageError(f"TOPIC is missing before {topic}: tailrace log topics {topic} lists them.")
    with contextlib.closing(_open(topic, _paths(file, log_path), wait=follow)) as reader:
        wanted = _matcher(key)
        width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
        for entries in _pages(reader, topic, start(reader, topic), follow=follow):
            chosen = [entry for entry in entries if wanted(entry)][:limit]
            if as_json:
                click.echo(b"".join(event_json(topic, entry) for entry in chosen), nl=False)
            elif chosen:
                click.echo("\n".join(event_line(entry, width) for entry in chosen))
            if limit is not None:
                limit -= len(chosen)
                if not limit:
                    return


def _pages(reader: Reader, topic: str, offset: int | None, *, follow: bool) -> Iterator[Sequence[Entry]]:
    while True:
        page = reader.read(topic, offset)
        yield page.entries
        offset = page.next
        if page.end:
            if not follow:
                return
            while not reader.wait(_PIPE_SECONDS):
                _leave_if_nobody_reads()


def _leave_if_nobody_reads() -> None:
    """As a write would, for a pipe whose reader left while there is nothing to write."""
    if not sys.stdout.isatty():
        poll = select.poll()
        poll.register(sys.stdout, 0)
        if any(happened & select.POLLERR for _, happened in poll.poll(0)):
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def _open(topic: str, paths: Sequence[Path], *, wait: bool) -> Reader:
    """The first of the logs that holds the topic, once there is one."""
    told = False
    while True:
        try:
            return _first(topic, paths)
        except Stop as error:
            if not wait or error.code not in (NO_LOG, UNKNOWN_TOPIC):
                raise
            if not told:
                click.echo(f"waiting for {topic}: {error}", err=True)
                told = True
        _leave_if_nobody_reads()
        time.sleep(_PIPE_SECONDS)


def _first(topic: str, paths: Sequence[Path]) -> Reader:
    for path in paths:
        reader = None
        try:
            reader = Reader(path)
            reader.end(topic)
            return reader
        except Stop as error:
            if reader is not None:
                reader.close()
            if path == paths[-1] or error.code not in (NO_LOG, UNKNOWN_TOPIC):
                raise
    raise AssertionError("unreachable")


def _paths(file: str | None, log_path: Path | None) -> Sequence[Path]:
    """The logs that the command line speaks of."""
    if (file is None) == (log_path is None):
        raise click.UsageError("Name the log: either --log PATH or a pipeline's FILE.")
    if log_path is not None:
        return [log_path]
    assert file is not None
    config = load(file)
    paths = [
        config.base / sink.block.settings.model_dump()["path"]
        for sink in config.sinks
        if sink.block.type == "log"
    ]
    if not paths:
        raise ConfigurationError(
            NO_LOG_SINK,
            f"its sinks are: {', '.join(sink.block.type for sink in config.sinks)}",
            "Add a sink of type log, or name a log with --log.",
            where=str(config.path),
        )
    return paths


def _matcher(text: str | None) -> Callable[[Entry], bool]:
    """Whether an entry's key is what was written on the command line."""
    if text is None:
        return lambda entry: True
    wanted = decoded(text.encode())

    def matches(entry: Entry) -> bool:
        found = decoded(entry.key)
        if isinstance(found, dict) and len(found) == 1 and not isinstance(wanted, dict):
            (found,) = found.values()
        return found in (wanted, text)

    return matches


def _kept(topic: Topic) -> str:
    hours, size = topic.retention.hours, topic.retention.bytes
    limits = [f"{hours:g} h"] if hours is not None else []
    limits += [show_bytes(size)] if size is not None else []
    return f"  kept: {', '.join(limits)}" if limits else ""


def _as_json(path: Path, topic: Topic) -> dict[str, Any]:
    return {
        "log": str(path),
        "topic": topic.name,
        "first": topic.first,
        "next": topic.next,
        "bytes": topic.bytes,
        "newest": None if topic.timestamp is None else show_time(topic.timestamp),
        "retention_hours": topic.retention.hours,
        "retention_bytes": topic.retention.bytes,
    }
