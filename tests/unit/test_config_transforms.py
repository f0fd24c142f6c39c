"""Transforms in a pipeline's file: what is accepted, each fault with its place, and who shares what."""

from __future__ import annotations

from pathlib import Path

import pytest

from tailrace.config import load
from tailrace.config.parts import make_shapings
from tailrace.errors import ConfigurationError

HEAD = """\
name: orders
source: {type: file, path: log.txt, snapshot: never}
"""
SINKS = "sinks: [{type: file, path: out.json, format: numbers}]\n"


@pytest.fixture
def folder(tmp_path: Path, file_plugins: Path) -> Path:
    return tmp_path


def written(folder: Path, text: str) -> Path:
    path = folder / "p.yaml"
    path.write_text(HEAD + text)
    return path


def faults(folder: Path, text: str) -> list[tuple[str, str, str, str]]:
    """Of each fault: code, `line:column`, what was found, what to do."""
    path = written(folder, text)
    with pytest.raises(ConfigurationError) as caught:
        load(path, {})
    return [
        (fault.code.id, str(fault.where).removeprefix(f"{path}:"), fault.found, fault.remedy)
        for fault in caught.value.faults
    ]


def test_transforms_of_a_pipeline_and_of_a_sink(folder: Path) -> None:
    config = load(
        written(
            folder,
            """\
transforms:
  - type: columns
    tables: [public.customers, "audit.*"]
    mask: {email: 3}
  - {type: skip, operations: [t]}
sinks:
  - type: file
    path: out.json
    format: numbers
    transforms: [{type: filter, where: row.amount > 3}, {type: odd}]
""",
        )
    )
    columns, skip = config.transforms
    assert columns.block.type == "columns"
    assert columns.tables is not None
    assert [pattern.text for pattern in columns.tables] == ["public.customers", "audit.*"]
    assert skip.tables is None
    [sink] = config.sinks
    assert [one.block.type for one in sink.transforms] == ["filter", "odd"]


def test_sinks_with_equal_transforms_share_them(folder: Path) -> None:
    one = "transforms: [{type: filter, tables: [public.*], where: row.a > 3}]"
    sinks = "".join(
        f"  - {{type: file, name: {name}, path: {name}.json, format: numbers, {transforms}}}\n"
        for name, transforms in [
            ("a", one),
            ("b", one),
            ("c", one.replace("3", "4")),
            ("d", "transforms: []"),
            ("e", one.replace("public.*", "audit.*")),
            ("f", 'transforms: [{type: columns, truncate: {name: 1, "n*": 9}}]'),
            ("g", 'transforms: [{type: columns, truncate: {"n*": 9, name: 1}}]'),  # the first that matches
        ]
    )
    of_pipeline, of_sinks = make_shapings(load(written(folder, f"sinks:\n{sinks}")))
    assert of_pipeline == []
    assert of_sinks["orders/d"] == []
    [a], [b], [c], [e], [f], [g] = (of_sinks[f"orders/{name}"] for name in "abcefg")
    assert a is b
    assert len({id(one) for one in (a, c, e, f, g)}) == 5


def test_faults_of_transforms_have_their_places(folder: Path) -> None:
    found = faults(
        folder,
        """\
transforms:
  - {type: filtre, where: "op == 'c'"}
  - {type: filter, where: "after.amount >> 3"}
  - type: filter
    where: op == 'c' and amount > 3
  - {type: skip, operations: [x]}
  - {type: tables, tables: [orders]}
  - {where: x}
  - {type: columns, masc: {a: 1}}
sinks:
  - type: file
    path: out.json
    format: numbers
    transforms:
      - type: rename
        columns: [a]
      - {type: columns, hash: [email]}
""",
    )
    assert [(code, place) for code, place, _, _ in found] == [
        ("TR-CONF-010", "4:12"),
        ("TR-CONF-008", "5:27"),
        ("TR-CONF-008", "7:12"),
        ("TR-CONF-008", "8:31"),
        ("TR-CONF-008", "9:5"),
        ("TR-CONF-008", "9:29"),
        ("TR-CONF-007", "10:5"),
        ("TR-CONF-006", "11:21"),
        ("TR-CONF-008", "18:18"),
        ("TR-CONF-008", "19:9"),
    ]
    by_place = {place: (what, remedy) for _, place, what, remedy in found}
    assert "Did you mean filter?" in by_place["4:12"][1]
    assert "RShift" in by_place["5:27"][1]
    assert by_place["7:12"][1].startswith("Column 15: unknown name 'amount'")
    assert "Did you mean mask?" in by_place["11:21"][1]
    assert "hash: and salt:" in " ".join(by_place["19:9"])


@pytest.mark.parametrize(
    ("transform", "words"),
    [
        ("{type: tables}", "include: or exclude:"),
        ("{type: tables, include: [a]}", "schema.table"),
        ("{type: rename}", "columns:"),
        ('{type: rename, to_table: "{database}"}', "{schema}"),
        ("{type: route}", "topic:"),
        ('{type: route, topic: "{tabel}"}', "{table}"),
        ("{type: route, topic: x, regex: y, replacement: z}", "topic:, or regex:"),
        ("{type: route, regex: x}", "replacement:"),
        ('{type: route, regex: "(", replacement: x}', "unterminated"),
        ('{type: route, regex: "(a)", replacement: "$2"}', "group reference"),
        ("{type: route, key: [a, a]}", "twice"),
        ("{type: columns}", "include:"),
        ("{type: columns, mask: {a: 1}, truncate: {a: 2}}", "two of"),
        ("{type: columns, mask: {a: -1}}", "greater than or equal to 0"),
        ("{type: columns, salt: x, exclude: [a]}", "salt:"),
        ('{type: columns, salt: "", hash: [a]}', "salt"),
        ("{type: columns, mask: {a: true}}", "mask.a"),
        ("{type: columns, exclude: ['']}", "no name"),
        ("{type: skip, operations: []}", "at least 1"),
        ("{type: skip, operations: [c, u, d, r, t, m]}", "nothing would be left"),
        ('{type: filter, where: ""}', "column 1"),
    ],
)
def test_settings_that_mean_nothing_are_refused(folder: Path, transform: str, words: str) -> None:
    found = faults(folder, f"transforms: [{transform}]\n{SINKS}")
    assert [place.split(":")[0] for _, place, _, _ in found] == ["3"] * len(found)
    assert words.lower() in str(found).lower()


def test_a_salt_is_never_shown(folder: Path) -> None:
    config = load(written(folder, f"transforms: [{{type: columns, hash: [a], salt: pepper}}]\n{SINKS}"), {})
    assert "pepper" not in repr(config)
