"""The `MYSQL_TYPE_*` numbers that a binary log uses."""

from __future__ import annotations

from typing import Final

TINY: Final = 1
SHORT: Final = 2
LONG: Final = 3
FLOAT: Final = 4
DOUBLE: Final = 5
OLD_TIMESTAMP: Final = 7
LONGLONG: Final = 8
INT24: Final = 9
DATE: Final = 10
OLD_TIME: Final = 11
OLD_DATETIME: Final = 12
YEAR: Final = 13
NEWDATE: Final = 14
VARCHAR: Final = 15
BIT: Final = 16
TIMESTAMP: Final = 17
DATETIME: Final = 18
TIME: Final = 19
BLOB_COMPRESSED: Final = 140  # MariaDB
VARCHAR_COMPRESSED: Final = 141  # MariaDB
VECTOR: Final = 242
JSON: Final = 245
DECIMAL: Final = 246
ENUM: Final = 247
SET: Final = 248
TINY_BLOB: Final = 249
MEDIUM_BLOB: Final = 250
LONG_BLOB: Final = 251
BLOB: Final = 252
VAR_STRING: Final = 253
STRING: Final = 254
GEOMETRY: Final = 255

BLOBS: Final = frozenset({TINY_BLOB, BLOB, MEDIUM_BLOB, LONG_BLOB})
STRINGS: Final = frozenset({VARCHAR, VAR_STRING, STRING})
