"""The decoder on what real servers sent."""

from itertools import pairwise
from typing import Any

import pytest

from connectors.postgres.position import WalPosition, after
from connectors.postgres.protocol import Decoder, origin
from connectors.postgres.relations import RelationDetails, Relations
from tailrace.errors import Gap, Malformed, NotReady
from tailrace.events import ABSENT, UNCHANGED, Change, Event, SchemaChange
from tests.unit import pgoutput
from tests.unit.pgoutput import (
    MAJORS,
    SCENARIOS,
    again,
    begin,
    changes,
    commit,
    feed,
    insert,
    keepalive,
    kind,
    logical_message,
    recording,
    relation,
    relations,
    truncate,
)

INT4, TEXT = 23, 25
ITEMS = 16400
ITEM_COLUMNS = [("id", INT4, True), ("v", TEXT, False)]
ANNOUNCED = relation(ITEMS, ITEM_COLUMNS, name="item")
DETAILS = {ITEMS: RelationDetails(frozenset({"id"}), ("id",))}


def told(scenario: str, major: int = 16) -> list[tuple[Any, ...]]:
    """The changes of a recording as (op, table, transaction's number, ordinal, index, rows)."""
    found = changes(pgoutput.events(recording(major, scenario)))
    numbers: dict[str, int] = {}
    return [
        (
            change.op,
            str(change.table),
            numbers.setdefault(change.transaction.position, len(numbers) + 1),
            change.ordinal,
            change.index,
            *change.table.split(change.raw),
        )
        for change in found
    ]


def same(event: Event) -> tuple[Any, ...]:
    """What must not differ between two times of decoding an event."""
    transaction = event.transaction
    if isinstance(event, SchemaChange):
        return "schema", str(event.table), [c.name for c in event.table.columns]
    head = (event.op, str(event.table), transaction.id, transaction.timestamp, transaction.source["txId"])
    return *head, event.position, event.offset, event.table.split(event.raw)


