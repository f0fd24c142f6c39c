"""Sources and sinks out of a configuration. Making them does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tailrace.abc import Guarantee, Sink, SinkContext, Source, SourceContext
from tailrace.config.model import PipelineConfig, SinkConfig
from tailrace.engine.stored import StoredSink


def make_source(config: PipelineConfig, *, redeliver_transaction: bool = False) -> Source:
    """The pipeline's source."""
    context = SourceContext(config.name, redeliver_transaction)
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
