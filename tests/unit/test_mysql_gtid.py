"""GTID sets and positions: the server's text and bytes, and the arithmetic against plain sets."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.mysql.binlog import intervals
from connectors.mysql.binlog.gtid import GREATEST, GtidSet
from connectors.mysql.binlog.intervals import Intervals
from connectors.mysql.binlog.mariadb_gtid import GtidPosition

A = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
B = "4f22fb58-82db-22f2-0f44-d91bb0530673"
SOURCES = (A, f"{A}:_east", f"{A}:west", B, f"{B}:w2")

gtids = st.builds(lambda source, number: f"{source}:{number}", st.sampled_from(SOURCES), st.integers(1, 24))
members = st.sets(gtids, max_size=60)


def made(found: set[str]) -> GtidSet:
    """As it comes to be in a stream: one after the other."""
    result = GtidSet()
    for gtid in found:
        result = result.add(gtid)
    return result


@given(members)
def test_a_set_holds_what_was_added_and_nothing_else(found: set[str]) -> None:
    result = made(found)
    every = {f"{source}:{number}" for source in SOURCES for number in range(1, 30)}
    assert {gtid for gtid in every if gtid in result} == found
    assert result.count == len(found)
    assert bool(result) is bool(found)


@given(st.lists(st.tuples(st.sampled_from(SOURCES), st.integers(1, 12), st.integers(1, 4)), max_size=12))
def test_a_set_that_grows_leaves_those_before_it_as_they_were(runs: list[tuple[str, int, int]]) -> None:
    """As a log has them: the next of a source mostly, else of another source, in a hole, or for the second
    time."""
    held: list[str] = []
    grown = [GtidSet()]
    for source, first, length in runs:
        for number in range(first, first + length):
            gtid = f"{source}:{number}"
            found = grown[-1].beyond(gtid)
            if gtid in held:
                assert found is None
                assert grown[-1].add(gtid) is grown[-1]
            else:
                assert found == grown[-1].add(gtid)
                assert found is not None
                grown.append(found)
                held.append(gtid)
    for size, one in enumerate(grown):
        assert one == GtidSet.parse(",".join(held[:size]))
        assert one.count == size


def test_a_source_ends_with_the_greatest_number() -> None:
    last = GtidSet.parse(f"{A}:1-{GREATEST - 2}").add(f"{A}:{GREATEST - 1}").add(f"{A}:{GREATEST}")
    assert str(last) == f"{A}:1-{GREATEST}"
    for grow in (last.add, last.beyond):
        with pytest.raises(ValueError, match="not a GTID"):
            grow(f"{A}:{GREATEST + 1}")


@pytest.mark.parametrize("position", [GtidSet(), GtidPosition()])
def test_nothing_goes_on_where_nothing_was(position: GtidSet | GtidPosition) -> None:
    for name in (":1", f":{GREATEST + 1}", "-1", f"-{2**64}", ""):
        with pytest.raises(ValueError, match="not a GTID"):
            position.beyond(name)


@given(members)
def test_a_set_has_one_text_and_one_encoding(found: set[str]) -> None:
    result = made(found)
    assert GtidSet.parse(str(result)) == result
    assert GtidSet.parse(",".join(found).upper()) == result
    assert GtidSet.decode(result.encode()) == result
    assert hash(GtidSet.parse(str(result))) == hash(result)
    assert GtidSet.parse(str(result)).count == result.count


@given(members, members)
def test_sets_are_added_and_subtracted_as_sets_are(one: set[str], other: set[str]) -> None:
    first, second = made(one), made(other)
    assert first | second == made(one | other)
    assert (first | second).count == len(one | other)
    assert first - second == made(one - other)
    assert first & second == made(one & other)
    assert first.covers(second) is (one >= other)
    assert first.add(next(iter(other), f"{A}:1")).covers(first)


RANGES = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9)).map(lambda drawn: (drawn[0], sum(drawn))), max_size=12
)


@given(RANGES, RANGES, st.integers(0, 60), st.sampled_from([1, 10**12, GREATEST - 60]))
def test_intervals_are_sets_of_numbers(
    one: list[tuple[int, int]], other: list[tuple[int, int]], number: int, base: int
) -> None:
    """Overlapping and touching, small and as large as they get."""

    def moved(ranges: list[tuple[int, int]]) -> Intervals:
        return intervals.normalized([(base + first, base + last) for first, last in ranges])

    def numbers(ranges: list[tuple[int, int]]) -> set[int]:
        return {base + n for first, last in ranges for n in range(first, last + 1)}

    def of(members: set[int]) -> Intervals:
        return intervals.normalized([(n, n) for n in members])

    first, second = moved(one), moved(other)
    members, others, number = numbers(one), numbers(other), base + number
    assert first == of(members)
    assert all(after[0] > before[1] + 1 for before, after in pairwise(first))
    assert intervals.count(first) == len(members)
    assert intervals.contains(first, number) is (number in members)
    assert intervals.without(first, second) == of(members - others)
    if number not in members:
        assert intervals.with_number(first, number) == of({*members, number})


@st.composite
def texts(draw: st.DrawFn) -> tuple[str, set[str]]:
    """A set as people write it, and what is in it: ranges that overlap, sources twice, tags, blanks,
    capitals, nothing between commas."""
    parts: list[str] = []
    found: set[str] = set()
    for _ in range(draw(st.integers(0, 5))):
        uuid = draw(st.sampled_from((A, B)))
        words = [draw(st.sampled_from((uuid, uuid.upper())))]
        source = uuid
        for _ in range(draw(st.integers(0, 6))):
            if draw(st.booleans()) and draw(st.booleans()):
                tag = draw(st.sampled_from(("east", "_w", "T1", "a" * 32)))
                words.append(tag)
                source = f"{uuid}:{tag.lower()}"
                continue
            first, size = draw(st.integers(1, 30)), draw(st.integers(-2, 6))
            dash = draw(st.sampled_from(("-", " - ")))
            words.append(
                f"{first}" if size == 0 else f"{first}{dash}{first + size}" if first + size > 0 else "1"
            )
            last = first + size if first + size > 0 else 1
            start = first if first + size > 0 else 1
            found |= {f"{source}:{n}" for n in range(start, last + 1)}
        blank = draw(st.sampled_from(("", " ", "\n")))
        parts.append(f"{blank}:{blank}".join(words))
        parts += [""] * draw(st.integers(0, 1))
    return draw(st.sampled_from((",", ",\n", " , "))).join(parts), found


@given(texts())
def test_a_set_is_read_as_people_write_it(drawn: tuple[str, set[str]]) -> None:
    text, found = drawn
    result = GtidSet.parse(text)
    assert result == made(found)
    assert result.count == len(found)


@given(st.text("0123456789abcdef-:,_ \nXé¹", max_size=60) | st.text(max_size=20), st.booleans())
def test_any_text_is_a_set_or_refused(text: str, behind: bool) -> None:
    for read in (GtidSet.parse, GtidPosition.parse):
        try:
            result = read(f"{A}:{text}" if behind else text)
        except ValueError:
            continue
        assert read(str(result)) == result


@given(members, members, members)
def test_sets_keep_the_laws_of_sets(one: set[str], other: set[str], third: set[str]) -> None:
    a, b, c = made(one), made(other), made(third)
    assert a - (b | c) == (a - b) - c
    assert (a | b) & c == (a & c) | (b & c)
    assert (a.covers(b) and b.covers(a)) is (a == b)
    assert (a | b).covers(a)
    assert a.covers(a & b)
    assert not (a - b) & b
    assert (a - b) | (a & b) == a


@given(st.binary(max_size=80))
def test_bytes_are_a_set_or_refused(data: bytes) -> None:
    try:
        result = GtidSet.decode(data)
    except ValueError:
        return
    assert result.encode() == data


@given(members.filter(bool), st.data())
def test_an_encoding_that_is_cut_off_is_refused(found: set[str], data: st.DataObject) -> None:
    encoded = made(found).encode()
    with pytest.raises(ValueError, match=r"GTID set|UUID"):
        GtidSet.decode(encoded[: data.draw(st.integers(0, len(encoded) - 1))])


def test_the_text_is_the_servers() -> None:
    result = GtidSet.parse(f"{B}:5:1-3:4 , {A.upper()}:WEST:1:3 - 4:_east:7,\n{A}:9,, {A}:10")
    assert str(result) == f"{A}:9-10:_east:7:west:1:3-4,{B}:1-5"
    assert repr(result) == f"GtidSet.parse('{result}')"
    assert [source for source, _ in result.sources()] == [A, f"{A}:_east", f"{A}:west", B]
    assert GtidSet.parse(f"{A}:3-2") == GtidSet.parse(A) == GtidSet()


def test_the_encoding_is_the_servers() -> None:
    uuid = bytes.fromhex(A.replace("-", ""))
    one = (1).to_bytes(8, "little")
    plain = one + uuid + one + one + (4).to_bytes(8, "little")
    assert GtidSet.parse(f"{A}:1-3").encode() == plain
    tagged = bytes.fromhex("01 01 00 00 00 00 00 01") + uuid + b"\x08west" + plain[24:]
    assert GtidSet.parse(f"{A}:west:1-3").encode() == tagged
    assert GtidSet().encode() == bytes(8)


@pytest.mark.parametrize(
    "text",
    [
        "1-5",
        f"{A}:0",
        f"{A}:1-2-3",
        f"{A}:1 2",
        f"{A}:te-st",
        f"{A}x:1",
        f"{A}:{'t' * 33}:1",
        f"{A}:{2**63}",
    ],
)
def test_what_is_no_set_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|tag|number"):
        GtidSet.parse(text)


@pytest.mark.parametrize(
    "gtid", ["", A, f"{A}:", f"{A}:0", f"{A}:1-2", f"{A.upper()}:1", f"{A}:a:b:1", f"{A}:¹"]
)
def test_what_is_no_gtid_is_refused(gtid: str) -> None:
    with pytest.raises(ValueError, match="not a GTID"):
        GtidSet().add(gtid)


def test_a_set_is_told_shortly() -> None:
    result = GtidSet.parse(f"{A}:1-5:7:9-10,{B}:1-4")
    assert result.brief(2) == f"{A}:1-5:7 and 6 more"
    assert result.brief(4) == str(result)
    assert GtidSet().brief() == "none"


class TestPositions:
    def test_the_text_is_the_servers_in_the_order_of_the_domains(self) -> None:
        position = GtidPosition.parse("2-1-9, 0-1-7")
        assert str(position) == "0-1-7,2-1-9"
        assert repr(position) == "GtidPosition.parse('0-1-7,2-1-9')"
        assert list(position.domains()) == [(0, 1, 7), (2, 1, 9)]
        assert not GtidPosition.parse("")
        assert str(GtidPosition()) == ""

    def test_a_transaction_is_the_last_of_its_domain(self) -> None:
        position = GtidPosition.parse("0-1-7").add("0-2-8").add("3-1-1")
        assert str(position) == "0-2-8,3-1-1"
        assert "0-1-8" in position
        assert "0-1-9" not in position
        assert "1-1-1" not in position

    def test_what_has_come_further_covers(self) -> None:
        position = GtidPosition.parse("0-1-7,1-1-2")
        assert position.covers(GtidPosition.parse("0-2-6"))
        assert position.covers(position)
        assert position.covers(GtidPosition())
        assert not position.covers(GtidPosition.parse("0-2-7"))  # another transaction of this number
        assert not position.covers(GtidPosition.parse("0-1-8"))
        assert not position.covers(GtidPosition.parse("2-1-1"))

    def test_what_is_missing_is_told(self) -> None:
        position = GtidPosition.parse("0-1-7")
        assert position.missing(GtidPosition.parse("0-2-9,1-1-3")) == "0-2-8 to 0-2-9, 1-1-1 to 1-1-3"
        assert position.missing(GtidPosition.parse("0-2-7")) == "0-2-7"
        assert position.missing(position) == "none"

    @pytest.mark.parametrize(
        "text", ["0-1", "0-1-7,0-2-8", "a-1-1", f"{2**32}-1-1", "0-1-7,,1-1-1", f"0-1-{2**64}"]
    )
    def test_what_is_no_position_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match=r"GTID|domain"):
            GtidPosition.parse(text)

    @given(
        *[
            st.dictionaries(
                st.integers(0, 3) | st.just(2**32 - 1),
                st.tuples(st.integers(1, 2) | st.just(2**32 - 1), st.integers(1, 9) | st.just(2**64 - 1)),
                max_size=4,
            )
        ]
        * 2
    )
    def test_positions_are_what_every_domain_has_come_to(
        self, one: dict[int, tuple[int, int]], other: dict[int, tuple[int, int]]
    ) -> None:
        """Against a plain look at each domain."""
        first, second = GtidPosition(one), GtidPosition(other)
        behind = {domain for domain, (server, number) in other.items() if one.get(domain, (0, 0))[1] < number}
        apart = {
            domain
            for domain, (server, number) in other.items()
            if domain in one and one[domain][1] == number and one[domain][0] != server
        }
        assert first.covers(second) is (not behind | apart)
        missing = first.missing(second)
        assert (missing == "none") is first.covers(second)
        assert {
            int(part.partition("-")[0]) for part in missing.split(", ") if part != "none"
        } == behind | apart
        for domain, (server, number) in other.items():
            name = f"{domain}-{server}-{number}"
            assert (name in first) is (domain not in behind)
            assert first.add(name) == GtidPosition({**one, domain: (server, number)})
            assert name in first.add(name)
            assert first.beyond(name) == (None if name in first else first.add(name))
            assert first.number == sum(last for _, last in one.values())

    @given(
        st.lists(
            st.tuples(st.integers(0, 1), st.integers(1, 2), st.integers(1, 12), st.integers(1, 4)),
            max_size=12,
        )
    )
    def test_a_position_that_grows_leaves_those_before_it_as_they_were(
        self, runs: list[tuple[int, int, int, int]]
    ) -> None:
        """As a log has them: the next of a server mostly, else of another one, of another domain, or for the
        second time."""
        grown, plain = [GtidPosition()], [dict[int, tuple[int, int]]()]
        for domain, server, first, length in runs:
            for number in range(first, first + length):
                found = grown[-1].beyond(f"{domain}-{server}-{number}")
                if number <= plain[-1].get(domain, (0, 0))[1]:
                    assert found is None
                else:
                    assert found is not None
                    grown.append(found)
                    plain.append({**plain[-1], domain: (server, number)})
        for one, domains in zip(grown, plain, strict=True):
            assert one == GtidPosition(domains)
            assert (str(one), one.number) == (str(GtidPosition(domains)), sum(n for _, n in domains.values()))

    def test_a_domain_ends_with_the_greatest_number(self) -> None:
        last = GtidPosition.parse(f"0-1-{2**64 - 3}").beyond(f"0-1-{2**64 - 2}")
        assert last is not None
        last = last.beyond(f"0-1-{2**64 - 1}")
        assert str(last) == f"0-1-{2**64 - 1}"
        assert last is not None
        with pytest.raises(ValueError, match="not a GTID"):
            last.beyond(f"0-1-{2**64}")

    @given(st.dictionaries(st.integers(0, 3), st.tuples(st.integers(1, 2), st.integers(1, 3)), max_size=4))
    def test_a_position_is_its_text(self, domains: dict[int, tuple[int, int]]) -> None:
        position = GtidPosition(domains)
        assert GtidPosition.parse(str(position)) == position
        assert hash(GtidPosition.parse(str(position))) == hash(position)
