"""`tailrace init`: what it writes is right, and runs."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from tailrace.config import PipelineConfig, load
from tests.integration.commandline import PASSWORD, Said, tailrace
from tests.servers import Postgres

ODD = {
    ("Größe", "odd.name"),
    ("public", 'a "quoted" one'),
    ("public", "with ${HOME} # and: more"),
    ("public", "two\nlines"),
    ("public", "*"),
    ("public", "plain"),
}


def _init(url: str, folder: Path, *options: str) -> tuple[Said, Path]:
    file = folder / "made.yaml"
    said = tailrace("init", url, "-o", file, *options)
    return said, file


def _load(file: Path) -> PipelineConfig:
    return load(file, {**os.environ, "PGPASSWORD": "x"})


def test_it_names_every_table_and_runs(postgres: Postgres, postgres_database: str, tmp_path: Path) -> None:
    names = [f'"{schema}"."{table.replace(chr(34), chr(34) * 2)}"' for schema, table in sorted(ODD)]
    postgres.execute(
        'CREATE SCHEMA "Größe";'
        + "".join(f"CREATE TABLE {name} (id int, part text, PRIMARY KEY (part, id));" for name in names)
        + "CREATE TABLE parted (id int PRIMARY KEY) PARTITION BY RANGE (id);"
        "CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (10);"
        "CREATE TABLE keyless (id int); CREATE UNLOGGED TABLE scratch (id int PRIMARY KEY);"
        "CREATE TABLE whole (id int); ALTER TABLE whole REPLICA IDENTITY FULL;"
        "CREATE VIEW seen AS SELECT 1 AS id; INSERT INTO plain VALUES (1, 'x'); ANALYZE",
        database=postgres_database,
    )
    said, file = _init(postgres.url(postgres_database), tmp_path, "--name", f"i{postgres_database}")
    assert said.code == 0, said.err
    assert said.out == ""
    assert "8 tables can be captured, 2 cannot as they are" in said.err
    text = file.read_text()
    captured = [*ODD, ("public", "parted"), ("public", "whole")]
    settings = _load(file).source.settings
    tables = settings.tables  # type: ignore[attr-defined]  # of PostgreSQL's settings
    assert len(tables) == len(captured)
    assert re.search(r"- public\.plain +# \d+ kB; about 1 rows; key part, id\n", text)
    assert re.search(r"- public\.whole +# .*; no key; replica identity: whole old rows\n", text)
    assert re.search(r"- public\.parted +# .*; 1 partitions; key id\n", text)
    assert "parted_low" not in text
    assert re.search(r"# - public\.keyless .*\n    #     ✗ .*no primary key.*\n    #     → ALTER T", text)
    assert re.search(r"    # - public\.scratch .*\n    #     ✗ .*unlogged.*\n", text)
    assert "# not public.seen: a view" in text
    try:
        run = tailrace("run", file, "--until-current")
        assert run.code == 0, run.err
        for name in names:
            postgres.execute(f"INSERT INTO {name} VALUES (7, 'y')", database=postgres_database)
        run = tailrace("run", file, "--until-current")
        assert run.code == 0, run.err
        listed = tailrace("log", "topics", file).out
        assert len(listed.splitlines()) >= len(names), listed
    finally:
        assert tailrace("teardown", file, "--yes").code == 0


def test_no_password_lands_in_the_file(postgres18: Postgres, tmp_path: Path) -> None:
    role = f"init_{os.getpid()}"
    postgres18.execute(f"CREATE ROLE {role} LOGIN REPLICATION PASSWORD '{PASSWORD}'")
    try:
        said, file = _init(postgres18.url("postgres", role, PASSWORD), tmp_path)  # no password may be seen
    finally:
        postgres18.execute(f"DROP ROLE {role}")
    assert said.code == 0, said.err
    text = file.read_text()
    assert "${PGPASSWORD}" in text
    assert f"{role}@127.0.0.1" in text
    assert PASSWORD not in text
    assert "%2F" not in text
    assert "export PGPASSWORD=…" in text
    assert _load(file).name == "postgres"


def test_without_rights_the_file_says_what_to_grant(
    postgres18: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    role = f"init_{os.getpid()}_none"
    server = postgres18
    database = server.create_database()
    server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'geheim'")
    server.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    monkeypatch.setenv("PGPASSWORD", "geheim")
    try:
        said, file = _init(server.url(database, role), tmp_path)
        assert said.code == 0, said.err
        text = file.read_text()
        assert "public.t " in text
        assert re.search(rf'→ .*ALTER ROLE "{role}" REPLICATION;', text), text
        assert "✗" in said.err
        assert load(file).name == database
    finally:
        server.drop_database(database)
        server.execute(f"DROP ROLE {role}")


def test_an_empty_database_to_standard_output(postgres18: Postgres, tmp_path: Path) -> None:
    said = tailrace("init", postgres18.url("template1"))
    assert said.code == 0, said.err
    assert '- "*.*"' in said.out
    file = tmp_path / "out.yaml"
    file.write_text(said.out)
    assert _load(file).name == "template1"


def test_a_server_that_is_not_there() -> None:
    said = tailrace("init", f"postgresql://app:{PASSWORD.replace('/', '%2F')[:3]}@127.0.0.1:1/shop")
    assert (said.code, said.out) == (1, "")
    assert "error TR-PG-" in said.err
