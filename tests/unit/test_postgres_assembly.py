"""Transactions in pieces, in any interleaving, against a model that keeps each until it commits."""

from collections.abc import Iterator, Sequence
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.postgres.assembly import Assembly, Subtransactions
from connectors.postgres.spool import Spool
from tests.unit.pgoutput import begin, commit, insert, keepalive, kind, xlog_data

T = 16400


class Server:
    """Three clients of a server; `sent` is what it streams, `told` the bodies of what it would send without.
    Each transaction is a stack of open savepoints, with the rows in each and the numbers within it."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed)
        self._xid = 700
        self._lsn = 0x1000
        self._clients: list[list[tuple[set[int], list[bytes]]]] = [[], [], []]
        self._tops = [0, 0, 0]
        self.sent: list[bytes] = []
        self.told: list[bytes] = []
        self.untold: set[int] = set()

    def step(self) -> None:
        random = self._random
        client = random.randrange(3)
        stack = self._clients[client]
        if not stack:
            if random.random() < 0.3:
                row = self._row()
                self._commit(self._number(), [row], [])
            else:
                stack.append(({self._number()}, []))
                self._tops[client] = self._xid
                self.sent += [self._start(client, first=True), xlog_data(b"E")]
            return
        what = random.choice(("rows", "rows", "rows", "savepoint", "roll back", "release", "commit", "abort"))
        if what == "rows":
            self._piece(client, stack)
        elif what == "savepoint":
            stack.append((set(), []))
        elif what == "roll back" and len(stack) > 1:
            numbers, _ = stack.pop()
            if random.random() < 0.3:  # the server keeps it to itself
                self.untold |= numbers
                return
            self.sent += [self._abort(client, number) for number in sorted(numbers)]
        elif what == "release" and len(stack) > 1:
            numbers, rows = stack.pop()
            stack[-1][0].update(numbers)
            stack[-1][1].extend(rows)
        elif what == "commit":
            rows = [row for _, part in stack for row in part]
            self._commit(self._tops[client], rows, [self._tops[client]])
            stack.clear()
        elif what == "abort":
            self.sent.append(self._abort(client, self._tops[client]))
            stack.clear()

    def _number(self) -> int:
        self._xid += 1
        return self._xid

    def _row(self) -> bytes:
        self._lsn += 8
        return insert(T, b"%d" % self._lsn)

    def _start(self, client: int, *, first: bool) -> bytes:
        return xlog_data(b"S" + self._tops[client].to_bytes(4, "big") + bytes([first]))

    def _abort(self, client: int, number: int) -> bytes:
        return xlog_data(b"A" + self._tops[client].to_bytes(4, "big") + number.to_bytes(4, "big"))

    def _piece(self, client: int, stack: list[tuple[set[int], list[bytes]]]) -> None:
        numbers, rows = stack[-1]
        number = (
            self._number() if not numbers or self._random.random() < 0.2 else self._random.choice([*numbers])
        )
        numbers.add(number)
        made = [self._row() for _ in range(self._random.randint(0, 4))]
        rows += made
        within = [row[:26] + number.to_bytes(4, "big") + row[26:] for row in made]
        if within and self._random.random() < 0.2:
            within.insert(1, keepalive(self._lsn))
        self.sent += [self._start(client, first=False), *within, xlog_data(b"E")]

    def _commit(self, xid: int, rows: list[bytes], streamed: list[int]) -> None:
        self._lsn += 16
        whole = [begin(self._lsn, xid=xid), *rows, commit(self._lsn, self._lsn + 8)]
        self._lsn += 8
        if streamed:
            body = whole[-1][26:]
            self.sent.append(xlog_data(b"c" + xid.to_bytes(4, "big") + body, self._lsn))
        else:
            self.sent += whole
        if rows:
            self.told += [message[25:] for message in whole]


def fed(made: Assembly, server: Server, messages: Sequence[bytes]) -> Iterator[list[bytes]]:
    """What is asked for meanwhile the server answers."""
    for part in made.feed(messages):
        if isinstance(part, Subtransactions):
            made.answer(server.untold & {*part.xids})
        else:
            yield part


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), steps=st.integers(1, 120), cuts=st.integers(1, 30))
def test_like_without_streaming(
    tmp_path_factory: pytest.TempPathFactory, seed: int, steps: int, cuts: int
) -> None:
    server = Server(seed)
    for _ in range(steps):
        server.step()
    folder = tmp_path_factory.mktemp("spool")
    made = Assembly(Spool(folder), begins_at_once=False)
    out = [
        message
        for start in range(0, len(server.sent), cuts)
        for part in fed(made, server, server.sent[start : start + cuts])
        for message in part
    ]
    assert [message[25:] for message in out if kind(message) != "k"] == server.told
    assert [m for m in out if kind(m) == "k"] == [m for m in server.sent if kind(m) == "k"]
