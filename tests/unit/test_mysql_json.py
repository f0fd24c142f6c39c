"""Binary JSON and its diffs: what is read, and what is refused."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.columns import binary_json, json_diffs, json_shapes
from connectors.mysql.columns.json_diffs import Patched

floats = st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | floats | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


def binary(document: Any, *, large: bool = False) -> bytes:
    """A document in binary form."""
    kind, value = _value(document, large=large)
    return bytes([kind]) + value


def _value(value: Any, *, large: bool) -> tuple[int, bytes]:
    if value is None or isinstance(value, bool):
        return 4, b"\0" if value is None else b"\1" if value else b"\2"
    if isinstance(value, int):
        for kind, form in ((5, "<h"), (6, "<H"), (7, "<i"), (8, "<I"), (9, "<q"), (10, "<Q")):
            try:
                return kind, struct.pack(form, value)
            except struct.error:
                continue
    if isinstance(value, float):
        return 11, struct.pack("<d", value)
    if isinstance(value, str):
        return 12, _counted(value.encode())
    return _container(value, large=large)


def _counted(data: bytes) -> bytes:
    size, prefix = len(data), b""
    while size > 127:
        prefix += bytes([size & 127 | 128])
        size >>= 7
    return prefix + bytes([size]) + data


def _container(value: Any, *, large: bool) -> tuple[int, bytes]:
    width = 4 if large else 2
    is_object = isinstance(value, dict)
    members = sorted(value.items(), key=lambda m: (len(m[0].encode()), m[0].encode())) if is_object else []
    keys = [key.encode() for key, _ in members]
    items = [item for _, item in members] if is_object else value
    head = 2 * width + len(keys) * (width + 2) + len(items) * (width + 1)
    entries, body, at = b"", b"", head
    for key in keys:
        entries += at.to_bytes(width, "little") + len(key).to_bytes(2, "little")
        body += key
        at += len(key)
    for item in items:
        kind, data = _value(item, large=large)
        if kind in (4, 5, 6) or (large and kind in (7, 8)):
            entries += bytes([kind]) + data.ljust(width, b"\xff" if data[-1] > 127 else b"\0")
        else:
            entries += bytes([kind]) + at.to_bytes(width, "little")
            body += data
            at += len(data)
    kind = (0 if is_object else 2) + large
    return kind, len(items).to_bytes(width, "little") + at.to_bytes(width, "little") + entries + body


@given(documents, st.booleans())
def test_documents(document: Any, large: bool) -> None:
    raw = binary(document, large=large)
    text = binary_json.text(raw)
    assert json.loads(text) == document
    assert binary_json.tree_text(binary_json.tree(raw)) == text


@given(documents, st.data())
def test_documents_with_keys_seen_before(document: Any, data: st.DataObject) -> None:
    """A function is made at the first time, and used at the second; of damaged ones, too."""
    raw = binary(document)
    assert json_shapes.text(raw) == json_shapes.text(raw) == binary_json.text(raw)
    damaged = bytearray(raw)
    damaged[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    assert _outcome(json_shapes.text, bytes(damaged)) == _outcome(binary_json.text, bytes(damaged))


def _outcome(read: Callable[[bytes], str], document: bytes) -> str | None:
    try:
        return read(document)
    except ValueError:
        return None


def test_what_has_a_function_of_its_own() -> None:
    """Keys that look like parts of a format; each type of a value, at its limits."""
    for document in (
        {
            "%s": 1,
            "%d%%": 'quote"',
            "{0}": None,
            'k"': True,
            "e": -32768,
            "f": 65535,
            "g": -(2**31),
            "h": 2**32 - 1,
        },
        {
            "%s": 2,
            "%d%%": "",
            "{0}": [1],
            'k"': 1.5,
            "e": 2**63,
            "f": -(2**63),
            "g": "x" * 127,
            "h": "y" * 128,
        },
    ):
        for _ in range(2):
            assert json_shapes.text(binary(document)) == binary_json.text(binary(document))


def test_the_servers_blanks_and_order() -> None:
    document = {"bb": 1, "a": [1, 2.0, None], "ccc": {}, "": "é\n\x01"}
    assert (
        binary_json.text(binary(document)) == '{"": "é\\n\\u0001", "a": [1, 2.0, null], "bb": 1, "ccc": {}}'
    )


def test_no_bytes_are_null() -> None:
    """What ALTER TABLE fills a new column with."""
    assert binary_json.text(b"") == "null"


@given(documents, st.data())
def test_damaged_documents_are_refused_or_read(document: Any, data: st.DataObject) -> None:
    raw = bytearray(binary(document))
    for _ in range(data.draw(st.integers(1, 3))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    try:
        text = binary_json.text(bytes(raw))
    except ValueError:
        return
    assert isinstance(text, str)


@pytest.mark.parametrize(
    ("raw", "found"),
    [
        (b"\x02\x01\x00\x20\x00\x0c\x07\x00", "of 32 bytes, of which 7 are there"),
        (b"\x02\xff\x00\x07\x00\x0c\x07\x00", "of 255 members in 7 bytes"),
        (b"\x00\x01\x00\x0b\x00\x0b\x00\x02\x00\x05\x01\x00", "a JSON key behind its object's end"),
        (b"\x0c\x05abc", "a JSON text of 5 bytes, of which 3 are there"),
        (b"\x0c\xff\xff\xff\xff\xff\x01", "a length of more than five bytes"),
        (b"\x04\x03", "the unknown JSON literal 3"),
        (b"\x0d", "unknown type 13"),
        (b"\x09\x01", "cut off"),
        (b"\x0f\x0c\x03abc", "a moment of 3 bytes"),
        (b"\x0c\x01\xff", "decode"),
        (b"\x0b" + struct.pack("<d", math.inf), "the JSON number inf"),
        (b"\x0b" + struct.pack("<d", math.nan), "the JSON number nan"),
        (b"\x0f\x0a\x08" + struct.pack("<q", 10_000 * 13 << 46), "a date of the year 10000"),
        (b"\x0f\x0b\x08" + struct.pack("<q", 60 << 30), "60 min"),
        (b"\x0f\x0b\x08" + struct.pack("<q", 60 << 24), "60 s"),
        (b"\x0f\x0b\x08" + struct.pack("<q", -1_000_000), "1000000 µs"),
        (b"\x0f\x0b\x08" + struct.pack("<q", 839 << 36), "839 hours"),
        (b"\x0f\x0c\x08" + struct.pack("<q", 24 << 36), "24 hours"),
        (b"\x0f\x0a\x08" + struct.pack("<q", -1), "a date of the year -1"),
    ],
)
def test_what_is_no_document(raw: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        binary_json.text(raw)


def test_values_that_share_their_bytes_are_refused() -> None:
    """Two members that are each the array before them, and so on: they would stand for 2^90 values."""
    levels = 90
    size = 10 * levels + 4
    document = b"\2"
    for level in range(levels):
        member = b"\2" + (10).to_bytes(2, "little")
        document += (2).to_bytes(2, "little") + (size - 10 * level).to_bytes(2, "little") + member * 2
    document += (0).to_bytes(2, "little") + (4).to_bytes(2, "little")
    texts = (
        b"\2"
        + struct.pack("<HH", 100, 404)
        + (b"\x0c" + (304).to_bytes(2, "little")) * 100
        + b"\x63"
        + b"x" * 99
    )
    for shared in (document, texts):
        for read in (binary_json.text, binary_json.tree, json_shapes.text):
            with pytest.raises(ValueError, match="share their bytes"):
                read(shared)


def test_a_document_that_diffs_make_too_deep() -> None:
    deep: Any = 1
    for _ in range(60):
        deep = [deep]
    path = "$" + "[0]" * 59
    with pytest.raises(ValueError, match="more than 100 levels"):
        json_diffs.text(Patched(binary(deep), diff(REPLACE, path, deep)))


def test_a_document_of_too_many_levels() -> None:
    deepest: Any = []
    for _ in range(99):
        deepest = [deepest]
    assert binary_json.text(binary(deepest)) == "[" * 100 + "]" * 100
    with pytest.raises(ValueError, match="more than 100 levels"):
        binary_json.text(binary([deepest]))


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0.0"), (-0.0, "-0.0"), (1.0, "1.0"), (1e14, "100000000000000.0"), (1e15, "1e15"),
        (-1.5e15, "-1.5e15"), (1234567890123456.8, "1234567890123456.8"), (1e16, "1e16"), (1e300, "1e300"),
        (1e-15, "0.000000000000001"), (1e-16, "1e-16"), (-1.25e-15, "-0.00000000000000125"), (0.1, "0.1"),
        (1.25e-16, "1.25e-16"), (5e-324, "5e-324"), (2.5e-5, "0.000025"),
        (9999999999999998.0, "9.999999999999998e15"),
    ],
)  # fmt: skip
def test_digits_of_floating_point_numbers(number: float, text: str) -> None:
    assert binary_json.double_text(number) == text


@given(floats)
def test_digits_tell_the_number(number: float) -> None:
    assert float(binary_json.double_text(number)) == number
    assert math.copysign(1, float(binary_json.double_text(number))) == math.copysign(1, number)


def diff(operation: int, path: str, *value: Any) -> bytes:
    raw = bytes([operation]) + _packed(path.encode())
    return raw + _packed(binary(value[0])) if value else raw


def _packed(data: bytes) -> bytes:
    if len(data) < 251:
        return bytes([len(data)]) + data
    return b"\xfc" + len(data).to_bytes(2, "little") + data


REPLACE, INSERT, REMOVE = range(3)
DOCUMENT = {"a": 1, "list": [1, 2, 3], "in": {"x y": {"z": 0}}, 'q"': 5}


@pytest.mark.parametrize(
    ("diffs", "expected"),
    [
        (diff(REPLACE, "$.a", "x" * 300), {**DOCUMENT, "a": "x" * 300}),
        (diff(REPLACE, '$.in."x y".z', [1]), {**DOCUMENT, "in": {"x y": {"z": [1]}}}),
        (diff(REPLACE, '$."q\\""', 6), {**DOCUMENT, 'q"': 6}),
        (diff(REPLACE, "$.list[1]", None), {**DOCUMENT, "list": [1, None, 3]}),
        (diff(REPLACE, "$.list[last]", 9), {**DOCUMENT, "list": [1, 2, 9]}),
        (diff(REPLACE, "$.list[last-2]", 9), {**DOCUMENT, "list": [9, 2, 3]}),
        (diff(INSERT, "$.b", {}), {**DOCUMENT, "b": {}}),
        (diff(INSERT, "$.list[0]", 0), {**DOCUMENT, "list": [0, 1, 2, 3]}),
        (diff(INSERT, "$.list[9]", 4), {**DOCUMENT, "list": [1, 2, 3, 4]}),
        (diff(REMOVE, "$.list[0]"), {**DOCUMENT, "list": [2, 3]}),
        (diff(REMOVE, "$.in"), {key: value for key, value in DOCUMENT.items() if key != "in"}),
        (diff(REMOVE, "$.list[0]") + diff(REMOVE, "$.list[0]"), {**DOCUMENT, "list": [3]}),
    ],
)
def test_diffs(diffs: bytes, expected: Any) -> None:
    """The new document is printed as the server prints it, members in its order."""
    text = json_diffs.text(Patched(binary(DOCUMENT), diffs))
    assert text == binary_json.text(binary(expected))


@pytest.mark.parametrize(
    ("diffs", "found"),
    [
        (diff(REPLACE, "$.nothing", 1), "for 'nothing', which the document does not have"),
        (diff(REPLACE, "$.list[3]", 1), "for 3, which"),
        (diff(REPLACE, "$.a[0]", 1), "for 0, which"),
        (diff(REMOVE, "$.list.x"), "for 'x', which"),
        (diff(INSERT, "$.a", 1), "inserts 'a' where"),
        (diff(INSERT, "$.in[0]", 1), "inserts 0 where"),
        (diff(REPLACE, "$", 1), r"for the path '\$'"),
        (diff(REPLACE, "$.list[*]", 1), "for the path"),
        (diff(REPLACE, "a", 1), "for the path 'a'"),
        (diff(INSERT, '$."\\ud800"', 1), "surrogates"),
        (b"\3", "unknown operation 3"),
        (b"\2", "cut off"),
        (b"\2\x05$.a", "cut off: 5 bytes needed, 3 there"),
        (b"\2\xfb", "a length that begins with 251"),
    ],
)
def test_diffs_that_do_not_fit(diffs: bytes, found: str) -> None:
    with pytest.raises(ValueError, match=found):
        json_diffs.text(Patched(binary(DOCUMENT), diffs))
