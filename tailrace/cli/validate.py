"""`tailrace validate`: is a file right, as far as can be told without connecting to anything?"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from tailrace.cli.failure import WRONG_USAGE, report
from tailrace.cli.output import json_option, write, write_json
from tailrace.config import PipelineConfig, load, make_sinks
from tailrace.engine.stored import explanation
from tailrace.errors import ConfigurationError, code

NO_FILES = code(
    "TR-CLI-003", "no configuration there", "The folder holds no file that ends in .yaml or .yml."
)
SAME_PIPELINE = code(
    "TR-CONF-014",
    "two pipelines of one name",
    "Two files of a folder declare the same pipeline; they would share slot, checkpoints and lock.",
)


@click.command(short_help="Check files, or all files of a folder, offline.")
@click.argument("paths", metavar="FILE|DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option
def validate(paths: tuple[Path, ...], as_json: bool) -> None:
    """Check pipelines' files, or every *.yaml and *.yml of a folder, without connecting to anything.

    Tells every fault at once: its place, its code, and what to do. Exit code 2 if there is one.
    """
    results = _validate(paths)
    if as_json:
        write_json([_as_json(file, result) for file, result in results])
    for file, result in results:
        if as_json:
            continue
        if isinstance(result, ConfigurationError):
            report(result, debug=False)
        else:
            sinks = ", ".join(sink.name for sink in result.sinks)
            write(("✓ ", "green"), f"{file}: {result.name}, from {result.source.type} to {sinks}")
            for sink, left_out in _left_out(result).items():
                write(f"  {sink} leaves out {left_out}")
    if any(isinstance(result, ConfigurationError) for _, result in results):
        click.get_current_context().exit(WRONG_USAGE)


def _validate(paths: Sequence[Path]) -> list[tuple[Path, PipelineConfig | ConfigurationError]]:
    """Each file once, in the order in which they are named."""
    files = {file.absolute(): file for path in paths for file in _files(path)}
    results: list[tuple[Path, PipelineConfig | ConfigurationError]] = []
    first: dict[tuple[Path, str], Path] = {}  # of a folder and a name
    for place, file in files.items():
        result = _load(file)
        if isinstance(result, PipelineConfig):
            other = first.setdefault((place.parent, result.name), file)
            if other is not file:
                found = f"{other} declares {result.name} too"
                result = ConfigurationError(SAME_PIPELINE, found, "Rename one of them.", where=str(file))
        results.append((file, result))
    return results


def _files(path: Path) -> Sequence[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    if not files:
        raise ConfigurationError(
            NO_FILES, "no *.yaml and no *.yml", "Name a file, or a folder with some.", where=str(path)
        )
    return files


def _load(file: Path) -> PipelineConfig | ConfigurationError:
    try:
        return load(file)
    except ConfigurationError as error:
        return error


def _left_out(config: PipelineConfig) -> dict[str, str]:
    """Sink → what it does not deliver because its settings say so."""
    told = zip(config.sinks, make_sinks(config), strict=True)
    return {sink.name: left_out for sink, made in told if (left_out := explanation(made).left_out)}


def _as_json(file: Path, result: PipelineConfig | ConfigurationError) -> dict[str, Any]:
    faults = result.faults if isinstance(result, ConfigurationError) else ()
    left_out = _left_out(result) if isinstance(result, PipelineConfig) else {}
    return {
        "file": str(file),
        "pipeline": result.name if isinstance(result, PipelineConfig) else None,
        "valid": not faults,
        **({"left_out": left_out} if left_out else {}),
        "faults": [
            {
                "code": fault.code.id,
                "title": fault.code.title,
                "where": fault.where,
                "found": fault.found,
                "remedy": fault.remedy,
            }
            for fault in faults
        ],
    }
