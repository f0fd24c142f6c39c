"""Patterns over one name; those over schema.table are tested with the tables of PostgreSQL."""

from __future__ import annotations

import pytest

from tailrace.patterns import NamePattern


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("email", "email", True),
        ("email", "Email", False),
        ("e*", "email", True),
        ("e*", "me", False),
        ("?d", "id", True),
        ("a.b", "a.b", True),
        ("a.b", "axb", False),
        ('"a*"', "a*", True),
        ('"a*"', "ab", False),
        ('"a""b"', 'a"b', True),
        ("a b", "a b", True),
    ],
)
def test_names(pattern: str, name: str, matches: bool) -> None:
    assert NamePattern.parse(pattern).matches(name) is matches


def test_a_pattern_that_stands_for_one_name_knows_it() -> None:
    assert NamePattern.parse("email").literal == "email"
    assert NamePattern.parse('"e*"').literal == "e*"
    assert NamePattern.parse("e*").literal is None


@pytest.mark.parametrize("text", ["", '"', '"a', '"a"b'])
def test_what_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match="no name"):
        NamePattern.parse(text)
