"""SIGKILL of a pipeline that tells transactions: whatever they were cut by, each is told once and whole."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

from tailrace.log import Entry, Reader
from tests.crash import kills
from tests.crash.rig import Rig
from tests.kafka_reader import read_committed


def test_a_pipeline_that_tells_transactions_is_killed(
    make_rig: Callable[..., Rig], seed: int, round: int
) -> None:
    rig = make_rig(transactions=True, stdout=False)
    rig.recover()
    kills.at_failpoint(rig, "engine.writer.committed", 9 - round % 5, seed=9 + round)
    rig.recover()
    assert check(rig) > 20
    if round:
        kills.at_an_instant(rig, Random(f"{seed}/{round}/transactions"), seed=1 + round)
        rig.recover()
        check(rig)


def check(rig: Rig) -> int:
    """Begins and ends alternate, in the order of the commits; each transaction's changes have the numbers
    from 1 to its counts, all and by table. How many transactions there are."""
    topic = f"told.{rig.name}"
    orders: defaultdict[str, list[int]] = defaultdict(list)
    of_tables: defaultdict[tuple[str, str], list[int]] = defaultdict(list)
    with contextlib.closing(Reader(rig.log.path)) as reader:
        boundaries = [json.loads(entry.value or b"") for entry in entries(reader, topic)]
        for name in (one.name for one in reader.topics() if one.name != topic):
            for entry in entries(reader, name):
                value = json.loads(entry.value) if entry.value else None
                if value and (block := value["transaction"]):
                    source = value["source"]
                    table = ".".join(filter(None, (source["schema"], source["table"]))) or "message"
                    orders[xid(block)].append(block["total_order"])
                    of_tables[xid(block), table].append(block["data_collection_order"])
    assert [one["status"] for one in boundaries] == ["BEGIN", "END"] * (len(boundaries) // 2)
    assert {xid(one) for one in boundaries} == orders.keys()
    assert len(orders) == len(boundaries) // 2
    counted: dict[tuple[str, str], int] = {}
    for begin, end in zip(boundaries[::2], boundaries[1::2], strict=True):
        assert xid(begin) == xid(end)
        assert sorted(orders[xid(end)]) == list(range(1, end["event_count"] + 1))
        counted |= {(xid(end), one["data_collection"]): one["event_count"] for one in end["data_collections"]}
    assert {place: sorted(found) for place, found in of_tables.items()} == {
        place: list(range(1, count + 1)) for place, count in counted.items()
    }
    records = asyncio.run(read_committed(rig.kafka, topic))
    told = Counter((record.key, record.value) for record in records)
    assert set(told.values()) <= {2}  # two sinks write to it
    assert len(told) == len(boundaries)
    return len(orders)


def entries(reader: Reader, topic: str) -> Iterator[Entry]:
    """All of a topic."""
    start = 0
    while True:
        page = reader.read(topic, start)
        yield from page.entries
        if page.end:
            return
        start = page.entries[-1].offset + 1


def xid(told: dict[str, Any]) -> str:
    """The transaction's number, out of an id."""
    return str(told["id"]).partition(":")[0]
