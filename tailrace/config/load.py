"""Reads a pipeline's file and tells everything that is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from tailrace import plugins
from tailrace.abc import Declaration, Guarantee
from tailrace.config.document import Document, KeyPath
from tailrace.config.faults import Faults
from tailrace.config.hints import did_you_mean
from tailrace.config.model import (
    Block,
    PipelineConfig,
    PipelineKeys,
    SinkConfig,
    SinkKeys,
    TransformConfig,
    TransformKeys,
)
from tailrace.config.parts import make_sink
from tailrace.config.validation import MISSING_KEY, WRONG_VALUE, check
from tailrace.errors import Code, ConfigurationError, TailraceError, code
from tailrace.patterns import Pattern

NOT_EXACTLY_ONCE = code(
    "TR-CONF-012",
    "the sink cannot deliver exactly once",
    "exactly_once needs a target that stores the checkpoint in one atomic step with the data.",
)
_NAMES: Final = ("name", "data_dir")

NAME_TAKEN = code(
    "TR-CONF-013",
    "name is used twice",
    "Two sinks of one pipeline would share one checkpoint and fence each other.",
)
NOT_ALONE = code(
    "TR-CONF-015",
    "sink type is used twice",
    "A process has only one of what this sink writes to: two would cut into each other's events.",
)


def load(path: str | Path, environment: Mapping[str, str] | None = None) -> PipelineConfig:
    """The configuration in a file, checked as far as can be without connecting to anything.

    `${NAME}` is filled in from `environment` (default: the process's own). Raises ConfigurationError, whose
    `faults` are all the faults of the file.
    """
    faults = Faults()
    document = Document.read(Path(path), os.environ if environment is None else environment, faults)
    return _checked(document, faults)


def loads(text: str, path: str | Path, environment: Mapping[str, str]) -> PipelineConfig:
    """The same for a text that is to stand in the file `path`, which need not exist."""
    faults = Faults()
    return _checked(Document(str(path), text, environment, faults), faults)


def names(path: str | Path, environment: Mapping[str, str] | None = None) -> tuple[str, Path]:
    """What tells a pipeline from others on its machine: the name and the data_dir of a file. Who asks for a
    pipeline that runs need not have the passwords of its file in the environment, nor need the rest of it be
    right. Raises ConfigurationError as `load` does where these two are not."""
    path = Path(path)
    faults = Faults()
    document = Document.read(path, os.environ if environment is None else environment, faults)
    if isinstance(document.data, dict) and not any(document.is_faulty((key,)) for key in _NAMES):
        given = {key: document.data[key] for key in _NAMES if key in document.data}
        keys = check(document, faults, PipelineKeys, {**given, "source": {}, "sinks": [{}]}, ())
        if keys is not None:
            return keys.name, path.absolute().parent / keys.data_dir
    config = load(path, environment)
    return config.name, config.data_dir


def _checked(document: Document, faults: Faults) -> PipelineConfig:
    config = _Loading(document, faults).pipeline(Path(document.file).absolute())
    if config is None or len(faults):
        raise faults.error(document.file)
    return config


class _Loading:
    """One file on its way. Each method returns None after it has told at least one fault."""

    def __init__(self, document: Document, faults: Faults) -> None:
        self._document = document
        self._faults = faults

    def pipeline(self, path: Path) -> PipelineConfig | None:
        data = self._document.data
        if not isinstance(data, dict):
            if not len(self._faults):
                self._faults.add(
                    self._document.place(()),
                    WRONG_VALUE,
                    "the file is empty" if data is None else "the file holds no keys",
                    "Write name:, source: and sinks:.",
                )
            return None
        keys = check(self._document, self._faults, PipelineKeys, data, ())
        source = self._block("sources", data.get("source"), ("source",))
        transforms = self._transforms(data.get("transforms"), ("transforms",))
        sinks = [self._sink(block, index) for index, block in _items(data.get("sinks"))]
        names = [
            block.get("name", block.get("type")) if isinstance(block, dict) else None
            for _, block in _items(data.get("sinks"))
        ]
        self._unique("name", names, NAME_TAKEN, "is called", "Give one of them another name:.")
        alone = [sink.block.type if sink is not None and sink.block.plugin.alone else None for sink in sinks]
        self._unique("type", alone, NOT_ALONE, "is of type", "Keep one of them.")
        data_dir = path.parent / (keys.data_dir if keys else "data")
        default = {"type": "sqlite", "path": str(data_dir / "offsets.db")}
        offsets = self._block("offsets", data.get("offsets", default), ("offsets",))
        for index, sink in enumerate(sinks):
            if sink is not None:
                self._guarantee(sink, ("sinks", index), keys.name if keys else "unnamed", path.parent)
        if keys is None or source is None or offsets is None:
            return None
        return PipelineConfig(
            path=path,
            name=keys.name,
            source=source,
            transforms=transforms,
            sinks=tuple(filter(None, sinks)),
            offsets=offsets,
            data_dir=data_dir,
        )

    def _block(
        self, group: str, values: Any, path: KeyPath, core: type[Declaration] | None = None
    ) -> Block | None:
        """A plugin's block: its type, and the rest as the plugin declares it. `core`: keys that are checked
        elsewhere."""
        if not isinstance(values, dict):
            return None  # told where the keys around it were checked
        kind = values.get("type")
        here = (*path, "type")
        beside = {"type", *(core.model_fields if core else ())}
        if kind is None:
            remedy = f"Installed are: {', '.join(plugins.names(group)) or 'none'}."
            self._faults.add(self._document.place(path), MISSING_KEY, "type", remedy)
            return None
        try:
            plugin = plugins.load(group, str(kind))
        except ConfigurationError as error:
            if not self._document.is_faulty(here):
                known = plugins.names(group) if error.code is plugins.UNKNOWN_PLUGIN else ()
                remedy = f"{did_you_mean(str(kind), known)}{error.remedy}"
                self._faults.add(self._document.place(here), error.code, error.found, remedy)
            return None
        rest = {key: value for key, value in values.items() if key not in beside}
        settings = check(self._document, self._faults, plugin.Settings, rest, path, beside=beside)
        return Block(str(kind), plugin, settings) if settings is not None else None

    def _sink(self, values: Any, index: int) -> SinkConfig | None:
        if not isinstance(values, dict):
            return None
        path = ("sinks", index)
        block = self._block("sinks", values, path, SinkKeys)
        core = {key: value for key, value in values.items() if key in SinkKeys.model_fields}
        kind = str(core.setdefault("type", ""))
        core.setdefault("name", kind or "unnamed")
        keys = check(self._document, self._faults, SinkKeys, core, path)
        form = core.get("format", "debezium")
        format = self._block("formats", {"type": form} if isinstance(form, str) else form, (*path, "format"))
        transforms = self._transforms(values.get("transforms"), (*path, "transforms"))
        if block is None or keys is None or format is None:
            return None
        return SinkConfig(keys.name, block, format, keys.delivery, keys.on_stall, transforms)

    def _transforms(self, values: Any, path: KeyPath) -> tuple[TransformConfig, ...]:
        """Those of a list that are right: of the others faults have been told."""
        made = [self._transform(block, (*path, index)) for index, block in _items(values)]
        return tuple(filter(None, made))

    def _transform(self, values: Any, path: KeyPath) -> TransformConfig | None:
        if not isinstance(values, dict):
            return None
        block = self._block("transforms", values, path, TransformKeys)
        core = {key: value for key, value in values.items() if key in TransformKeys.model_fields}
        core.setdefault("type", "")
        keys = check(self._document, self._faults, TransformKeys, core, path)
        if block is None or keys is None:
            return None
        tables = None if keys.tables is None else tuple(Pattern.parse(one) for one in keys.tables)
        return TransformConfig(block, tables)

    def _unique(self, key: str, values: Iterable[object], code: Code, found: str, remedy: str) -> None:
        """Tell where a sink has the same text as one before it: what each has under the key."""
        seen: dict[str, int] = {}
        for index, value in enumerate(values):
            if not isinstance(value, str):
                continue
            if value in seen:
                first = self._document.place(("sinks", seen[value]))
                place = self._document.place(("sinks", index, key))
                self._faults.add(place, code, f"the sink in line {first.line} {found} {value} too", remedy)
            seen.setdefault(value, index)

    def _guarantee(self, sink: SinkConfig, path: KeyPath, pipeline: str, base: Path) -> None:
        try:
            made = make_sink(sink, pipeline, base)
        except TailraceError as error:
            self._faults.add(self._document.place(path), error.code, error.found, error.remedy)
            return
        if sink.delivery == "exactly_once" and made.guarantee is not Guarantee.EXACTLY_ONCE:
            self._faults.add(
                self._document.place((*path, "delivery")),
                NOT_EXACTLY_ONCE,
                f"{sink.block.type} cannot store the checkpoint in one atomic step with the data: after a "
                "crash it delivers again what came after the last checkpoint",
                "Write delivery: at_least_once, or take a sink that can.",
            )


def _items(values: Any) -> list[tuple[int, Any]]:
    return list(enumerate(values)) if isinstance(values, list) else []
