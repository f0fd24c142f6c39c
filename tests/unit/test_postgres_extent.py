"""Column lists and row filters as SQL, and how they are recognised again."""

import pytest

from connectors.postgres.catalogue import ColumnFacts, Relation, ReplicaIdentity
from connectors.postgres.column_lists import chosen, unidentified
from connectors.postgres.extent import WHOLE, Extent, entry, mark, marking, marks, same, set_here, written_so
from connectors.postgres.row_filters import RowFilter, misfit
from tailrace.errors import NotReady
from tailrace.patterns import NamePattern

_T = Relation(1, "s", "t", "s.t", "r", "p", True, (), ())
_ODD = Relation(2, 'a"b', "My Table", '"a""b"."My Table"', "r", "p", True, (), ())


@pytest.mark.parametrize(
    ("relation", "extent", "sql"),
    [
        (_T, WHOLE, 'ONLY "s"."t"'),
        (_T, Extent(("id", "n")), 'ONLY "s"."t" ("id", "n")'),
        (_T, Extent(where="n > 0"), 'ONLY "s"."t" WHERE (n > 0)'),
        (_T, Extent(where="(n > 0)"), 'ONLY "s"."t" WHERE (n > 0)'),
        (_T, Extent(where="(n > 0) OR (n < 9)"), 'ONLY "s"."t" WHERE ((n > 0) OR (n < 9))'),
        (_T, Extent(where="(x = '(') OR (x = ')')"), "ONLY \"s\".\"t\" WHERE ((x = '(') OR (x = ')'))"),
        (_T, Extent(where="(x = ')')"), 'ONLY "s"."t" WHERE (x = \')\')'),
        (_T, Extent(where='("a)" > 0)'), 'ONLY "s"."t" WHERE ("a)" > 0)'),
        (_T, Extent(where="n > 0 -- a comment)"), 'ONLY "s"."t" WHERE (n > 0 -- a comment)\n)'),
        (_T, Extent(where="x LIKE '{}%s'"), 'ONLY "s"."t" WHERE (x LIKE \'{}%s\')'),
        (
            _ODD,
            Extent(("id", 'say "hi"; --'), "n > 0"),
            'ONLY "a""b"."My Table" ("id", "say ""hi""; --") WHERE (n > 0)',
        ),
    ],
)
def test_as_sql(relation: Relation, extent: Extent, sql: str) -> None:
    assert entry(relation, extent).as_string() == sql


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("n > 0", "(n > 0)", True),
        (" ( (n >\n0) ) ", "n > 0", True),
        ("(n > 0) OR (n < 9)", "((n > 0) OR (n < 9))", True),
        ("n > 0", "n > 1", False),
        ("(x = '(') OR (x = ')')", "x = '(') OR (x = ')'", False),
        ("n > 0", None, False),
        (None, None, True),
    ],
)
def test_filters_that_are_the_same(one: str | None, other: str | None, equal: bool) -> None:
    assert same(Extent(where=one), Extent(where=other)) is equal
    assert not same(Extent(("id",), one), Extent(where=other))


def test_what_was_set_is_known_again() -> None:
    set_once = Extent(("id",), "(n > 0)", "n>0")
    given = {"s.t": mark(Extent(("id",))), "s.täble": mark(set_once)}
    statement = marking("p", given).as_string()
    assert statement.startswith('COMMENT ON PUBLICATION "p" IS \'tailrace set these column lists')
    assert marks(statement.partition(" IS '")[2][:-1]) == given
    assert set_here(given["s.täble"], Extent(("id",), "(n > 0)"))
    assert written_so(given["s.täble"], "n>0")
    assert not written_so(given["s.täble"], "n > 0")
    for other in (WHOLE, Extent(("id",)), Extent(("id", "n"), "(n > 0)"), Extent(("id",), "(n > 1)")):
        assert not set_here(given["s.täble"], other)
    assert not set_here(None, WHOLE)
    assert len({mark(e) for e in (WHOLE, Extent(()), Extent(("a", "b")), Extent(("a, b",)))}) == 4


