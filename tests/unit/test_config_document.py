"""YAML as it is read: places, keys, scalars, anchors, and what is refused."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import pytest

from tailrace.config.document import DUPLICATE_KEY, NOT_YAML, UNREADABLE_FILE, Document
from tailrace.config.environment import BAD_REFERENCE, MISSING_VARIABLE
from tailrace.config.faults import Faults
from tailrace.errors import Code, ConfigurationError


def read(text: str, **environment: str) -> tuple[Document, Faults]:
    faults = Faults()
    return Document("f.yaml", text, environment, faults), faults


def data(text: str, **environment: str) -> Any:
    document, faults = read(text, **environment)
    assert not len(faults), faults.error("f.yaml").faults
    return document.data


def fault(text: str) -> tuple[Code, str, str]:
    _, faults = read(text)
    assert len(faults) == 1
    error = faults.error("f.yaml")
    assert error.where is not None
    return error.code, error.where, error.found


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: no", "no"),
        ("a: on", "on"),
        ("a: 12:30:00", "12:30:00"),
        ("a: 2026-01-31", "2026-01-31"),
        ("a: 0777", 777),
        ("a: 0o17", 15),
        ("a: 0x1F", 31),
        ("a: -3", -3),
        ("a: 1e3", 1000.0),
        ("a: .5", 0.5),
        ("a: -.inf", -math.inf),
        ("a: true", True),
        ("a: 'true'", "true"),
        ("a: '5'", "5"),
        ("a: ~", None),
        ("a:", None),
        ("a: 1_000", "1_000"),
        ("a: !!str 5", "5"),
        ("a: |\n  x\n  y\n", "x\ny\n"),
        ("a: " + "9" * 5000, "9" * 5000),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = data(text)["a"]
    assert found == value
    assert type(found) is type(value)


def test_every_value_has_its_place() -> None:
    document, _ = read("a: 1\nb:\n  - c: x\n    dd:   y\n  - z\n")
    assert str(document.place(("b", 0, "dd"))) == "f.yaml:4:11"
    assert str(document.key_place(("b", 0, "dd"))) == "f.yaml:4:5"
    assert str(document.place(("b", 0))) == "f.yaml:3:5"
    assert str(document.key_place(("b", 1))) == "f.yaml:5:5"
    assert str(document.place(("b", 0, "missing", 7))) == "f.yaml:3:5"


def test_what_an_alias_names_stands_where_it_was_written() -> None:
    document, _ = read("a: &x\n  k: 1\nb: *x\n")
    assert document.data == {"a": {"k": 1}, "b": {"k": 1}}
    assert str(document.place(("b", "k"))) == "f.yaml:2:6"


def test_a_merged_mapping_yields_to_the_keys_beside_it() -> None:
    text = "a: &x {k: 1, l: 2}\nb: &y {l: 3, m: 4}\nc: {k: 0, <<: [*x, *y]}\nd: {<<: *x, k: 9}\n"
    document, faults = read(text)
    assert not len(faults)
    assert document.data["c"] == {"k": 0, "l": 2, "m": 4}
    assert document.data["d"] == {"k": 9, "l": 2}
    assert str(document.key_place(("c", "k"))) == "f.yaml:3:5"
    assert str(document.key_place(("c", "m"))) == "f.yaml:2:14"


@pytest.mark.parametrize(
    ("text", "code", "where"),
    [
        ("a: 1\nb: 2\na: 3\n", DUPLICATE_KEY, "f.yaml:3:1"),
        ("a:\n  - {k: 1, 'k': 2}\n", DUPLICATE_KEY, "f.yaml:2:12"),
        ("a: [1, 2\nb: 3\n", NOT_YAML, "f.yaml:2:2"),
        ("a: 1\n\tb: 2\n", NOT_YAML, "f.yaml:2:1"),
        ("a: 'x\n", NOT_YAML, "f.yaml:2:1"),
        ("a: *nowhere\n", NOT_YAML, "f.yaml:1:4"),
        ("a: 1\n---\nb: 1\n", NOT_YAML, "f.yaml:2:1"),
        ("a: !secret x\n", NOT_YAML, "f.yaml:1:4"),
        ("1: a\n", NOT_YAML, "f.yaml:1:1"),
        ("? [a, b]\n: c\n", NOT_YAML, "f.yaml:1:3"),
        ("a: {<<: 5}\n", NOT_YAML, "f.yaml:1:5"),
        ("a: &a [1, *a]\n", NOT_YAML, "f.yaml:1:4"),
        ("a: &a {<<: *a}\n", NOT_YAML, "f.yaml:1:8"),
        ("a: \x07\n", NOT_YAML, "f.yaml:1:1"),
        ('a: 1\nb: "\\UFFFFFFFF"\n', NOT_YAML, "f.yaml:2:7"),
        ('a: 1\nb: "\\U00110000"\n', NOT_YAML, "f.yaml:2:7"),
        (f"%YAML {'9' * 5000}.1\n---\na: 1\n", NOT_YAML, "f.yaml:1:7"),
        ('a: 1\nb: "a\\0b"\n', NOT_YAML, "f.yaml:2:4"),
        ('a: ["\\ud800.db"]\n', NOT_YAML, "f.yaml:1:5"),
        ('a: {"k\\0": 1}\n', NOT_YAML, "f.yaml:1:5"),
        ('"\\ud83d\\ude00": 1\n', NOT_YAML, "f.yaml:1:1"),
        ("a: ${\n", BAD_REFERENCE, "f.yaml:1:4"),
        ("a: ${1x}\n", BAD_REFERENCE, "f.yaml:1:4"),
        ("a:\n  - x ${NOT_THERE}\n", MISSING_VARIABLE, "f.yaml:2:5"),
    ],
)
def test_what_is_refused_has_its_place(text: str, code: Code, where: str) -> None:
    assert fault(text)[:2] == (code, where)


def test_bytes_that_are_not_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f.yaml").write_bytes(b"a: \xff\xfe\n")
    faults = Faults()
    Document.read(tmp_path / "f.yaml", {}, faults)
    assert faults.error("").code is NOT_YAML


@pytest.mark.parametrize("nesting", ["[" * 3000, "{a: " * 3000, "- " * 3000])
def test_deep_nesting_is_refused(nesting: str) -> None:
    _, faults = read(nesting)
    assert faults.error("").code is NOT_YAML


def test_aliases_of_aliases_are_bounded() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10)]
    assert fault("\n".join(lines))[::2] == (NOT_YAML, "aliases without an end")


def test_merges_of_merges_are_bounded() -> None:
    lines = ["x0: &x0 {a: 1}"]
    lines += [f"x{n}: &x{n} {{<<: [{', '.join([f'*x{n - 1}'] * 9)}]}}" for n in range(1, 9)]
    assert fault("\n".join(lines)) == (NOT_YAML, "f.yaml:1:5", "aliases without an end")


@pytest.mark.parametrize(
    "lines",
    [
        [f"a{n}: &a{n} {'[' * 250}{f'*a{n - 1}' if n else 'x'}{']' * 250}" for n in range(5)],
        [f"a{n}: &a{n} {{<<: {f'*a{n - 1}' if n else '{}'}}}" for n in range(3000)],
    ],
    ids=["values", "merges"],
)
def test_the_depth_of_aliases_is_bounded(lines: list[str]) -> None:
    code, where, found = fault("\n".join(lines))
    assert (code, found) == (NOT_YAML, "nested too deep")
    assert where.startswith("f.yaml:1:")


def test_what_the_environment_holds_is_text_too() -> None:
    _, faults = read("a: ${A}", A=os.fsdecode(b"x\xff"))
    assert [(error.code, error.where) for error in faults.error("").faults] == [(NOT_YAML, "f.yaml:1:4")]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(ConfigurationError) as caught:
            Document.read(path, {}, Faults())
        assert caught.value.code is UNREADABLE_FILE
        assert caught.value.where == str(path)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${A}", "alpha"),
        ("x${A}y${B}", "xalphaybeta: 5"),
        ("${EMPTY}", ""),
        ("${EMPTY:-d}", "d"),
        ("${NONE:-d e}", "d e"),
        ("${NONE:-}", ""),
        ("$${A}", "${A}"),
        ("$A $$", "$A $$"),
        ("${NUMBER}", "5"),
        ("${NESTED}", "${A}"),
    ],
)
def test_references_are_filled_in(text: str, value: str) -> None:
    environment = {"A": "alpha", "B": "beta: 5", "EMPTY": "", "NUMBER": "5", "NESTED": "${A}"}
    assert data(f"a: {text}", **environment) == {"a": value}
    assert data(f"a: '{text}'", **environment) == {"a": value}


def test_a_missing_variable_is_named() -> None:
    _, faults = read("a: ${X} ${Y}")
    first, second = faults.error("").faults
    assert "X is not set" in first.found
    assert "Y is not set" in second.found
    assert "export X=" in first.remedy


def test_a_reference_that_breaks_the_syntax_is_explained() -> None:
    _, faults = read("a: {b: ${B}}\n")
    assert "in quotes" in faults.error("").remedy
    _, faults = read("a: {b: c: d}\n")
    assert "references" not in faults.error("").remedy


@pytest.mark.parametrize(
    "text", ["tables: [*.public]", "tables:\n  - *.public\n", "tables: [*]", "tables: *all"]
)
def test_a_pattern_that_reads_like_an_alias_is_explained(text: str) -> None:
    _, faults = read(text)
    assert "Quote patterns that begin with *" in faults.error("").remedy


def test_keys_and_comments_are_left_alone() -> None:
    assert data("# ${NOPE}\n'${A}': 1\n") == {"${A}": 1}


def test_a_variable_without_braces() -> None:
    """As shells take it. It is refused where the variable is set, as nobody means the text then."""
    _, faults = read("a: $NAME\nb: ${TEXT:-$NAME}\nc: $OTHER\nd: $1\ne: x$NAME\n", NAME="hunter2")
    (told,) = faults.error("").faults
    assert (told.code, told.where) == (BAD_REFERENCE, "f.yaml:1:4")
    assert told.found == "$NAME lacks the braces of a reference, and NAME is set"
    assert str(told.remedy).startswith("Write ${NAME}; ")
    assert data("a: ${TEXT:-$NAME}", NAME="hunter2") == {"a": "$NAME"}