@pytest.mark.parametrize("major", MAJORS)
class TestRecordings:
    def test_rows(self, major: int) -> None:
        assert told("rows", major) == [
            ("c", "public.Größe", 1, 1, 0, None, [b"1", "ünï".encode(), b"10"]),
            ("c", "public.Größe", 1, 2, 0, None, [b"2", None, b"20"]),
            ("c", "public.Größe", 1, 3, 0, None, [b"3", b"", b"30"]),
            ("u", "public.Größe", 2, 1, 0, None, [b"1", "ünï".encode(), b"11"]),
            ("d", "public.Größe", 2, 2, 0, [b"2", ABSENT, ABSENT], [b"4", None, b"20"]),
            ("c", "public.Größe", 2, 2, 2, [b"2", ABSENT, ABSENT], [b"4", None, b"20"]),
            ("u", "public.Größe", 3, 1, 0, None, [b"3", b"", b"30"]),
            ("d", "public.Größe", 3, 2, 0, [b"3", ABSENT, ABSENT], None),
        ]

    def test_full_identity_takes_unchanged_values_from_the_old_row(self, major: int) -> None:
        big = b"z" * 2500
        assert told("full", major) == [
            ("c", "public.f", 1, 1, 0, None, [b"x", b"1", big]),
            ("c", "public.f", 1, 2, 0, None, [None, b"2", None]),
            ("u", "public.f", 2, 1, 0, [b"x", b"1", big], [b"y", b"1", big]),
            ("d", "public.f", 3, 1, 0, [None, b"2", None], [None, b"3", None]),
            ("c", "public.f", 3, 1, 2, [None, b"2", None], [None, b"3", None]),
            ("d", "public.f", 3, 2, 0, [b"y", b"1", big], [b"y", b"4", big]),
            ("c", "public.f", 3, 2, 2, [b"y", b"1", big], [b"y", b"4", big]),
            ("d", "public.f", 4, 1, 0, [b"y", b"4", big], None),
        ]

    def test_full_identity_with_a_leading_key(self, major: int) -> None:
        assert told("leading", major)[2:] == [
            ("u", "public.l", 2, 1, 0, [b"1", b"N"], [b"1", b"M"]),
            ("d", "public.l", 2, 2, 0, [b"1", b"M"], [b"2", b"M"]),
            ("c", "public.l", 2, 2, 2, [b"1", b"M"], [b"2", b"M"]),
            ("d", "public.l", 2, 3, 0, [b"10", None], None),
            ("d", "public.l", 2, 4, 0, [b"2", b"M"], None),
        ]

    def test_toast(self, major: int) -> None:
        long = b"k" * 2300
        assert told("toast", major)[2:] == [
            ("u", "public.toasted", 2, 1, 0, None, [b"short", UNCHANGED, b"2"]),
            # A key outside of its row is logged although it is the same: no change of the key.
            ("u", "public.toasted", 3, 1, 0, [long, ABSENT, ABSENT], [long, b"small", b"2"]),
            ("d", "public.toasted", 4, 1, 0, [b"short", ABSENT, ABSENT], [b"other", UNCHANGED, b"2"]),
            ("c", "public.toasted", 4, 1, 2, [b"short", ABSENT, ABSENT], [b"other", UNCHANGED, b"2"]),
        ]

    def test_key_of_another_replica_identity_than_the_primary_key(self, major: int) -> None:
        found = changes(pgoutput.events(recording(major, "index")))
        assert found[0].table.key == (1, 2)  # a change of the primary key would not be told
        assert told("index", major) == [
            ("c", "public.i", 1, 1, 0, None, [b"1", b"2", b"3", b"x"]),
            ("u", "public.i", 2, 1, 0, None, [b"1", b"2", b"3", b"y"]),
            ("d", "public.i", 2, 2, 0, [ABSENT, b"2", b"3", ABSENT], [b"1", b"4", b"3", b"y"]),
            ("c", "public.i", 2, 2, 2, [ABSENT, b"2", b"3", ABSENT], [b"1", b"4", b"3", b"y"]),
            ("u", "public.i", 2, 3, 0, None, [b"9", b"4", b"3", b"y"]),
            ("d", "public.i", 2, 4, 0, [ABSENT, b"4", b"3", ABSENT], None),
        ]

    def test_truncate_of_several_tables(self, major: int) -> None:
        assert told("truncate", major) == [
            ("c", "public.t1", 1, 1, 0, None, [b"1"]),
            ("c", "public.t2", 1, 2, 0, None, [b"1", b"1"]),
            ("t", "public.t1", 1, 3, 0, None, None),
            ("t", "public.t2", 1, 3, 1, None, None),
            ("t", "public.t2", 2, 1, 0, None, None),
        ]

    def test_messages(self, major: int) -> None:
        assert told("messages", major) == [
            ("m", "message", 1, 0, 0, None, (b"one", b"first")),
            ("m", "message", 2, 0, 0, None, (b"two", b"")),
            ("m", "message", 3, 0, 0, None, (b"early", b"before its transaction")),
            ("c", "public.m", 3, 1, 0, None, [b"1"]),  # which commits right behind that message's record
            ("m", "message", 3, 2, 0, None, ("ünï".encode(), b"\x00\xff")),
            ("c", "public.m", 3, 4, 0, None, [b"2"]),  # the tailrace message before it counts
        ]
        found = changes(pgoutput.events(recording(major, "messages")))
        assert [bool(change.transaction.id) for change in found] == [False, False, False, True, True, True]
        table = found[0].table
        assert [(c.name, c.value(b"x"), c.text) for c in table.columns] == [
            ("prefix", "x", True),
            ("content", b"x", False),
        ]
        assert table.key == (0,)

    def test_schema_changes_stand_right_before_their_first_row(self, major: int) -> None:
        found = pgoutput.events(recording(major, "ddl"))
        shape = [
            [c.name for c in e.table.columns] if isinstance(e, SchemaChange) else e.ordinal for e in found
        ]
        assert shape == [["id", "v"], 1, 1, ["id", "v", "w"], 2, 1, ["id", "x", "w"], 1]
        for schema, change in pairwise(found):
            if isinstance(schema, SchemaChange):
                assert (schema.table, schema.transaction, schema.ordinal) == (
                    change.table,
                    change.transaction,
                    change.ordinal,
                )

    def test_savepoints(self, major: int) -> None:
        rows = [after and after[0] for *_, after in told("savepoints", major)]
        assert rows == [b"1", b"3", b"4", *(str(n).encode() for n in range(100, 140))]

    def test_tables_without_a_key(self, major: int) -> None:
        assert {change.table.key for change in changes(pgoutput.events(recording(major, "keyless")))} == {()}
        assert told("keyless", major)[3:] == [
            ("u", "public.nokey", 1, 4, 0, [b"1"], [b"2"]),
            ("u", "public.nokey", 1, 5, 0, [b"1"], [b"2"]),
            ("u", "public.nokey", 1, 6, 0, [None], [b"2"]),
            *(("d", "public.nokey", 1, n, 0, [b"2"], None) for n in (7, 8, 9)),
            ("c", "public.nocolumns", 2, 1, 0, None, []),
        ]

    def test_origin_messages_are_no_changes(self, major: int) -> None:
        assert "O" in map(kind, recording(major, "origin").messages)
        assert told("origin", major) == [("c", "public.o", 1, 1, 0, None, [b"1"])]

    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_any_cut_loses_and_doubles_nothing(self, major: int, scenario: str) -> None:
        """Cut behind every message, go on at that position with a new connection: as if nothing was."""
        recorded = recording(major, scenario)
        whole = [same(event) for event in changes(pgoutput.events(recorded))]
        for at in range(len(recorded.messages)):
            known = relations()
            first = Decoder(known, WalPosition(0))
            batch = feed(first, recorded.messages[:at], recorded.details)
            position = WalPosition.from_document(batch.end) if batch else WalPosition(0)
            events = list(batch.events) if batch else []
            assert not batch or batch.commit != position.inside
            second = Decoder(known, position)
            batch = feed(second, again(recorded.messages, position.end), recorded.details)
            events += batch.events if batch else []
            assert [same(event) for event in changes(events)] == whole
            # An unchanged relation message makes no new version, a schema change is told exactly once.
            tables = {event.table for event in changes(events)}
            assert {e.table for e in events if isinstance(e, SchemaChange)} == tables
            assert len([e for e in events if isinstance(e, SchemaChange)]) == len(tables)

    @pytest.mark.parametrize("scenario", SCENARIOS)
    def test_any_drain_decodes_the_same(self, major: int, scenario: str) -> None:
        recorded = recording(major, scenario)
        whole = [same(event) for event in pgoutput.events(recorded)]
        for size in (1, 2, 3, 5):
            decoder = Decoder(relations(), WalPosition(0))
            events: list[Event] = []
            reached = WalPosition(0)
            for start in range(0, len(recorded.messages), size):
                drained = recorded.messages[start : start + size]
                if batch := feed(decoder, drained, recorded.details):
                    events += batch.events
                    position = WalPosition.from_document(batch.end)
                    assert position > reached
                    assert not changes(after(batch, position).events)
                    reached = position
            assert [same(event) for event in events] == whole


