"""`tailrace teardown`: remove what a pipeline has left on its database and in its targets."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import click

from tailrace.cli.output import file_argument, write
from tailrace.config import PipelineConfig, load, make_sinks, make_source
from tailrace.engine.lock import PipelineLock


@click.command(short_help="Remove what the pipeline keeps on the database, and its positions.")
@file_argument
@click.option("--dry-run", is_flag=True, help="List it, and remove nothing.")
@click.option("--yes", is_flag=True, help="Do not ask.")
def teardown(file: str, dry_run: bool, yes: bool) -> None:
    """Remove what the pipeline keeps on the database, and the stored positions of its sinks.

    The delivered data stays. Whatever the database writes afterwards does not reach the sinks: the next run
    is a first start. Lists everything and asks before it removes anything; refuses while the pipeline runs.
    """
    config = load(file)
    with PipelineLock(config.data_dir, config.name):
        found = asyncio.run(_remove(config, dry_run=True))
        if not found:
            write("nothing is there")
            return
        for line in found:
            write(f"{'would remove' if dry_run else 'to remove:'} {line}")
        if dry_run:
            return
        if not yes:
            click.confirm("Remove all of this?", abort=True, err=True)
        for line in asyncio.run(_remove(config, dry_run=False)):
            write(f"removed {line}")


async def _remove(config: PipelineConfig, *, dry_run: bool) -> Sequence[str]:
    """The slot first: it is what costs the server disk. If this ends halfway, it can be run again."""
    source = make_source(config)
    try:
        lines = [*await source.teardown(dry_run=dry_run)]
    finally:
        await source.close()
    for sink in make_sinks(config):
        try:
            lines += await sink.forget(dry_run=dry_run)
        finally:
            await sink.close()
    return lines
