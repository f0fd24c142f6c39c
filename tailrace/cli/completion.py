"""`tailrace completion`: the script with which a shell completes commands, options and values."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from typing import Final

import click
from click.shell_completion import CompletionItem, get_completion_class, split_arg_string

from tailrace import plugins
from tailrace.config import load
from tailrace.errors import ConfigurationError

_VARIABLE: Final = "_TAILRACE_COMPLETE"  # what click looks for in a program of this name


@click.command(short_help="Print the completion script of a shell.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that makes a shell complete tailrace's commands, options and values.

    \b
      bash   tailrace completion bash > ~/.local/share/bash-completion/completions/tailrace
      zsh    tailrace completion zsh > "${fpath[1]}/_tailrace"
      fish   tailrace completion fish > ~/.config/fish/completions/tailrace.fish

    A new shell reads it. bash must be 4.4 or later.
    """
    found = get_completion_class(shell)
    assert found is not None, shell  # one of the choices
    click.echo(found(ctx.find_root().command, {}, "tailrace", _VARIABLE).source())


def complete_sink(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The names of the sinks in the FILE that stands on the line already. An option without its value keeps
    click from reading the line, hence the words themselves are looked at."""
    for word in split_arg_string(os.environ.get("COMP_WORDS", "")):
        if word.endswith((".yaml", ".yml")):
            with contextlib.suppress(ConfigurationError, OSError):
                return _items([sink.name for sink in load(word).sinks], incomplete)
    return []


def complete_source_type(_: click.Context, __: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The installed sources."""
    return _items(plugins.names("sources"), incomplete)


def _items(words: Iterable[str], incomplete: str) -> list[CompletionItem]:
    return [CompletionItem(word) for word in words if word.startswith(incomplete)]
