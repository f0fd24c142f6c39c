"""`tailrace explain`: what a pipeline promises, why it holds, and what it leaves where. Offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import click

from tailrace.abc import Explanation, Guarantee
from tailrace.cli.output import file_argument, json_option, write, write_json
from tailrace.config import PipelineConfig, SinkConfig, TransformConfig, load, make_sinks, make_source
from tailrace.engine.stored import explanation

# What the engine does is the same for all sinks of a guarantee; instants in the order in which they come.
_BEFORE: Final = "while changes are read or written"
_ACKNOWLEDGED: Final = (
    "after that, before the source is told",
    "the source sends it again, and what the checkpoint covers is dropped: nothing twice",
)
_CRASHES: Final[Mapping[Guarantee, Sequence[tuple[str, str]]]] = {
    Guarantee.EXACTLY_ONCE: (
        (
            _BEFORE,
            "the target discards what was not committed; the next start reads it again behind the checkpoint",
        ),
        (
            "while a commit is under way",
            "the checkpoint in the target tells whether it took effect; only if not, the changes are written "
            "again",
        ),
        _ACKNOWLEDGED,
    ),
    Guarantee.AT_LEAST_ONCE: (
        (
            _BEFORE,
            "the next start reads them again behind the checkpoint; what the target had taken arrives twice",
        ),
        (
            "after the target has them, before the checkpoint is saved",
            "everything since the last checkpoint arrives again",
        ),
        _ACKNOWLEDGED,
    ),
}
_FIRST_START: Final = (
    "in a first start",
    "the next start finishes it or begins it anew: nothing flows before every sink holds its position",
)


@dataclass(frozen=True, slots=True)
class _Part:
    name: str
    type: str
    explanation: Explanation


@click.command(short_help="Say what a pipeline promises and why, offline.")
@file_argument
@json_option
def explain(file: str, as_json: bool) -> None:
    """Say what a pipeline promises and why, without connecting to anything: for each sink the guarantee and
    what it rests on, what is stored where, what is made on servers, and what a crash does at each instant.
    """
    config = load(file)
    source = _Part("source", config.source.type, explanation(make_source(config)))
    sinks = [
        (_Part(declared.name, declared.block.type, explanation(made)), made.guarantee)
        for declared, made in zip(config.sinks, make_sinks(config), strict=True)
    ]
    if as_json:
        write_json(_as_json(config, source, sinks))
        return
    write((config.name, "bold"), f" ({config.path})")
    write(f"  on this machine   {_lock(config)}: one process at a time")
    write(("source", "bold"), f", {source.type}")
    _print(source.explanation)
    _shaped(config.transforms)
    for declared, (part, guarantee) in zip(config.sinks, sinks, strict=True):
        promised = (_guarantee(guarantee), "bold")
        write((f"sink {part.name}", "bold"), f", {part.type}: ", promised, _asked(declared))
        write(f"  format            {declared.format.type}")
        _shaped(declared.transforms)
        _print(part.explanation)
        write("  a crash")
        for when, what in (_FIRST_START, *_CRASHES[guarantee]):
            write((f"    {when}", "dim"))
            write(f"      → {what}")


def _guarantee(guarantee: Guarantee) -> str:
    return guarantee.value.replace("_", " ")


def _asked(declared: SinkConfig) -> str:
    if declared.delivery is None or declared.delivery == "exactly_once":
        return ""
    return f" ({declared.delivery} is asked for)"


def _print(explanation: Explanation) -> None:
    if explanation.left_out:
        write(f"  but for           {explanation.left_out}")
    if explanation.unit:
        write(f"  durable together  {explanation.unit}")
    if explanation.fence:
        write(f"  two processes     {explanation.fence}")
    for title, places in (("stored", explanation.stored), ("made", explanation.made)):
        for place, what in places.items():
            write(f"  {title:<16}  {place}: {what}")


def _shaped(transforms: Sequence[TransformConfig]) -> None:
    """What changes, or leaves out, events on their way: in the order in which it does."""
    if transforms:
        write(f"  shaped by         {', '.join(_transforms(transforms))}")


def _transforms(transforms: Sequence[TransformConfig]) -> list[str]:
    return [transform.block.type for transform in transforms]


def _lock(config: PipelineConfig) -> str:
    return str(config.data_dir / f"{config.name}.lock")


def _as_json(
    config: PipelineConfig, source: _Part, sinks: Sequence[tuple[_Part, Guarantee]]
) -> dict[str, Any]:
    return {
        "pipeline": config.name,
        "lock": _lock(config),
        "source": {"type": source.type, **asdict(source.explanation)},
        "transforms": _transforms(config.transforms),
        "sinks": {
            part.name: {
                "type": part.type,
                "format": declared.format.type,
                "transforms": _transforms(declared.transforms),
                "guarantee": guarantee.value,
                **asdict(part.explanation),
                "crashes": dict((_FIRST_START, *_CRASHES[guarantee])),
            }
            for declared, (part, guarantee) in zip(config.sinks, sinks, strict=True)
        },
    }
