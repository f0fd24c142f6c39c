"""`tailrace teardown`: remove what a pipeline has left on its database and in its targets."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

import click

from tailrace.cli.lines import log_as_words
from tailrace.cli.output import file_argument, write
from tailrace.config import PipelineConfig, load, make_sinks, make_source
from tailrace.engine.lock import PipelineLock
from tailrace.engine.started import StartedMark
from tailrace.errors import TailraceError
from tailrace.redact import redact


@click.command(short_help="Remove what the pipeline keeps on the database, and its positions.")
@file_argument
@click.option("--dry-run", is_flag=True, help="List it, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def teardown(file: str, dry_run: bool, yes: bool) -> None:
    """Remove what the pipeline keeps on the database, and the stored positions of its sinks.

    The delivered data stays. Whatever the database writes afterwards does not reach the sinks: the next run
    is a first start. Lists everything and asks before it removes anything; refuses while the pipeline runs.
    A sink that cannot be looked at keeps its position, and the exit code is 1; all the rest is removed.
    """
    log_as_words()
    config = load(file)
    with PipelineLock(config.data_dir, config.name):
        found, failed = asyncio.run(_remove(config, dry_run=True))
        if not found and not failed:
            write("nothing is there")
        for line in found:
            write(f"{'would remove' if dry_run else 'to remove:'} {line}")
        _tell(failed)
        if found and not dry_run:
            if not yes:
                click.confirm("Remove all of this?", abort=True, err=True)
            removed, failed_since = asyncio.run(_remove(config, dry_run=False, leave=failed))
            for line in removed:
                write(f"removed {line}")
            _tell(failed_since)
            failed = {**failed, **failed_since}
    for error in failed.values():
        raise error


async def _remove(
    config: PipelineConfig, *, dry_run: bool, leave: Collection[str] = ()
) -> tuple[Sequence[str], Mapping[str, TailraceError]]:
    """The slot first: it is what costs the server disk. If this ends halfway, it can be run again. Also the
    sinks that failed, by identity; those to leave were listed as such, and nobody agreed to more."""
    source = make_source(config)
    try:
        lines = [*await source.teardown(dry_run=dry_run)]
    finally:
        await source.close()
    failed: dict[str, TailraceError] = {}
    for sink in make_sinks(config):
        if sink.identity in leave:
            continue
        try:
            lines += await sink.forget(dry_run=dry_run)
        except TailraceError as error:
            failed[sink.identity] = error
        finally:
            await sink.close()
    if not failed and not leave:  # a position that is left is one to go on from
        lines += StartedMark(config.data_dir, config.name).forget(dry_run=dry_run)
    return lines, failed


def _tell(failed: Mapping[str, TailraceError]) -> None:
    for identity, error in failed.items():
        write(f"{identity} cannot be looked at: {redact(str(error))}")
