"""Column lists and row filters as SQL, and how they are recognised again."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from connectors.postgres.catalogue import ColumnFacts, Relation, ReplicaIdentity
from connectors.postgres.column_lists import chosen, unidentified
from connectors.postgres.extent import WHOLE, Extent, entry, mark, marking, marks, same, set_here, written_so
from connectors.postgres.membership import Assignment, Membership, Names
from connectors.postgres.publication import Publication
from connectors.postgres.row_filters import RowFilter, misfit
from connectors.postgres.tables import Pattern
from connectors.postgres.wanted import named
from tailrace.errors import NotReady
from tailrace.patterns import NamePattern

_T = Relation(1, "s", "t", "s.t", "r", "p", True, "o", (), ())
_ODD = Relation(2, 'a"b', "My Table", '"a""b"."My Table"', "r", "p", True, "o", (), ())


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
        ("(x = 'a b')", "(x  = 'a b')", True),
        ("(x = 'a b')", "(x = 'a  b')", False),
        ("(x = 'it''s\n')", "(x = 'it''s ')", False),
        ('("a b" > 0)', '("a  b" > 0)', False),
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
    statement = marking("p", None, given).as_string()
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
    assert marking("p", None, {}).as_string() == 'COMMENT ON PUBLICATION "p" IS NULL'


@pytest.mark.parametrize("comment", ["of the shop", "two\n\nlines\n", "{"])
def test_a_comment_by_hand_stays_beside_the_mark(comment: str) -> None:
    def told(before: str, left: Mapping[str, str]) -> str:
        return marking("p", before, left).as_string().partition(" IS ")[2].strip("'")

    marked = told(comment, {"s.t": "1"})
    assert marks(marked) == {"s.t": "1"}
    assert marks(f"{marked}\nand a word behind it") == {"s.t": "1"}
    assert marks(other := told(marked, {"s.t": "2"})) == {"s.t": "2"}
    assert told(other, {}) == comment


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


def _publication(
    *listed: Relation, extents: dict[Relation, Extent] | None = None, comment: str | None = None
) -> Publication:
    """`p`, of these tables by name."""
    return Publication(
        "p", False, True, True, True, True, frozenset(r.oid for r in listed), False, comment,
        {relation.qualified: (relation.quoted, extent) for relation, extent in (extents or {}).items()},
        {relation.qualified: None for relation in listed},
    )  # fmt: skip


def _membership(
    publication: Publication | None, extents: Mapping[int, Extent | None], *, ours: bool = True
) -> Membership:
    return Membership(Names("p", None), publication, None, Assignment([_T, _ODD], []), [], extents, ours=ours)


def _comment(**left: Extent) -> str:
    text = marking("p", None, {f"s.{name}": mark(extent) for name, extent in left.items()}).as_string()
    return text.partition(" IS '")[2][:-1]


def test_what_is_set_at_first_is_marked() -> None:
    created, commented = _membership(None, {1: Extent(("id",), "(n > 0)", "n>0")}).statements()
    assert created.as_string() == (
        'CREATE PUBLICATION "p" FOR TABLE ONLY "s"."t" ("id") WHERE (n > 0), ONLY "a""b"."My Table" '
        "WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = true)"
    )
    assert '{"s.t": ' in commented.as_string()
    assert len(_membership(None, {}).statements()) == 1


def test_another_part_is_taken_out_and_put_in() -> None:
    before = Extent(("id", "n"))
    publication = _publication(_T, _ODD, extents={_T: before}, comment=_comment(t=before))
    changed = _membership(publication, {1: Extent(("id",), "(n > 0)", "n>0")})
    assert changed.unfit([_T, _ODD]) is None
    removed, added, commented = (statement.as_string() for statement in changed.statements())
    assert removed == 'ALTER PUBLICATION "p" DROP TABLE ONLY "s"."t"'
    assert added == 'ALTER PUBLICATION "p" ADD TABLE ONLY "s"."t" ("id") WHERE (n > 0)'
    assert commented.startswith('COMMENT ON PUBLICATION "p" IS ')
    assert changed.differences() == [
        "publication p publishes of s.t: the columns id, n; the file says: the columns id, the rows WHERE "
        "(n > 0)"
    ]
    removed, added, commented = (
        statement.as_string() for statement in _membership(publication, {}).statements()
    )
    assert added == 'ALTER PUBLICATION "p" ADD TABLE ONLY "s"."t"'
    assert commented == 'COMMENT ON PUBLICATION "p" IS NULL'


def test_what_the_settings_cannot_have_is_left_as_it_is() -> None:
    before = Extent(("id", "n"))
    publication = _publication(_T, _ODD, extents={_T: before}, comment=_comment(t=before))
    for comment in (publication.comment, None):
        kept = _membership(replace(publication, comment=comment), {1: None})
        assert (kept.statements(), kept.unfit([_T, _ODD])) == ([], None)


def test_lists_of_somebody_elses_are_no_settings_of_before() -> None:
    publication = _publication(
        _T, _ODD, extents={_T: Extent(("id", "n"))}, comment=_comment(t=Extent(("id",)))
    )
    for extents in ({}, {1: Extent(("id",))}):
        error = _membership(publication, extents).unfit([_T, _ODD])
        assert error is not None
        assert error.code.id == "TR-PG-220"
        assert f"ADD TABLE {entry(_T, extents.get(1, WHOLE)).as_string()}; COMMIT;" in error.remedy
    assert _membership(publication, {1: Extent(("id", "n"))}).unfit([_T, _ODD]) is None


def test_a_condition_that_could_not_be_tried_is_to_be_written_as_it_stands() -> None:
    """The statement that is named would bring about what stands already."""
    publication = _publication(_T, _ODD, extents={_T: Extent(where="(n > 0)")})
    error = _membership(publication, {1: Extent(where="n>0", written="n>0")}).unfit([_T, _ODD])
    assert error is not None
    assert (
        "all columns, the rows WHERE (n > 0), the file says all columns, the rows WHERE (n>0)" in error.found
    )
    assert "write it as it stands there" in error.found
    assert _membership(publication, {1: Extent(where="n > 0", written="n > 0")}).unfit([_T, _ODD]) is None
    tried = _membership(publication, {1: Extent(where="(n > 1)", written="n>1")}).unfit([_T, _ODD])
    assert tried is not None
    assert "tried" not in tried.found


def test_a_publication_of_somebody_elses_is_compared_where_the_file_says_something() -> None:
    publication = _publication(_T, _ODD, extents={_T: Extent(("id", "n"), "(n > 0)")})
    for said in (None, Extent(("id", "n")), Extent(where="n > 0"), Extent(("id", "n"), "(n > 0)")):
        assert _membership(publication, {1: said} if said else {}, ours=False).not_made() is None
    error = _membership(publication, {1: Extent(("id",))}, ours=False).not_made()
    assert error is not None
    assert 'ADD TABLE ONLY "s"."t" ("id") WHERE (n > 0);' in error.remedy
    assert "COMMENT" not in error.remedy


def test_of_several_patterns_the_first_counts() -> None:
    root = Relation(5, "s", "root", "s.root", "p", "p", True, "o", (5,), ())
    leaf = Relation(6, "s", "leaf", "s.leaf", "r", "p", True, "o", (6, 5), ())
    wishes = [(Pattern.parse(text), text) for text in ("s.t", "s.roo?", "s.*")]
    found = {str(table): text for table, text in named(wishes, [_T, _ODD, root, leaf], [_ODD, _T, leaf])}
    assert found == {"s.t": "s.t", "s.leaf": "s.roo?"}
