"""`tailrace validate`: is a file right, as far as can be told without connecting to anything?"""

from __future__ import annotations

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


@click.command(short_help="Check a file, or all files of a folder, offline.")
@click.argument("path", metavar="FILE|DIR", type=click.Path(path_type=Path))
@json_option
def validate(path: Path, as_json: bool) -> None:
    """Check a pipeline's file, or every *.yaml and *.yml of a folder, without connecting to anything.

    Tells every fault at once: its place, its code, and what to do. Exit code 2 if there is one.
    """
    results = _validate(path)
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


def _validate(path: Path) -> list[tuple[Path, PipelineConfig | ConfigurationError]]:
    if not path.is_dir():
        return [(path, _load(path))]
    files = sorted(file for file in path.iterdir() if file.suffix in (".yaml", ".yml") and file.is_file())
    if not files:
        raise ConfigurationError(
            NO_FILES, "no *.yaml and no *.yml", "Name a file, or a folder with some.", where=str(path)
        )
    results: list[tuple[Path, PipelineConfig | ConfigurationError]] = []
    first: dict[str, Path] = {}
    for file in files:
        result = _load(file)
        if isinstance(result, PipelineConfig) and first.setdefault(result.name, file) != file:
            found = f"{first[result.name]} declares {result.name} too"
            result = ConfigurationError(SAME_PIPELINE, found, "Rename one of them.", where=str(file))
        results.append((file, result))
    return results


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
