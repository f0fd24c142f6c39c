"""What a pipeline's file declares: the keys that the core knows, and blocks that belong to plugins."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, Field, WithJsonSchema, field_validator
from pydantic_core import PydanticCustomError

from tailrace.abc import Declaration, not_available
from tailrace.patterns import Pattern, TablePatternText

# At most 50 characters: PostgreSQL cuts names at 63 bytes, and `tailrace_` stands before this one.
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        near = re.sub(r"[^a-z0-9_]+", "_", name.lower())
        hint = f": write {near}" if _NAME.fullmatch(near) else ""
        raise PydanticCustomError(
            "name",
            "A name has a-z, 0-9 and _, begins with a letter and is at most 50 characters long{hint}",
            {"hint": hint},
        )
    return name


Name = Annotated[
    str, AfterValidator(_check_name), WithJsonSchema({"type": "string", "pattern": f"^{_NAME.pattern}$"})
]


class PipelineKeys(Declaration):
    """The top of the file."""

    name: Name = Field(description="Name of the pipeline, and of everything that belongs to it on a server.")
    source: dict[str, Any] = Field(description="Where changes come from: `type`, and that type's settings.")
    transforms: list[dict[str, Any]] = Field(
        default=[],
        description="What changes on the way, in order: `type`, `tables` and that type's settings.",
    )
    sinks: list[dict[str, Any]] = Field(
        min_length=1,
        description="Where changes go: for each a `type`, the keys below and its type's settings.",
    )
    offsets: dict[str, Any] = Field(
        default={},
        description="Where checkpoints of sinks are kept that cannot keep their own. "
        "Default: `{type: sqlite, path: <data_dir>/offsets.db}`.",
    )
    data_dir: Path = Field(
        default=Path("data"), description="Folder for what this machine keeps; relative to the file."
    )


class SinkKeys(Declaration):
    """What every sink's block may hold beside its type's own settings."""

    type: str = Field(description="Which sink.")
    name: Name = Field(
        description="Names the sink's checkpoint; unique in the file. Default: its type.",
    )
    format: str | dict[str, Any] = Field(
        default="debezium",
        description="How changes become bytes: a format's name, or `type` and that type's settings.",
    )
    delivery: Literal["exactly_once", "at_least_once"] | None = Field(
        default=None,
        description="The least that is asked of this sink; refused where the sink cannot keep it. "
        "Default: the strongest that it can keep.",
    )
    on_stall: Literal["block"] = Field(
        default="block",
        description="When this sink stands still the others wait, and the source keeps its log.",
    )
    transforms: list[dict[str, Any]] = Field(
        default=[],
        description="What changes on the way to this sink alone, behind the pipeline's `transforms`: `type`, "
        "`tables` and that type's settings.",
    )

    @field_validator("delivery", mode="before")
    @classmethod
    def _refuse_at_most_once(cls, value: object) -> object:
        if value == "at_most_once":
            raise not_available(
                "delivery: at_most_once",
                "Use exactly_once or at_least_once.",
            )
        return value

    @field_validator("on_stall", mode="before")
    @classmethod
    def _refuse_detach_and_spill(cls, value: object) -> object:
        if value in ("detach", "spill"):
            raise not_available(f"on_stall: {value}", "Use block.")
        return value


class TransformKeys(Declaration):
    """What every transform's block may hold beside its type's own settings."""

    type: str = Field(description="Which transform.")
    tables: tuple[TablePatternText, ...] | None = Field(
        default=None,
        min_length=1,
        description="Patterns of the tables that it is for, written like those of the source, by the names "
        "that the transforms before it have given. Default: all tables.",
    )


@dataclass(frozen=True, slots=True)
class Block:
    """A plugin and its settings, as the plugin's own declaration has validated them."""

    type: str
    plugin: Any  # the class that the entry point names; called with the settings and a context
    settings: Declaration


@dataclass(frozen=True, slots=True)
class TransformConfig:
    """One transform of a pipeline or of a sink."""

    block: Block
    tables: tuple[Pattern, ...] | None  # None: all


@dataclass(frozen=True, slots=True)
class SinkConfig:
    """One sink of a pipeline."""

    name: str
    block: Block
    format: Block
    delivery: Literal["exactly_once", "at_least_once"] | None  # None: the strongest that the sink keeps
    on_stall: Literal["block"]
    transforms: tuple[TransformConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class PipelineConfig:
    """A whole file, valid. Paths are absolute here; those in plugins' settings are relative to `base`."""

    path: Path
    name: str
    source: Block
    transforms: tuple[TransformConfig, ...]
    sinks: tuple[SinkConfig, ...]
    offsets: Block
    data_dir: Path

    @property
    def base(self) -> Path:
        """The folder that relative paths in the file are relative to."""
        return self.path.parent