@pytest.mark.parametrize(
    "comment", [None, "", "by hand", "tailrace set these column lists and row filters: {"]
)
def test_another_comment_is_no_mark(comment: str | None) -> None:
    assert marks(comment) == {}


def test_no_mark_is_no_comment() -> None:
    assert marking("p", {}).as_string() == 'COMMENT ON PUBLICATION "p" IS NULL'


def _columns(*names: str) -> list[ColumnFacts]:
    """`g` is generated and stored, `v` generated and virtual."""
    return [ColumnFacts("s.t", name, 23, -1, name in "gv", name == "g") for name in names]


def _patterns(*texts: str) -> list[NamePattern]:
    return [NamePattern.parse(text) for text in texts]


@pytest.mark.parametrize(
    ("patterns", "stored", "names"),
    [
        (("n", "id"), False, ("id", "n")),  # in the order of the table
        (("id", "a_*"), False, ("id", "a_1", "a_2")),
        (("id", "?"), False, ("id", "n")),
        (("id", "?"), True, ("id", "n", "g")),
        (("id", "*"), False, None),
        (("id", '"*"'), False, ("id", "*")),
    ],
)
def test_columns_by_pattern(patterns: tuple[str, ...], stored: bool, names: tuple[str, ...] | None) -> None:
    columns = _columns("id", "n", "a_1", "a_2", "g", "v", *(["*"] if '"*"' in patterns else []))
    assert chosen(_T, _patterns(*patterns), columns, stored=stored) == names


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        ("nmae", "s.t has no column nmae: Correct the name, case included. Did you mean name?"),
        ("g", "column g of s.t is a generated one"),
        ("b_*", "no column of s.t matches b_*"),
    ],
)
def test_columns_that_are_not_there(pattern: str, told: str) -> None:
    with pytest.raises(NotReady) as refused:
        chosen(_T, _patterns(pattern), _columns("id", "name", "g"), stored=False)
    assert refused.value.code.id == "TR-PG-222"
    assert told in f"{refused.value.found}: {refused.value.remedy}"


def _identity(*index: str, full: bool = False, primary: tuple[str, ...] = ()) -> ReplicaIdentity:
    return ReplicaIdentity(full, frozenset(index), frozenset(primary or index), frozenset())


@pytest.mark.parametrize(
    ("identity", "updates", "told"),
    [
        (_identity("id"), True, None),
        (_identity("id", "x"), True, "x is missing"),
        (_identity("id", primary=("x",)), True, None),
        (_identity(full=True, primary=("id",)), True, "REPLICA IDENTITY FULL"),
        (_identity(full=True, primary=("id",)), False, None),
        (_identity(primary=("x",)), False, "x is missing"),  # its events would have no key
        (_identity(), False, None),
    ],
)
def test_columns_hold_what_tells_rows_apart(
    identity: ReplicaIdentity, updates: bool, told: str | None
) -> None:
    errors = unidentified(_T, _T, ("id", "n"), identity, updates=updates)
    assert [told in error.found for error in errors if told] == ([True] if told else [])
    assert len(errors) == (told is not None)


@pytest.mark.parametrize(
    ("needs", "row", "identity", "told"),
    [
        ({"id"}, False, _identity("id"), None),
        ({"id", "n"}, False, _identity("id"), "needs the columns n, "),
        ({"id", "n"}, True, _identity(full=True), None),
        (set(), True, _identity("id"), "needs whole rows"),
    ],
)
def test_a_filter_judges_old_rows(
    needs: set[str], row: bool, identity: ReplicaIdentity, told: str | None
) -> None:
    errors = misfit(_T, _T, RowFilter("(…)", frozenset(needs), row), identity)
    assert [error.code.id for error in errors] == (["TR-PG-223"] if told else [])
    assert all(told is not None and told in error.found for error in errors)
