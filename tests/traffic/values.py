"""Random values of PostgreSQL's types, as text that their input functions take."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from random import Random

_NAMESPACE = uuid.UUID(int=0)
LARGE = 2_500  # characters; what PostgreSQL moves out of the row is larger than 2 kB

_TEXTS = (
    "",
    " ",
    "plain",
    "it's",
    "''",
    'a "quoted" word',
    "back\\slash \\n \\x41",
    "two\nlines\r\n",
    "tab\there",
    "null",
    "NULL",
    "unchanged-toast-datum",
    "id[integer]:7 name[text]:'x'",
    "größer, ünï, 日本語, 🦆",
    "\u2028\u00a0\ufeff\x7f\x01",
    "{curly,\"braces\",NULL}",
    "%s %(x)s {offset} {index}",
)  # fmt: skip


def _text(random: Random) -> str:
    return random.choice(_TEXTS)


def _large_text(random: Random) -> str:
    return "".join(random.choice("abcdefgh ü🦆'\\\"\n") for _ in range(random.randint(40, 90))) * (
        LARGE // 40
    )


def _json(random: Random, text: str) -> str:
    document = {"n": random.choice([0, -1, 1.5, 1e30, 2**60]), "s": text, "l": [None, True, {"k": [[]]}]}
    return json.dumps(document, ensure_ascii=random.random() < 0.5)


def _float(random: Random) -> str:
    special = ["0", "-0", "1e300", "-2.5e-300", "NaN", "Infinity", "-Infinity", "100000", "1e15", "123456789"]
    return random.choice([*special, repr(random.uniform(-1e6, 1e6)), repr(random.gauss(0, 1e-6))])


def _real(random: Random) -> str:
    return random.choice(["0", "1.1", "-3.4e38", "1e-37", "NaN", "Infinity", "16777216", "1e6", "0.3"])


def _date(random: Random) -> str:
    usual = f"{random.randint(1900, 2100)}-{random.randint(1, 12):02}-{random.randint(1, 28):02}"
    return random.choice([usual, usual, usual, "0001-01-01", "9999-12-31", "1969-12-31", "2024-02-29"])


def _clock(random: Random) -> str:
    fraction = random.choice(["", ".5", ".123", ".000001", ".999999"])
    return f"{random.randint(0, 23):02}:{random.randint(0, 59):02}:{random.randint(0, 59):02}{fraction}"


def _moment(random: Random) -> str:
    return f"{_date(random)} {_clock(random)}"


def _zone(random: Random) -> str:
    return random.choice(["+00", "+02", "-05", "+05:30", "-11:30"])


def _element(random: Random, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return random.choice(["NULL", f'"{escaped}"'])


def _array(elements: list[str]) -> str:
    return "{" + ",".join(elements) + "}"


def _integers(random: Random) -> str:
    nested = "{{1,2},{3,NULL}}"
    return random.choice([nested, _array([str(random.randint(-9, 9)) for _ in range(random.randint(0, 5))])])


def _decimals(random: Random) -> str:
    return _array([random.choice(["NULL", "0.00", "-1.50", "99.99"]) for _ in range(random.randint(0, 3))])


_RANDOM: dict[str, Callable[[Random], str]] = {
    "boolean": lambda random: random.choice(["t", "f"]),
    "smallint": lambda random: str(random.choice([-32768, 32767, 0, 7])),
    "integer": lambda random: str(random.choice([-(2**31), 2**31 - 1, random.randint(-99, 99)])),
    "bigint": lambda random: str(random.choice([-(2**63), 2**63 - 1, random.randint(-99, 99)])),
    "real": _real,
    "double precision": _float,
    "numeric": lambda random: random.choice(["0", "0.000", "1e20", "-12.3400", "0." + "1234567890" * 6]),
    "numeric(12,3)": lambda random: f"{random.randint(-(10**11), 10**11)}e-3",
    "numeric(6,0)": lambda random: str(random.choice([0, -1, 127, 128, -128, -129, 999999])),
    "text": _text,
    "character varying(40)": _text,
    "character(9)": lambda random: random.choice(["", "ab", "üñî", "123456789"]),
    "bytea": lambda random: "\\x" + random.randbytes(random.choice([0, 1, 17])).hex(),
    "date": _date,
    "time without time zone": _clock,
    "time(3) without time zone": _clock,
    "time with time zone": lambda random: _clock(random) + _zone(random),
    "timestamp without time zone": _moment,
    "timestamp(3) without time zone": _moment,
    "timestamp with time zone": lambda random: random.choice(
        ["infinity", "-infinity", _moment(random) + _zone(random), _moment(random) + _zone(random)]
    ),
    "uuid": lambda random: str(uuid.UUID(int=random.getrandbits(128))),
    "json": lambda random: _json(random, _text(random)),
    "jsonb": lambda random: _json(random, _text(random)),
    "mood": lambda random: random.choice(["sad", "so-so", "it's \"fine\""]),
    "integer[]": _integers,
    "text[]": lambda random: _array([_element(random, _text(random)) for _ in range(random.randint(0, 4))]),
    "numeric(6,2)[]": _decimals,
    "mood[]": lambda random: _array([random.choice(["sad", "so-so", "NULL"]) for _ in range(2)]),
}  # fmt: skip

_LARGE: dict[str, Callable[[Random], str]] = {
    "text": _large_text,
    "jsonb": lambda random: _json(random, _large_text(random)),
    "bytea": lambda random: "\\x" + random.randbytes(LARGE).hex(),
    "text[]": lambda random: _array([_element(random, _large_text(random)), '"x"']),
}


def value(type: str, random: Random) -> str:
    """Any value of the type, the odd ones often."""
    return _RANDOM[type](random)


def large_value(type: str, random: Random) -> str:
    """A value that is stored out of the row."""
    return _LARGE[type](random)


def key_value(type: str, random: Random, keys: int) -> str:
    """One of `keys` different values, so that clients meet each other."""
    number = random.randrange(keys)
    if type in ("bigint", "integer"):
        return str(number)
    if type == "uuid":
        return str(uuid.uuid5(_NAMESPACE, str(number)))
    if type == "date":
        return f"2024-01-{number % 28 + 1:02}"
    return f"{_TEXTS[number % 8]}{number}"