def test_a_transaction_is_described_once() -> None:
    messages = [
        begin(0x200, time=1_000_000, xid=77),
        ANNOUNCED,
        insert(ITEMS, b"1", None),
        commit(0x200, 0x230),
    ]
    messages[-1] = commit(0x200, 0x230, time=1_000_000)
    batch = feed(Decoder(relations(), WalPosition(0x100)), messages, DETAILS)
    assert batch
    schema, change = batch.events
    assert isinstance(change, Change)
    assert schema.transaction is change.transaction
    assert change.transaction.id == "77"
    assert change.transaction.position == "0000000000000200"
    assert change.position == "0000000000000200:1:0"
    assert change.transaction.timestamp == 946_684_801_000_000 == batch.timestamp
    assert change.offset == 0x1000
    assert list(change.transaction.source.items()) == [
        ("sequence", '["256","{offset}"]'),
        ("txId", 77),
        ("lsn", "{offset}"),
        ("xmin", None),
    ]
    assert [field.name for field in origin("p", "d").fields] == list(change.transaction.source)
    assert change.raw is messages[2]
    proof = "0/200 transaction 77 of 946684801.000000"
    assert (batch.end, batch.commit) == ({"lsn": "0/230", "proof": proof}, True)
    assert batch.size == sum(map(len, messages))


