"""`tailrace schema`: the JSON Schema of a pipeline's file, for editors."""

from __future__ import annotations

import click

from tailrace.cli.output import write_json
from tailrace.config.schema import pipeline_schema


@click.command(short_help="Print the JSON Schema of a pipeline's file, for editors.")
def schema() -> None:
    """Print the JSON Schema of a pipeline's file: every key with its meaning, its values and its default,
    those of all installed plugins included.

    An editor with YAML support completes and checks with it as you type, if the file begins with the line

    \b
      # yaml-language-server: $schema=tailrace.schema.json

    and the schema was written beside it: tailrace schema > tailrace.schema.json
    """
    write_json(pipeline_schema())
