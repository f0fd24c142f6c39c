"""The format `debezium` writes what Debezium wrote of the same statements, but where it is meant to."""

from __future__ import annotations

from collections.abc import Sequence

from tailrace.errors import Malformed
from tailrace.events import Change
from tailrace.formats.debezium import DebeziumFormat
from tests.golden import recording
from tests.golden.corpus import execute, prepare, tables
from tests.golden.differences import DIFFERENCES
from tests.golden.recording import Recorder, compare
from tests.integration.following import changes, following
from tests.servers import Postgres


async def test_records_differ_from_debezium_s_where_they_are_meant_to(
    postgres: Postgres, postgres_database: str
) -> None:
    golden = recording.read(postgres.major)
    prepare(postgres, postgres_database)
    taken = [f'public."{table.name}"' for table in tables(postgres.major)]
    recorder = Recorder(postgres_database)
    async with following(postgres, postgres_database, taken) as follower:
        execute(postgres, postgres_database)
        record(changes(await follower.until()), recorder)
    found = compare(golden, recorder.recording)
    meant = [difference for difference in DIFFERENCES if difference.since <= postgres.major]
    used = {path: [d for d in meant if d.explains(path, *sides)] for path, sides in found.items()}
    assert not [f"{path}: {found[path]}" for path in found if not used[path]]
    assert not {*meant} - {difference for explaining in used.values() for difference in explaining}


def record(events: Sequence[Change], recorder: Recorder) -> None:
    """What our format makes of changes, one by one."""
    format = DebeziumFormat(DebeziumFormat.Settings(schemas=True))
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
            recorder.refuse(table, error.code.id)