def test_idle_positions_are_taken_outside_of_transactions_only() -> None:
    decoder = Decoder(relations(), WalPosition(0x100))
    idle = feed(decoder, [keepalive(0x180), keepalive(0x170)])
    assert idle
    nothing = {"lsn": "0/180", "proof": "0/100"}  # has come since 0/100
    assert (idle.end, idle.commit, idle.events, idle.timestamp) == (nothing, True, [], None)
    assert feed(decoder, [keepalive(0x180)]) is None
    assert feed(decoder, [begin(0x200), keepalive(0x300), ANNOUNCED], DETAILS) is None
    assert (decoder.end, decoder.server_end, decoder.in_transaction) == (0x180, 0x300, True)
    inside = feed(decoder, [insert(ITEMS, b"1", b"x"), keepalive(0x300)])
    assert inside
    proof = "0/200 transaction 42 of 946684800.000005"
    place = {"lsn": "0/200", "ordinal": 1, "end": "0/180", "proof": proof}
    assert (inside.end, inside.commit) == (place, False)
    behind = feed(decoder, [commit(0x200, 0x230), keepalive(0x300)])
    assert behind
    assert (behind.end, behind.commit) == ({"lsn": "0/300", "proof": proof}, True)
    assert not decoder.in_transaction


def test_a_request_for_a_reply_stays_until_it_is_answered() -> None:
    decoder = Decoder(relations(), WalPosition(0x100))
    feed(decoder, [keepalive(0x180, reply=True), keepalive(0x180)])
    assert decoder.reply_requested
    decoder.reply_requested = False
    feed(decoder, [begin(0x200), keepalive(0x180, reply=True)])
    assert decoder.reply_requested


def test_a_begin_alone_is_cut_at_the_commit_before_it() -> None:
    decoder = Decoder(relations(), WalPosition(0x100))
    messages = [begin(0x200), ANNOUNCED, insert(ITEMS, b"1", b"x"), commit(0x200, 0x230), begin(0x230)]
    batch = feed(decoder, messages, DETAILS)
    assert batch
    assert (batch.end["lsn"], batch.commit) == ("0/230", True)


def test_tables_that_are_not_captured_are_counted_and_dropped() -> None:
    decoder = Decoder(relations("other"), WalPosition(0x100))
    other = relation(9, [("id", INT4, True)], name="other")
    rows = [
        insert(9, b"1"),
        ANNOUNCED,
        insert(ITEMS, b"1", b"x"),
        insert(9, b"2"),
        truncate(9, ITEMS, options=3),
    ]
    batch = feed(decoder, [begin(0x200), other, *rows], DETAILS)
    assert batch
    assert [(e.op, e.ordinal, e.index) for e in changes(batch.events)] == [("c", 2, 0), ("t", 4, 1)]
    assert feed(decoder, [insert(9, b"1")]) is None
    assert decoder.size == 0
    batch = feed(decoder, [commit(0x200, 0x230)])
    assert batch
    assert (batch.events, batch.end["lsn"]) == ([], "0/230")
    assert feed(decoder, [begin(0x240), insert(9, b"1")]) is None


def test_only_what_the_catalogue_must_tell_is_asked_for() -> None:
    decoder = Decoder(relations("other"), WalPosition(0x100))
    columns = [
        ("id", INT4, True),
        ("m", 20001, False),
        ("p", 603, False),
        ("ms", 20002, False),
        ("n", 20001, False),
    ]
    messages = [
        relation(9, [("id", 20003, True)], name="other"),
        ANNOUNCED,
        relation(7, columns, name="moods"),
    ]
    first = decoder.feed(messages)
    assert first
    assert (first.oid, first.schema, first.name, first.types) == (ITEMS, "public", "item", ())
    second = decoder.describe(DETAILS[ITEMS])
    assert second
    assert (second.name, second.types) == ("moods", (20001, 603, 20002))
    with pytest.raises(RuntimeError):
        decoder.feed([])
    with pytest.raises(NotReady, match="column m is of type with oid 20001, which no longer exists") as error:
        decoder.describe(RelationDetails())
    assert error.value.where == "public.moods"
    with pytest.raises(RuntimeError):
        decoder.describe(RelationDetails())


