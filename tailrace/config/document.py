"""A YAML file as plain values, each with the place where it stands.

Scalars are read as YAML 1.2 has them: `true` and `false` are the only booleans, `no`, `on` and `12:30` are
text. Keys are text, and none stands twice in a mapping. Anchors, aliases and merge keys (`<<`) work; what is
merged in yields to what the mapping says itself. A value that is filled in from the environment is text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias

import yaml

from tailrace.config.environment import Substitution
from tailrace.config.faults import Faults, Place
from tailrace.errors import Code, ConfigurationError, code

UNREADABLE_FILE = code(
    "TR-CONF-001", "file cannot be read", "The configuration file does not exist or may not be read."
)
NOT_YAML = code(
    "TR-CONF-002", "not YAML", "The file breaks the rules of YAML, so nothing in it can be trusted."
)
DUPLICATE_KEY = code(
    "TR-CONF-003",
    "key stands twice",
    "A mapping holds the same key twice. YAML readers silently take the last; here neither is taken.",
)

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way from the top of the file to a value: keys of mappings and indexes of lists."""

_TAG: Final = "tag:yaml.org,2002:"
# The library quotes what it cannot read; a password that begins with * or ! reads like an alias or a tag.
_QUOTED: Final = re.compile(r"""(['"])(?!<).{2,}\1""")
_MOST_VALUES: Final = 100_000  # an alias of aliases of aliases would otherwise fill the memory
_DEEPEST: Final = 100  # values within values, or merges within merges
_UNUSABLE: Final = re.compile(r"[\x00\ud800-\udfff]")  # no file name, no server and no output takes these


class _Unbounded(Exception):
    """Aliases make more of the file than anybody can have meant."""

    def __init__(self, found: str, node: yaml.Node) -> None:
        self.found = found
        self.node = node


