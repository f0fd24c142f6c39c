"""The JSON of values that are structures: points, geometries, vectors. See `connect_values`."""

from __future__ import annotations

import math
from struct import Struct
from typing import Any, Final

from tailrace.formats.connect_values import Encoder, base64_string, float64

_POINT: Final = Struct("<BIdd")  # WKB: little-endian, kind 1, x, y


def point(value: Any) -> bytes:
    """x and y, and the same point as WKB."""
    x, y = value
    wkb = base64_string(_POINT.pack(1, 1, x, y))
    return b'{"x":%b,"y":%b,"wkb":%b,"srid":null}' % (float64(x), float64(y), wkb)


def geometric_point(value: Any) -> bytes:
    """A geometry that is a point: x and y, WKB as it is, and its SRID."""
    srid, wkb = value
    order, kind, x, y = _POINT.unpack(wkb)
    if (order, kind) != (1, 1):
        raise ValueError("not a point in little-endian WKB")
    written = (float64(x), float64(y), base64_string(wkb), b"null" if srid is None else b"%d" % srid)
    return b'{"x":%b,"y":%b,"wkb":%b,"srid":%b}' % written


def geometry(value: Any) -> bytes:
    """EWKB as it is, and the SRID that stands in it."""
    srid, wkb = value
    return b'{"wkb":%b,"srid":%b}' % (base64_string(wkb), b"null" if srid is None else b"%d" % srid)


def vector(element: Encoder) -> Encoder:
    """An array of finite numbers."""

    def encode(value: Any) -> bytes:
        if not isinstance(value, list):
            raise ValueError("not a vector")
        return b"[%b]" % b",".join([element(_finite(number)) for number in value])

    return encode


def sparse_vector(most: int) -> Encoder:
    """The number of dimensions, `most` at most, and pairs of a dimension from 1 on and its number."""

    def encode(value: Any) -> bytes:
        dimensions, numbers = value
        if dimensions > most:
            raise ValueError(f"more than the {most} dimensions that the schema has room for")
        pairs = [b"[%d,%b]" % (at, float64(_finite(number))) for at, number in numbers.items()]
        return b'{"dimensions":%d,"vector":[%b]}' % (dimensions, b",".join(pairs))

    return encode


def _finite(number: Any) -> Any:
    if not math.isfinite(number):
        raise ValueError("not a finite number")
    return number
