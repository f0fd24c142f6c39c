"""Patterns over schema.table."""

from collections.abc import Sequence

import pytest

from connectors.postgres.catalogue import Relation, select
from connectors.postgres.tables import Pattern, TableFilter


@pytest.mark.parametrize(
    ("pattern", "schema", "table", "matches"),
    [
        ("public.orders", "public", "orders", True),
        ("public.orders", "public", "Orders", False),
        ("public.orders", "public", "orders2", False),
        ("public.orders", "apublic", "orders", False),
        ("public.Orders", "public", "Orders", True),
        ("public.order*", "public", "orders", True),
        ("public.order?", "public", "orders", True),
        ("public.order?", "public", "order", False),
        ("*.orders", "any schema", "orders", True),
        ("*.*", "a", "b\nc", True),
        ("*.*", "a.b", "c", True),
        ("public.a+b", "public", "a+b", True),
        ("public.a+b", "public", "aab", False),
        ("Größe.straße", "Größe", "straße", True),
        ("my schema.my table", "my schema", "my table", True),
        ('"a.b".c', "a.b", "c", True),
        ('"a.b".c', "a", "b.c", False),
        ('a."b*"', "a", "b*", True),
        ('a."b*"', "a", "bc", False),
        ('a."say ""hi"""', "a", 'say "hi"', True),
    ],
)
def test_matches(pattern: str, schema: str, table: str, matches: bool) -> None:
    assert Pattern.parse(pattern).matches(schema, table) is matches


@pytest.mark.parametrize("text", ["", ".", "orders", "a.", ".a", "a.b.c", 'a."b', 'a"b".c', 'a.""', "a.b."])
def test_is_no_pattern(text: str) -> None:
    with pytest.raises(ValueError, match=r"is not schema\.table"):
        Pattern.parse(text)


def test_a_literal_pattern_names_one_table() -> None:
    assert Pattern.parse('a."b.*"').literal == ("a", "b.*")
    assert Pattern.parse("a.b*").literal is None


def _filter(*include: str, exclude: tuple[str, ...] = ()) -> TableFilter:
    return TableFilter([Pattern.parse(p) for p in include], [Pattern.parse(p) for p in exclude])


def test_what_is_excluded_is_not_captured() -> None:
    tables = _filter("public.*", "audit.log", exclude=("*.tmp*",))
    captured = [("public", "a"), ("public", "tmp_a"), ("audit", "log"), ("audit", "other")]
    assert [tables.captured(*table) for table in captured] == [True, False, True, False]


def _relation(
    oid: int, name: str, kind: str, persistence: str = "p", ancestors: Sequence[int] = ()
) -> Relation:
    return Relation(oid, "s", name, f"s.{name}", kind, persistence, True, "o", ancestors, ())


def test_a_partition_goes_with_its_table() -> None:
    root = _relation(1, "root", "p")
    leaf = _relation(2, "leaf", "r", ancestors=[2, 1])
    view = _relation(3, "view", "v")
    unlogged = _relation(4, "unlogged", "r", "u")
    relations = [root, leaf, view, unlogged]
    assert select(relations, _filter("s.*")) == [root]
    assert select(relations, _filter("s.leaf")) == [leaf]
    assert select(relations, _filter("s.*", exclude=("s.root",))) == [leaf]
