"""Decimals as Kafka Connect writes them: the bytes of the unscaled integer, as a JSON string of base64."""

from __future__ import annotations

from binascii import b2a_base64
from typing import Final


class _Small(dict[int, bytes]):
    """The JSON of integers of 16 bits, made as they are met."""

    def __missing__(self, value: int) -> bytes:
        encoded = self[value] = _in_bytes(value)
        return encoded


def unscaled_integer(value: int) -> bytes:
    """A JSON string of an integer's bytes, as Java's BigInteger.toByteArray gives them: in two's complement,
    big-endian, as few as do."""
    if -0x80_0000 <= value < 0x80_0000:
        if -0x8000 <= value < 0x8000:
            return _SMALL[value]
        return _UPPER[value >> 12 & 4095] + _LOWER[value & 4095]
    return _in_bytes(value)


def _in_bytes(value: int) -> bytes:
    length = (value if value >= 0 else ~value).bit_length() // 8 + 1
    return b'"%b"' % b2a_base64(value.to_bytes(length, "big", signed=True), newline=False)


_SMALL: Final = _Small()
# Three bytes are four characters of base64: two for the upper 12 bits, two for the lower ones.
_PAIRS: Final = [b2a_base64(bits.to_bytes(3, "big"), newline=False)[2:] for bits in range(4096)]
_UPPER: Final = [b'"' + pair for pair in _PAIRS]
_LOWER: Final = [pair + b'"' for pair in _PAIRS]
