"""`tailrace offsets`: the stored position of each sink, shown, set or removed."""

from __future__ import annotations

import asyncio
import shlex
import uuid
from collections.abc import Iterable

import click
import msgspec

from tailrace.abc import Sink, Source
from tailrace.checkpoint import Checkpoint, Owner, show_position
from tailrace.cli.completion import complete_sink
from tailrace.cli.output import file_argument, json_option, write, write_json
from tailrace.cli.positions import show_checkpoint
from tailrace.config import PipelineConfig, load, make_sinks, make_source
from tailrace.engine.lock import PipelineLock
from tailrace.engine.started import StartedMark
from tailrace.errors import ConfigurationError, Diverged, Gap, TailraceError, code

NO_SUCH_SINK = code("TR-CLI-010", "no such sink", "The pipeline has no sink of the name that was given.")
NOT_A_POSITION = code(
    "TR-CLI-011",
    "not a log position",
    "The source cannot read the position that was given on the command line.",
)

_sink_option = click.option(
    "--sink",
    "name",
    metavar="NAME",
    shell_complete=complete_sink,
    help="Only the sink of this name.",
)
_dry_run_option = click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")


@click.group(short_help="Show, set or remove the stored position of each sink.")
def offsets() -> None:
    """Show, set or remove the position up to which each sink has everything.

    It is stored with the sink's own data. `set` and `reset` refuse while the pipeline runs.
    """


@offsets.command()
@file_argument
@_sink_option
@json_option
def show(file: str, name: str | None, as_json: bool) -> None:
    """Show where each sink stands. May run beside the pipeline itself."""
    config = load(file)
    checkpoints = asyncio.run(_peek(_chosen(config, name)))
    if as_json:
        write_json(
            {
                "pipeline": config.name,
                "sinks": {sink: msgspec.to_builtins(checkpoint) for sink, checkpoint in checkpoints.items()},
            }
        )
        return
    for sink, checkpoint in checkpoints.items():
        write((sink, "bold"), f"  {show_checkpoint(checkpoint)}")
        if checkpoint is not None and checkpoint.identity is not None:
            identity = checkpoint.identity
            write(f"  {identity}; commit {checkpoint.sequence}, by {checkpoint.owner}")


@offsets.command("set")
@file_argument
@_sink_option
@click.option(
    "--at",
    "text",
    metavar="POSITION",
    required=True,
    help="As the database writes it: 0/16B3748; a GTID set; binlog.000003:1234.",
)
@_dry_run_option
@json_option
def set_(file: str, name: str | None, text: str, dry_run: bool, as_json: bool) -> None:
    """Let a sink (default: all) continue with what follows POSITION.

    POSITION lies between two transactions. The place of a single event, as the header tailrace.position has
    it, is refused: of PostgreSQL with the position from which the event's transaction is delivered whole, of
    MySQL and MariaDB with where the transaction's own place stands.

    The source must still hold everything that follows. What lies between the old and the new position is left
    out when the new one is later, and delivered again when it is earlier.
    """
    config = load(file)
    sinks = _chosen(config, name)
    with PipelineLock(config.data_dir, config.name):
        changes = asyncio.run(_set(make_source(config), sinks, text, dry_run=dry_run))
    if as_json:
        moved = {
            sink: {"from": old.position if old else None, "to": new.position}
            for sink, (old, new) in changes.items()
        }
        write_json({"pipeline": config.name, "dry_run": dry_run, "sinks": moved})
        return
    for sink, (old, new) in changes.items():
        continues = "would continue" if dry_run else "continues"
        write(
            (sink, "bold"),
            f"  {continues} with what follows {show_checkpoint(new)}; was: {show_checkpoint(old)}",
        )