def one_row(commit_lsn: int, *announced: bytes) -> list[bytes]:
    return [begin(commit_lsn), *announced, insert(ITEMS, b"1", b"x"), commit(commit_lsn, commit_lsn + 0x30)]


def schemas(found: list[Event]) -> list[SchemaChange]:
    return [event for event in found if isinstance(event, SchemaChange)]


class TestVersions:
    def decode(
        self, known: Relations, resume: WalPosition, messages: list[bytes], **details: Any
    ) -> list[Event]:
        described = {ITEMS: RelationDetails(**details)} if details else DETAILS
        batch = feed(Decoder(known, resume), messages, described)
        return list(batch.events) if batch else []

    def test_the_same_message_makes_no_new_version(self) -> None:
        known = relations()
        messages = one_row(0x200, ANNOUNCED) + one_row(0x300, ANNOUNCED)
        events = self.decode(known, WalPosition(0x100), messages)
        assert len(schemas(events)) == 1
        assert len({e.table for e in events}) == 1
        behind = self.decode(known, WalPosition(0x330), one_row(0x400, ANNOUNCED))
        assert [type(e) for e in behind] == [Change]
        assert behind[0].table is events[0].table

    def test_a_schema_change_behind_the_resume_position_is_told_again(self) -> None:
        known = relations()
        first = self.decode(known, WalPosition(0x100), one_row(0x200, ANNOUNCED))
        second = self.decode(known, WalPosition(0x100), one_row(0x200, ANNOUNCED))
        assert [type(e) for e in second] == [SchemaChange, Change]
        assert second[0].table is first[0].table
        assert [type(e) for e in self.decode(known, WalPosition(0x200), one_row(0x200, ANNOUNCED))] == [
            SchemaChange,
            Change,
        ]

    @pytest.mark.parametrize(
        "details",
        [
            {"not_null": frozenset({"id", "v"}), "primary_key": ("id",)},
            {"not_null": frozenset(), "primary_key": ("id",)},
        ],
    )
    def test_what_only_the_catalogue_tells_makes_a_new_version_too(self, details: dict[str, Any]) -> None:
        known = relations()
        (before, _) = self.decode(known, WalPosition(0x100), one_row(0x200, ANNOUNCED))
        (behind, _) = self.decode(known, WalPosition(0x230), one_row(0x300, ANNOUNCED), **details)
        assert isinstance(behind, SchemaChange)
        optional = [c.name not in details["not_null"] for c in behind.table.columns]
        assert [c.optional for c in behind.table.columns] == optional
        assert behind.table is not before.table

    def test_tables_that_come_and_go_are_forgotten(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest first; one that comes again is told again."""
        monkeypatch.setattr("connectors.postgres.relations._MOST", 2)
        known = relations()
        first = self.decode(known, WalPosition(0x100), one_row(0x200, ANNOUNCED))
        for number in range(3):
            other = relation(ITEMS + 1 + number, ITEM_COLUMNS, name=f"other{number}")
            messages = [begin(0x300), other, insert(ITEMS + 1 + number, b"1", b"x"), commit(0x300, 0x330)]
            self.decode(known, WalPosition(0x230), messages)
            assert len(known._known) == 2
        again = self.decode(known, WalPosition(0x330), one_row(0x400, ANNOUNCED))
        assert [type(e) for e in again] == [SchemaChange, Change]
        assert again[0].table is not first[0].table

    def test_a_relation_must_be_announced_on_every_connection(self) -> None:
        known = relations()
        self.decode(known, WalPosition(0x100), one_row(0x200, ANNOUNCED))
        with pytest.raises(Malformed, match=f"relation {ITEMS}, which has not been announced"):
            self.decode(known, WalPosition(0x230), one_row(0x300))

    def test_a_renamed_table_that_is_no_longer_captured(self) -> None:
        renamed = relation(ITEMS, ITEM_COLUMNS, name="other")
        messages = one_row(0x200, ANNOUNCED) + one_row(0x300, renamed) + one_row(0x400, ANNOUNCED)
        events = self.decode(relations("other"), WalPosition(0x100), messages)
        assert [change.transaction.position[-3:] for change in changes(events)] == ["200", "400"]


def key_of(identity: str, flags: str, primary_key: list[str]) -> tuple[int, ...]:
    columns = [(name, INT4, name in flags) for name in "abc"]
    messages = [begin(0x200), relation(5, columns, identity=identity), insert(5, b"1", b"2", b"3")]
    details = {5: RelationDetails(frozenset("abc"), tuple(primary_key))}
    batch = feed(Decoder(relations(), WalPosition(1)), messages, details)
    assert batch
    return batch.events[0].table.key


@pytest.mark.parametrize(
    ("identity", "flags", "primary_key", "key"),
    [
        ("d", "a", ["a"], (0,)),
        ("d", "ac", ["c", "a"], (2, 0)),  # the order of the primary key
        ("d", "a", [], (0,)),  # dropped meanwhile
        ("d", "ab", ["a"], (0, 1)),  # changed meanwhile
        ("d", "a", ["zip"], (0,)),
        ("d", "", ["a"], ()),  # added meanwhile
        ("i", "b", ["a"], (1,)),  # changes of the primary key are not told
        ("i", "ab", ["a"], (0,)),
        ("f", "abc", ["b"], (1,)),
        ("f", "abc", [], ()),
        ("f", "abc", ["zip"], ()),
        ("n", "", ["a"], (0,)),
        ("n", "", [], ()),
    ],
)
def test_the_key_lies_within_what_the_log_tells(
    identity: str, flags: str, primary_key: list[str], key: tuple[int, ...]
) -> None:
    assert key_of(identity, flags, primary_key) == key


class TestResumeInsideATransaction:
    POSITION = WalPosition(0x200, 2, 0x100)
    ROWS = (insert(ITEMS, b"1", b"x"), insert(ITEMS, b"2", b"x"), insert(ITEMS, b"3", b"x"))

    def test_what_was_delivered_is_dropped(self) -> None:
        decoder = Decoder(relations(), self.POSITION)
        assert decoder.end == 0x100
        assert feed(decoder, [keepalive(0x200), begin(0x200), ANNOUNCED, *self.ROWS[:2]], DETAILS) is None
        batch = feed(decoder, [self.ROWS[2], commit(0x200, 0x230)])
        assert batch
        assert [type(e) for e in batch.events] == [SchemaChange, Change]
        assert {e.ordinal for e in batch.events} == {3}

    def test_dropped_messages_of_every_kind_count(self) -> None:
        decoder = Decoder(relations(), WalPosition(0x200, 3, 0x100))
        message = logical_message("app", b"x", lsn=0x180, transactional=True)
        batch = feed(decoder, [begin(0x200), ANNOUNCED, message, truncate(ITEMS), *self.ROWS[:2]], DETAILS)
        assert batch
        assert [e.ordinal for e in changes(batch.events)] == [4]

    @pytest.mark.parametrize(
        ("messages", "found"),
        [
            ([begin(0x210)], "the next transaction is 0/210"),
            ([begin(0x180)], "the next transaction is 0/180"),
            ([keepalive(0x201)], "the server has come to 0/201 without it"),
            ([begin(0x200), ANNOUNCED, ROWS[0], commit(0x200, 0x230)], "it has 1 messages now"),
            ([logical_message("app", b"", lsn=0x180, transactional=False)], "a message comes at 0/180"),
        ],
    )
    def test_a_transaction_that_does_not_come_again_is_a_gap(self, messages: list[bytes], found: str) -> None:
        with pytest.raises(Gap, match=found) as error:
            feed(Decoder(relations(), self.POSITION), messages, DETAILS)
        assert "0/200 after message 2" in error.value.found
        assert "--redeliver-transaction" in error.value.remedy

    def test_only_the_first_transaction_is_concerned(self) -> None:
        decoder = Decoder(relations(), self.POSITION)
        messages = [begin(0x200), ANNOUNCED, *self.ROWS, commit(0x200, 0x230), *one_row(0x300)]
        batch = feed(decoder, messages, DETAILS)
        assert batch
        assert [e.position[-5:] for e in changes(batch.events)] == ["0:3:0", "0:1:0"]
