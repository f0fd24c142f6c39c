"""What the commands have in common that talk to a running pipeline."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Final

import click

from tailrace.config import names
from tailrace.service import control
from tailrace.service.report import Report

_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")

pipeline_argument = click.argument("pipeline", metavar="FILE|NAME")


def ask(pipeline: str, command: str) -> Report:
    """Tell a running pipeline something; its report. A word that is a name and no file is a name."""
    if _NAME.fullmatch(pipeline) and not Path(pipeline).is_file():
        return control.ask(control.find(pipeline), pipeline, command)
    name, data_dir = names(pipeline)
    return control.ask(control.path_of(name, data_dir), name, command, file=shlex.quote(pipeline))