@offsets.command()
@file_argument
@_sink_option
@_dry_run_option
@json_option
def reset(file: str, name: str | None, dry_run: bool, as_json: bool) -> None:
    """Remove the stored position of a sink (default: all). The delivered data stays.

    A pipeline whose server still keeps the log for it, in a slot, does not start without positions: `tailrace
    teardown` is the way to begin anew, `offsets set` the way to go on elsewhere. Any other begins with what
    changes from its next start on; where its positions were lost, this is how that is allowed.
    """
    config = load(file)
    sinks = _chosen(config, name)
    with PipelineLock(config.data_dir, config.name):
        removed = asyncio.run(_forget(sinks, dry_run=dry_run))
        removed += StartedMark(config.data_dir, config.name).forget(dry_run=dry_run)
    if as_json:
        write_json({"pipeline": config.name, "dry_run": dry_run, "removed": removed})
        return
    for line in removed:
        write(f"{'would remove' if dry_run else 'removed'} {line}")
    if not removed:
        write("nothing is stored")
        return
    here = shlex.quote(file)
    write(
        f"the next run {'would be' if dry_run else 'is'} refused if the server still keeps its log for the "
        "pipeline, in a slot; else it begins where the log ends by then, and what changed since the removed "
        f"position is not delivered. Set one (tailrace offsets set {here} --at POSITION) or begin anew "
        f"(tailrace teardown {here})"
    )


def _chosen(config: PipelineConfig, name: str | None) -> dict[str, Sink]:
    """The pipeline's sinks by name, or the one that was asked for."""
    sinks = {sink.identity.partition("/")[2]: sink for sink in make_sinks(config)}
    if name is None:
        return sinks
    if name not in sinks:
        raise ConfigurationError(
            NO_SUCH_SINK,
            f"{config.name} has no sink {name!r}",
            f"Its sinks are: {', '.join(sinks)}.",
            where=str(config.path),
        )
    return {name: sinks[name]}


async def _peek(sinks: dict[str, Sink]) -> dict[str, Checkpoint | None]:
    try:
        return {name: await sink.peek() for name, sink in sinks.items()}
    finally:
        await _close(sinks.values())


async def _set(
    source: Source, sinks: dict[str, Sink], text: str, *, dry_run: bool
) -> dict[str, tuple[Checkpoint | None, Checkpoint]]:
    try:
        position = source.parse(text)
    except ValueError as error:
        raise ConfigurationError(NOT_A_POSITION, str(error), "Write it as the database shows it.") from None
    try:
        identity = await source.identify()
        stored = {name: await sink.peek() for name, sink in sinks.items()}
        starts = [checkpoint.start for checkpoint in stored.values() if checkpoint and checkpoint.start]
        start = starts[0] if starts else str(uuid.uuid4())
        wanted = {
            name: Checkpoint(
                Owner.this_process(),
                sequence=checkpoint.sequence + 1 if checkpoint else 1,
                start=checkpoint.start if checkpoint and checkpoint.start else start,
                identity=identity,
                fingerprint=source.fingerprint,
                origin=position,
                position=position,
            )
            for name, checkpoint in stored.items()
        }
        for new in wanted.values():
            await _verify(source, new)
        if not dry_run:
            for name, new in wanted.items():
                await sinks[name].store(new)
        return {name: (stored[name], new) for name, new in wanted.items()}
    finally:
        await source.close()
        await _close(sinks.values())


async def _verify(source: Source, wanted: Checkpoint) -> None:
    """Refuse a position as a start would. What a start tells to do is only right where no other position
    will do, not even the log's end."""
    try:
        await source.verify(wanted)
    except (Gap, Diverged) as error:
        remedy = "Give a position that the server can go on from."
        try:
            end = await source.current()
            await source.verify(msgspec.structs.replace(wanted, origin=end, position=end))
            remedy += f" At the latest that is the end of its log: {show_position(end)}."
        except (Gap, Diverged):
            raise error from None
        except TailraceError:  # the end is not to be seen now
            pass
        raise type(error)(error.code, error.found, remedy, where=error.where) from error


async def _forget(sinks: dict[str, Sink], *, dry_run: bool) -> list[str]:
    try:
        return [line for sink in sinks.values() for line in await sink.forget(dry_run=dry_run)]
    finally:
        await _close(sinks.values())


async def _close(sinks: Iterable[Sink]) -> None:
    for sink in sinks:
        await sink.close()
