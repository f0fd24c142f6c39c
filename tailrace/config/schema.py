"""The JSON Schema of a pipeline's file, for editors: what the core and all installed plugins declare.

A help while writing, and never stricter than `load`: what that takes passes here. The other way round only
`load` knows everything, such as what a table's pattern looks like.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

from tailrace import plugins
from tailrace.abc import Declaration
from tailrace.config.model import PipelineKeys, SinkKeys, TransformKeys
from tailrace.errors import ConfigurationError

Schema: TypeAlias = dict[str, Any]

# A reference to a variable may stand for any scalar; the file is read before it is filled in.
_REFERENCE: Final[Schema] = {"type": "string", "pattern": r"\$\{"}
_TEXTS: Final = ("integer", "number", "boolean")


def pipeline_schema() -> Schema:
    """The schema, of draft 2020-12; blocks are told apart by their `type`. Plugins that cannot be loaded are
    left out."""
    definitions: Schema = {}
    file = _object(PipelineKeys, "file", definitions)
    keys = _object(SinkKeys, "sink", definitions)
    properties = file["properties"]
    properties["source"] = _described(properties["source"], _block("sources", definitions))
    properties["offsets"] = _described(properties["offsets"], _block("offsets", definitions))
    tables = _object(TransformKeys, "transform", definitions)["properties"]["tables"]
    transform = _block("transforms", definitions, {"tables": tables})
    properties["transforms"]["items"] = keys["properties"]["transforms"]["items"] = transform
    format = keys["properties"]["format"]
    names = {"enum": plugins.names("formats")}
    format["anyOf"] = [names, _REFERENCE, _block("formats", definitions)]
    del keys["properties"]["type"]
    properties["sinks"]["items"] = _block("sinks", definitions, keys["properties"])
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "A pipeline of tailrace",
        **file,
        "$defs": definitions,
    }


def _block(group: str, definitions: Schema, beside: Mapping[str, Any] = {}) -> Schema:
    """A mapping with a `type`, and what the plugin of that type declares, beside keys of the core."""
    known = [(name, definition) for name, definition in _declared(group)]
    branches = []
    for name, declaration in known:
        key = f"{group}.{name}"
        made = _object(declaration, key, definitions)
        made["properties"] = {"type": {"const": name}, **beside, **made["properties"]}
        definitions[key] = made
        branches.append(
            {
                "if": {"properties": {"type": {"const": name}}, "required": ["type"]},
                "then": {"$ref": f"#/$defs/{key}"},
            }
        )
    return {
        "type": "object",
        "properties": {"type": {"enum": [name for name, _ in known]}},
        "required": ["type"],
        **({"allOf": branches} if branches else {}),
    }


def _declared(group: str) -> Iterator[tuple[str, type[Declaration]]]:
    for name in plugins.names(group):
        try:
            yield name, plugins.load(group, name).Settings
        except ConfigurationError:
            continue


def _object(declaration: type[Declaration], key: str, definitions: Schema) -> Schema:
    """A declaration's own schema; what it refers to goes to the definitions under names of its own."""
    schema = declaration.model_json_schema(ref_template=f"#/$defs/{key}:{{model}}")
    for model, nested in schema.pop("$defs", {}).items():
        definitions[f"{key}:{model}"] = _eased(nested)
    eased: Schema = _eased(schema)
    return {"properties": {}, **eased}


def _eased(node: Any) -> Any:
    """The schema without titles that only repeat names, and with references to variables allowed wherever a
    scalar is not any text."""
    if isinstance(node, list):
        return [_eased(item) for item in node]
    if not isinstance(node, dict):
        return node
    eased = {
        key: {name: _eased(field) for name, field in value.items()} if key == "properties" else _eased(value)
        for key, value in node.items()
        if key != "title" or not isinstance(value, str)
    }
    if _is_scalar(eased):
        about = {key: eased.pop(key) for key in ("description", "default") if key in eased}
        return {**about, "anyOf": [eased, _REFERENCE]}
    return eased


def _is_scalar(node: Schema) -> bool:
    """Whether it takes scalars, but not every text."""
    if "enum" in node or "const" in node or node.get("type") in _TEXTS:
        return True
    return node.get("type") == "string" and bool(node.keys() & {"pattern", "minLength", "maxLength"})


def _described(field: Schema, block: Schema) -> Schema:
    about = {key: field[key] for key in ("description",) if key in field}
    return {**about, **block}
