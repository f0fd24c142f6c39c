"""Values of extensions' types out of the server's text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from connectors.postgres import extensions


@pytest.mark.parametrize(
    ("text", "srid"),
    [
        ("0101000000000000000000F03F0000000000000040", None),
        ("0101000020E6100000000000000000F03F0000000000000040", 4326),
        ("0020000001000010E63FF00000000000004000000000000000", 4326),  # big-endian
        ("00000000013FF00000000000004000000000000000", None),
    ],
)
def test_a_geometry_is_its_ewkb_and_the_srid_in_it(text: str, srid: int | None) -> None:
    assert extensions.geometry(text.encode()) == (srid, bytes.fromhex(text))


def test_vectors() -> None:
    assert extensions.vector(b"[1,-2.5,3e+10]") == [1.0, -2.5, 3e10]
    assert extensions.sparse_vector(b"{1:1.5,3:-2e+10}/5") == (5, {1: 1.5, 3: -2e10})
    assert extensions.sparse_vector(b"{}/5") == (5, {})


@pytest.mark.parametrize(
    ("read", "texts"),
    [
        (extensions.geometry, [b"", b"01", b"POINT(1 2)", b"05" + b"00" * 20]),
        (extensions.vector, [b"", b"1,2", b"[]", b"[1,]", b"[a]"]),
        (extensions.sparse_vector, [b"", b"{}", b"{1}/5", b"{1:}/5", b"{1:2/5", b"{1:2}/x"]),
    ],
)
def test_what_the_server_never_writes_is_refused(read: Callable[[bytes], Any], texts: list[bytes]) -> None:
    for text in texts:
        with pytest.raises(ValueError):  # noqa: PT011 - each says something else
            read(text)