class _Loader(yaml.SafeLoader):
    """Resolves plain scalars by the core schema of YAML 1.2 instead of the rules of YAML 1.1."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML declares it as this, and copies none of its own into it

    def get_single_node(self) -> yaml.Node | None:
        try:
            return super().get_single_node()
        except (OverflowError, ValueError):  # how the library fails at "\UFFFFFFFF"
            raise yaml.MarkedYAMLError(
                problem="a number out of range", problem_mark=self.get_mark()
            ) from None


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?[0-9]{1,1000}|0o[0-7]{1,1000}|0x[0-9a-fA-F]{1,1000}", list("-+0123456789")),
    (
        "float",
        r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+"
        r"|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        list("-+.0123456789"),
    ),
    ("merge", r"<<", ["<"]),
):
    _Loader.add_implicit_resolver(f"{_TAG}{_tag}", re.compile(rf"^(?:{_pattern})$"), _first)


class Document:
    """A file that was read. What is wrong with it as YAML goes to `faults`; `data` holds what could be read
    all the same."""

    def __init__(self, file: str, text: str | bytes, environment: Mapping[str, str], faults: Faults) -> None:
        self.file = file
        self.data: Any = None
        self._faults = faults
        self.substitution = Substitution(environment)
        self._faulty: set[KeyPath] = set()
        self._values: dict[KeyPath, Place] = {}
        self._keys: dict[KeyPath, Place] = {}
        self._written: dict[KeyPath, str] = {}
        self._open: set[int] = set()  # nodes that are being read: an alias to one of them is a circle
        self._count = 0  # of values, with what was merged in on the way to them
        try:
            root = yaml.compose(text, Loader=_Loader)
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            found = _QUOTED.sub("…", " ".join(filter(None, (error.context, error.problem))))
            line = mark.line if mark else 0
            lines = text.decode(errors="replace") if isinstance(text, bytes) else text
            self._syntax(
                found,
                Place(file, line + 1, mark.column + 1 if mark else 1),
                (lines.splitlines()[line : line + 1] or [""])[0],
            )
        except yaml.reader.ReaderError as error:
            self._syntax(f"byte or character {error.position}: {error.reason}", Place(file, 1, 1))
        except RecursionError:
            self._syntax("nested too deep", Place(file, 1, 1))
        else:
            self._values[()] = Place(file, 1, 1)
            try:
                self.data = None if root is None else self._read(root, ())
            except _Unbounded as error:
                place = self._place(error.node)
                self._fault((), place, NOT_YAML, error.found, "Write the values out.")

    @classmethod
    def read(cls, path: Path, environment: Mapping[str, str], faults: Faults) -> Document:
        """Read a file. ConfigurationError if it cannot be opened."""
        try:
            text = path.read_bytes()
        except OSError as error:
            raise ConfigurationError(
                UNREADABLE_FILE,
                error.strerror or str(error),
                "Check the path and its permissions.",
                where=str(path),
            ) from None
        return cls(str(path), text, environment, faults)

    def place(self, path: KeyPath) -> Place:
        """Where the value stands, or the nearest value around it that is there."""
        while path not in self._values:
            path = path[:-1]
        return self._values[path]

    def key_place(self, path: KeyPath) -> Place:
        """Where the key of the value stands; for an item of a list, the item."""
        return self._keys.get(path) or self.place(path)

    def __contains__(self, path: KeyPath) -> bool:
        return path in self._values

    def written(self, path: KeyPath) -> str | None:
        """The scalar as it stands in the file, references not filled in. None for mappings and lists."""
        return self._written.get(path)

    def is_faulty(self, path: KeyPath) -> bool:
        """Whether a fault in this value, around it or inside of it has been told already."""
        return any(path[: len(fault)] == fault or fault[: len(path)] == path for fault in self._faulty)

    def _fault(self, path: KeyPath, place: Place, code: Code, found: str, remedy: str) -> None:
        self._faults.add(place, code, found, remedy)
        self._faulty.add(path)

    def _syntax(self, found: str, place: Place, line: str = "") -> None:
        remedy = "Mind indentation (spaces only), quotes and brackets there."
        if "alias" in found:
            remedy = (
                'Quote patterns that begin with *: "*.orders". An alias needs its anchor (&name) before it.'
            )
        if "escape character" in found:
            remedy = "In double quotes a \\ begins an escape: put the text in single quotes."
        if "${" in line and ("{" in line.replace("${", "") or "[" in line):
            remedy = 'Inside of { } and [ ] a reference stands in quotes: "${NAME}".'
        self._fault((), place, NOT_YAML, found, remedy)

    def _read(self, node: yaml.Node, path: KeyPath) -> Any:
        place = self._values[path] = self._place(node)
        self._bound(node, 1)
        if id(node) in self._open:
            self._fault(path, place, NOT_YAML, "aliases without an end", "Write the values out.")
            return None
        match node:
            case yaml.MappingNode():
                self._open.add(id(node))
                value: Any = {}
                for name, (key, child) in self._entries(node, path).items():
                    self._keys[(*path, name)] = self._place(key)
                    value[name] = self._read(child, (*path, name))
                self._open.remove(id(node))
            case yaml.SequenceNode():
                self._open.add(id(node))
                value = [self._read(child, (*path, index)) for index, child in enumerate(node.value)]
                self._open.remove(id(node))
            case _:
                self._written[path] = node.value
                value = self._scalar(node, path, place)
        return value

    def _bound(self, node: yaml.Node, more: int) -> None:
        """Count `more` values at a node that is about to be read or was merged."""
        self._count += more
        if self._count > _MOST_VALUES:
            raise _Unbounded("aliases without an end", node)
        if len(self._open) > _DEEPEST:
            raise _Unbounded("nested too deep", node)

    def _entries(self, node: yaml.MappingNode, path: KeyPath) -> dict[str, tuple[yaml.ScalarNode, yaml.Node]]:
        """The mapping's keys and values by name, merged ones included; faults for keys that are not text or
        not unique."""
        own: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        merged: dict[str, tuple[yaml.ScalarNode, yaml.Node]] = {}
        for key, child in node.value:
            place = self._place(key)
            if key.tag == f"{_TAG}merge":
                for other in child.value if isinstance(child, yaml.SequenceNode) else [child]:
                    if isinstance(other, yaml.MappingNode) and id(other) not in self._open:
                        self._open.add(id(other))
                        self._bound(other, 1)
                        entries = self._entries(other, path)
                        self._bound(other, len(entries))
                        for name, entry in entries.items():
                            merged.setdefault(name, entry)
                        self._open.remove(id(other))
                    else:
                        remedy = "Name the anchor of one: <<: *anchor."
                        self._fault((*path, "<<"), place, NOT_YAML, "<< names no mapping", remedy)
            elif key.tag != f"{_TAG}str":
                shown = key.value if isinstance(key, yaml.ScalarNode) else "a mapping or list"
                found = f"a key that is not text: {shown}"
                self._fault((*path, shown), place, NOT_YAML, found, "Put it in quotes.")
            elif _UNUSABLE.search(key.value):
                self._unusable((*path, key.value), place)
            elif key.value in own:
                found = f"{key.value} stands in line {self._place(own[key.value][0]).line} already"
                self._fault((*path, key.value), place, DUPLICATE_KEY, found, "Keep one of the two.")
            else:
                own[key.value] = (key, child)
        return merged | own

    def _scalar(self, node: yaml.Node, path: KeyPath, place: Place) -> Any:
        text: str = node.value
        match node.tag.removeprefix(_TAG):
            case "str" | "merge":
                filled, faults = self.substitution.fill(text)
                for code, found, remedy in faults:
                    self._fault(path, place, code, found, remedy)
                if _UNUSABLE.search(filled):
                    self._unusable(path, place)
                return filled
            case "null":
                return None
            case "bool":
                return text.lower() == "true"
            case "int":
                return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))
            case "float":
                return float(re.sub(r"\.(?=inf|nan)", "", text.lower()))
            case _:
                self._fault(
                    path,
                    place,
                    NOT_YAML,
                    "a tag (!…) that is not known",
                    "Leave it out, or put the value in quotes.",
                )
                return text

    def _unusable(self, path: KeyPath, place: Place) -> None:
        self._fault(path, place, NOT_YAML, "a NUL, or one half of a surrogate pair", "Leave it out.")

    def _place(self, node: yaml.Node) -> Place:
        return Place(self.file, node.start_mark.line + 1, node.start_mark.column + 1)
