"""The format `debezium` writes what Debezium wrote of the same statements, but where it is meant to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from tailrace.errors import Malformed
from tailrace.events import Change
from tailrace.formats.debezium import DebeziumFormat
from tests.golden import recording
from tests.golden.corpus import POSTGRES, Corpus
from tests.golden.differences import Difference, differences
from tests.golden.files import EXTENSIONS, FILES
from tests.golden.recording import Recorder, Recording, compare
from tests.integration.following import changes, following
from tests.servers import Postgres


async def test_records_differ_from_debezium_s_where_they_are_meant_to(
    every_postgres: Postgres, make_database: Callable[[Postgres], str]
) -> None:
    major = every_postgres.major
    database = make_database(every_postgres)
    events = await logged(every_postgres, database, POSTGRES)
    golden = recording.read(f"postgres{major}")
    check(golden, record(events, database), differences(f"postgres{major}"), f"postgres{major}")
    for name, of in FILES.items():
        if of.base == f"postgres{major}":
            found = record(events, database, of.options)
            check(recording.upon(recording.read(name), golden), found, differences(name), name)


@pytest.mark.parametrize("name", EXTENSIONS)
async def test_records_of_extensions_types(name: str) -> None:
    of = EXTENSIONS[name]
    with of.server(of.major) as server:
        database = server.create_database()
        events = await logged(server, database, of.corpus)
        check(recording.read(name), record(events, database), differences(name), name)


async def logged(server: Postgres, database: str, corpus: Corpus) -> Sequence[Change]:
    """The changes that a corpus makes."""
    corpus.prepare(server, database)
    taken = [f'public."{table.name}"' for table in corpus.tables(server.major)]
    async with following(server, database, taken) as follower:
        corpus.execute(server, database)
        return changes(await follower.until())


def check(golden: Recording, found: Recording, meant: Sequence[Difference], name: str) -> None:
    """Each difference is meant, and each that is meant is there."""
    told = compare(golden, found)
    used = {path: [d for d in meant if d.explains(path, *sides)] for path, sides in told.items()}
    assert not [f"{path}: {told[path]}" for path in told if not used[path]], name
    unused = {*meant} - {difference for explaining in used.values() for difference in explaining}
    assert not unused, name


def record(events: Sequence[Change], database: str, settings: Mapping[str, Any] | None = None) -> Recording:
    """What our format makes of changes, one by one."""
    format = DebeziumFormat(DebeziumFormat.Settings(schemas=True, **(settings or {})))
    recorder = Recorder(database)
    for event in events:
        table = "" if event.op == "m" else event.table.name  # as Debezium names messages' table
        try:
            for written in format.encode([event]):
                key, value = (b"null" if part is None else part for part in (written.key, written.value))
                headers = b",".join(b'"%b":%b' % (name.encode(), value) for name, value in written.headers)
                recorder.add(
                    table, (b'{"key":%b,"value":%b,"headers":{%b}}' % (key, value, headers)).decode()
                )
        except Malformed as error:
            for _ in range(2 if event.op == "d" and event.table.key else 1):  # the tombstone too
                recorder.refuse(table, error.code.id)
    return recorder.recording
