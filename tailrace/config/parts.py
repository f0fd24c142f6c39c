"""Sources, sinks and transforms out of a configuration. Making them does no I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tailrace.abc import Guarantee, Sink, SinkContext, Source, SourceContext, Transform
from tailrace.config.model import PipelineConfig, SinkConfig, TransformConfig
from tailrace.engine.shaping import Shaping, Step
from tailrace.engine.stored import StoredSink


def make_source(config: PipelineConfig, *, redeliver_transaction: bool = False) -> Source:
    """The pipeline's source."""
    context = SourceContext(config.name, redeliver_transaction, config.base, config.data_dir)
    source: Source = config.source.plugin(config.source.settings, context)
    return source


def make_sink(sink: SinkConfig, pipeline: str, base: Path) -> Sink:
    """A sink as its type made it, with its own guarantee."""
    encoder = sink.format.plugin(sink.format.settings)
    made: Sink = sink.block.plugin(sink.block.settings, SinkContext(pipeline, sink.name, encoder, base))
    return made


def make_sinks(config: PipelineConfig) -> Sequence[Sink]:
    """The pipeline's sinks; those that cannot keep a checkpoint have the offset store at their side."""
    sinks = [make_sink(sink, config.name, config.base) for sink in config.sinks]
    return [
        sink
        if sink.guarantee is Guarantee.EXACTLY_ONCE
        else StoredSink(sink, config.offsets.plugin(config.offsets.settings, config.base))
        for sink in sinks
    ]


def make_shapings(config: PipelineConfig) -> tuple[Sequence[Transform], Mapping[str, Sequence[Transform]]]:
    """The pipeline's transforms, and those of sinks by their identity. Sinks whose transforms are equal have
    the very same, so that a batch is shaped, and encoded, once for all of them."""
    made: list[tuple[tuple[TransformConfig, ...], Sequence[Transform]]] = []

    def shaping(transforms: tuple[TransformConfig, ...]) -> Sequence[Transform]:
        for known, shared in made:
            if known == transforms and _orders(known) == _orders(transforms):
                return shared
        made.append((transforms, _shaping(transforms)))
        return made[-1][1]

    of_sinks = {f"{config.name}/{sink.name}": shaping(sink.transforms) for sink in config.sinks}
    return _shaping(config.transforms), of_sinks


def _orders(transforms: Sequence[TransformConfig]) -> list[str]:
    """Their settings with the order of what they map, of which a transform may take the first that matches;
    to be equal takes none."""
    return [repr(one.block.settings) for one in transforms]


def _shaping(transforms: Sequence[TransformConfig]) -> Sequence[Transform]:
    steps = [Step(one.block.plugin(one.block.settings), one.tables) for one in transforms]
    return [Shaping(steps)] if steps else []
