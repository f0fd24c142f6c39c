"""What each offset store refuses, and what it says to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from offsets.file import FileOffsetSettings, FileOffsetStore
from offsets.kafka import KafkaOffsetSettings, KafkaOffsetStore
from offsets.postgres import PostgresOffsetSettings, PostgresOffsetStore
from tailrace.checkpoint import Checkpoint
from tailrace.errors import Fenced, NotReady, Stop
from tailrace.testing.events import checkpoint
from tests.servers import Kafka, Postgres


def files(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


async def test_file_keeps_one_file_that_people_can_read(tmp_path: Path) -> None:
    store = FileOffsetStore(FileOffsetSettings(), tmp_path)
    folder = tmp_path / "data" / "offsets" / "orders%2Fstdout"
    for epoch in (1, 2, 3):
        assert (await store.claim("orders/stdout"))[0] == epoch
        await store.save("orders/stdout", epoch, checkpoint(epoch, {"lsn": "0/1"}))
        assert files(folder) == [f"{epoch:010}.json"]
    assert json.loads((folder / "0000000003.json").read_text())["sequence"] == 3
    await store.close()


async def test_file_leaves_alone_what_is_not_its_own(tmp_path: Path) -> None:
    store = FileOffsetStore(FileOffsetSettings(), tmp_path)
    folder = tmp_path / "data" / "offsets" / "orders%2Fstdout"
    folder.mkdir(parents=True)
    others = ["0000000009 (copy).json", "notes.json"]
    for other in others:
        (folder / other).write_text("{}")
    epoch, stored = await store.claim("orders/stdout")
    assert (epoch, stored) == (1, None)
    await store.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
    assert await store.peek("orders/stdout") == checkpoint(1, {"lsn": "0/1"})
    assert files(folder) == ["0000000001.json", *others]
    await store.close()


async def test_file_never_writes_over_a_newer_claim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The claim comes between the look before a save and the rename: the save is not acknowledged."""
    old, new = (FileOffsetStore(FileOffsetSettings(), tmp_path) for _ in range(2))
    epoch, _ = await old.claim("orders/stdout")
    await old.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
    claimed: list[tuple[int, Checkpoint | None]] = []

    def claim_meanwhile() -> None:
        if not claimed:
            claimed.append(new._claim("orders/stdout"))

    monkeypatch.setattr("offsets.file._written", claim_meanwhile)
    with pytest.raises(Fenced):
        await old.save("orders/stdout", epoch, checkpoint(2, {"lsn": "0/2"}))
    [(newer, stored)] = claimed
    assert (newer, stored) == (2, checkpoint(1, {"lsn": "0/1"}))
    await new.save("orders/stdout", newer, checkpoint(2, {"lsn": "0/3"}))
    assert await old.peek("orders/stdout") == checkpoint(2, {"lsn": "0/3"})
    for store in (old, new):
        await store.close()


async def test_file_where_there_can_be_no_folder(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    store = FileOffsetStore(FileOffsetSettings(), tmp_path)
    [finding] = await store.check()
    with pytest.raises(NotReady) as refused:
        await store.claim("orders/stdout")
    for error in (finding.error, refused.value):
        assert error is not None
        assert error.code.id == "TR-OFF-001"
        assert "offsets.path" in error.remedy
    await store.close()


async def test_file_that_is_damaged(tmp_path: Path) -> None:
    store = FileOffsetStore(FileOffsetSettings(), tmp_path)
    await store.claim("orders/stdout")
    (tmp_path / "data/offsets/orders%2Fstdout/0000000001.json").write_text("{")
    with pytest.raises(Stop) as refused:
        await store.peek("orders/stdout")
    assert refused.value.code.id == "TR-CKPT-001"
    await store.close()


async def test_postgres_where_the_role_may_not_make_the_table(
    postgres16: Postgres, topic_prefix: str
) -> None:
    role, table = topic_prefix.rstrip("."), f"public.{topic_prefix.rstrip('.')}"
    url = postgres16.url("postgres")
    login = f"postgresql://{role}:secret@{url.partition('@')[2] or url.partition('//')[2]}"
    postgres16.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    store = PostgresOffsetStore(PostgresOffsetSettings.model_validate({"url": login, "table": table}), Path())
    try:
        with pytest.raises(NotReady) as refused:
            await store.claim("orders/stdout")
        assert refused.value.code.id == "TR-OFF-010"
        create, grant = refused.value.remedy.partition(": ")[2].rstrip(";").split("; ")
        postgres16.execute(create)
        [finding] = await store.check()
        assert finding.error is not None
        assert finding.error.code.id == "TR-OFF-010"
        postgres16.execute(grant)
        assert [finding.error for finding in await store.check()] == [None]
        epoch, _ = await store.claim("orders/stdout")
        await store.save("orders/stdout", epoch, checkpoint(1, {"lsn": "0/1"}))
    finally:
        await store.close()
        postgres16.execute(f"DROP TABLE IF EXISTS {table}; DROP ROLE {role}")


async def test_kafka_shares_the_topic_with_a_fit_one_only(kafka: Kafka, topic_prefix: str) -> None:
    settings = KafkaOffsetSettings(
        bootstrap_servers=kafka.bootstrap_servers, topic=f"{topic_prefix}offsets", replication_factor=3
    )
    store = KafkaOffsetStore(settings, Path())
    with pytest.raises(NotReady) as refused:
        await store.claim(f"{topic_prefix}orders/stdout")
    assert refused.value.code.id == "TR-KAFKA-021"
    assert "replication_factor" in refused.value.remedy
    await store.close()
