"""Values of extensions' types out of the server's text: PostGIS (https://postgis.net/docs) and pgvector
(https://github.com/pgvector/pgvector).

Every function takes the field's bytes and raises ValueError for what the server never writes.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from typing import Final, Literal

_HAS_SRID: Final = 0x2000_0000  # in the type of EWKB
_SPARSE: Final = re.compile(rb"\{(.*)\}/(\d+)")


def geometry(text: bytes) -> tuple[int | None, bytes]:
    """The SRID, if it has one, and the EWKB, which holds it too."""
    wkb = unhexlify(text)
    if len(wkb) < 9 or wkb[0] > 1:
        raise ValueError(f"not EWKB: {text[:20]!r}")
    order: Literal["little", "big"] = "little" if wkb[0] else "big"
    has_srid = int.from_bytes(wkb[1:5], order) & _HAS_SRID
    return (int.from_bytes(wkb[5:9], order, signed=True) if has_srid else None), wkb


def vector(text: bytes) -> list[float]:
    """`[1,-2.5,3e+10]`."""
    if text[:1] != b"[" or text[-1:] != b"]":
        raise ValueError(f"not a vector: {text[:20]!r}")
    return [float(number) for number in text[1:-1].split(b",")]


def sparse_vector(text: bytes) -> tuple[int, dict[int, float]]:
    """`{1:1.5,3:-2}/5`: the number of dimensions, and those that are not zero, from 1 on."""
    if not (found := _SPARSE.fullmatch(text)):
        raise ValueError(f"not a sparse vector: {text[:20]!r}")
    pairs = [pair.partition(b":") for pair in found[1].split(b",")] if found[1] else []
    return int(found[2]), {int(at): float(number) for at, _, number in pairs}
