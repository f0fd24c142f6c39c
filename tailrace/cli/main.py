"""The command `tailrace`: the list of its commands, and what happens when one fails."""

from __future__ import annotations

import difflib
import errno
from importlib import import_module
from typing import Any, Final

import click

from tailrace import __version__
from tailrace.cli.failure import CHECKED_BY_DOCTOR, ERROR_LINES, INTERRUPTED, report
from tailrace.cli.loading import loading
from tailrace.cli.output import prepare_streams

COMMANDS: Final = (
    "demo",
    "init",
    "validate",
    "explain",
    "doctor",
    "run",
    "status",
    "pause",
    "resume",
    "stop",
    "log",
    "offsets",
    "teardown",
    "plugins",
    "schema",
    "completion",
)
"""In the order of the help. Each is a module of this package that holds a click command of the same name."""


class Tailrace(click.Group):
    """Loads a command's module when it is asked for; what a command raises becomes words and an exit code."""

    def main(self, *args: Any, **kwargs: Any) -> Any:
        prepare_streams()
        return super().main(*args, **kwargs)

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        with loading():
            command: click.Command = getattr(import_module(f"tailrace.cli.{cmd_name}"), cmd_name)
        _offer_debug(command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            if not (near := difflib.get_close_matches(args[0], COMMANDS, n=1)):
                raise
            message = f"{error.message.rstrip('.')}. Did you mean {near[0]}?"
            raise click.UsageError(message, ctx) from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)
        except Exception as error:
            if isinstance(error, OSError) and error.errno == errno.EPIPE:
                raise  # who reads our output has left: click ends quietly
            ctx.exit(
                report(
                    error,
                    debug=ctx.meta.get(_DEBUG, False),
                    as_line=ctx.meta.get(ERROR_LINES),
                    file=ctx.meta.get(CHECKED_BY_DOCTOR),
                )
            )


_DEBUG: Final = "tailrace.debug"


def _wants_debug(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_DEBUG] = True  # one mapping for a context and all around it


_debug_option = click.Option(
    ["--debug"],
    is_flag=True,
    expose_value=False,
    callback=_wants_debug,
    help="Show the traceback of an error.",
)


def _offer_debug(command: click.Command) -> None:
    if isinstance(command, click.Group):
        for inner in command.commands.values():
            _offer_debug(inner)
    elif _debug_option not in command.params:
        command.params.append(_debug_option)


@click.group(cls=Tailrace, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="tailrace", message="%(prog)s %(version)s")
def main() -> None:
    """Follow a database's log and deliver every change exactly once.

    A pipeline is one YAML file: a source, and the sinks that it feeds.

    \b
      tailrace demo                     show it at work, on a database of its own
      tailrace init URL -o orders.yaml  look at a database, write a file to start with
      tailrace validate orders.yaml     is the file right?
      tailrace doctor orders.yaml       are database and targets ready for it?
      tailrace run orders.yaml          deliver until Ctrl-C

    Exit codes: 0 done, 1 failed, 2 wrong usage or configuration.
    """
