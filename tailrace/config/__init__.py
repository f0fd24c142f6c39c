"""Configuration: a YAML file becomes a `PipelineConfig`, and that becomes a pipeline that can run."""

from tailrace.config.build import build
from tailrace.config.load import load, loads, names
from tailrace.config.model import Block, PipelineConfig, SinkConfig, TransformConfig
from tailrace.config.parts import make_sinks, make_source

__all__ = [
    "Block",
    "PipelineConfig",
    "SinkConfig",
    "TransformConfig",
    "build",
    "load",
    "loads",
    "make_sinks",
    "make_source",
    "names",
]
