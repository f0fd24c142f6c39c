"""Checkpoints of every version that there has been are read; docs/checkpoints.md says what stands in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from connectors.postgres.config import PostgresSettings
from connectors.postgres.position import WalPosition
from connectors.postgres.source import PostgresSource
from tailrace.abc import SourceContext
from tailrace.checkpoint import VERSION, Checkpoint, Identity, Owner
from tailrace.errors import Stop

STORED = Path(__file__).parent / "checkpoints"
PAGE = (Path(__file__).parents[2] / "docs" / "checkpoints.md").read_text()

EXPECTED = Checkpoint(
    owner=Owner("db1", 4711, "0b8c7a52-5c1e-4f7b-9a4e-2d3f0c6f8f11"),
    sequence=42,
    start="9d1c5be0-6f55-4c35-8f2c-0a6a5d7d3b7e",
    identity=Identity("7301234567890123456", "shop", 3),
    fingerprint="v1",
    origin={"lsn": "0/16B3748"},
    position={"lsn": "0/16B6A10", "ordinal": 2, "end": "0/16B69C8"},
)


def test_there_is_a_document_of_every_version() -> None:
    assert {file.stem for file in STORED.iterdir()} == {f"version-{n}" for n in range(1, VERSION + 1)}


@pytest.mark.parametrize("version", range(1, VERSION + 1))
def test_an_older_document_is_read(version: int) -> None:
    stored = (STORED / f"version-{version}.json").read_bytes().strip()
    assert Checkpoint.decode(stored, "here") == EXPECTED
    assert EXPECTED.position is not None
    assert str(WalPosition.from_document(EXPECTED.position)) == "0/16B6A10 after message 2"


def test_what_is_written_is_what_is_committed_for_its_version() -> None:
    assert EXPECTED.encode() == (STORED / f"version-{VERSION}.json").read_bytes().strip()


def test_a_newer_one_is_refused() -> None:
    newer = EXPECTED.encode().replace(b'"version":1', b'"version":99')
    with pytest.raises(Stop, match="its version is 99") as refused:
        Checkpoint.decode(newer, "here")
    assert refused.value.code.id == "TR-CKPT-001"


@pytest.mark.parametrize(
    ("position", "found"),
    [
        ({"lsn": "0/5", "timelines": "1"}, "timelines, which this tailrace does not know: a newer one"),
        ({"lsn": 5}, "not a PostgreSQL position"),
    ],
)
async def test_a_position_of_a_newer_one_is_refused(position: dict[str, int | str], found: str) -> None:
    """Its source reads it; before it asks the server anything."""
    settings = PostgresSettings.model_validate(
        {"url": "postgresql://app@127.0.0.1:1/shop", "tables": ["public.t"], "snapshot": "never"}
    )
    source = PostgresSource(settings, SourceContext("orders"))
    with pytest.raises(Stop, match=found) as refused:
        await source.verify(replace(EXPECTED, position=position))
    assert refused.value.code.id == "TR-CKPT-001"
    assert refused.value.where == "checkpoint by process 4711 on db1"


def test_the_page_names_every_field() -> None:
    for field in Checkpoint.__struct_fields__:
        assert f"| `{field}` |" in PAGE
