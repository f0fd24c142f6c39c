"""A pipeline that can run, out of a configuration."""

from __future__ import annotations

from tailrace.config.model import PipelineConfig
from tailrace.config.parts import make_shapings, make_sinks, make_source
from tailrace.engine.pipeline import Pipeline


def build(config: PipelineConfig, *, redeliver_transaction: bool = False) -> Pipeline:
    """The pipeline, ready for `run`. Nothing is connected yet."""
    source = make_source(config, redeliver_transaction=redeliver_transaction)
    transforms, sink_transforms = make_shapings(config)
    return Pipeline(
        config.name,
        source,
        make_sinks(config),
        data_dir=config.data_dir,
        transforms=transforms,
        sink_transforms=sink_transforms,
    )
