"""Every place a password may come from; it is looked for again at each connection."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from psycopg.sql import SQL, Identifier, Literal

from tailrace.errors import NotReady
from tests.integration.commandline import PASSWORD, refused
from tests.integration.commandline import Pipeline as File
from tests.integration.following import following
from tests.servers import Postgres

_OTHER = "an other"


@pytest.fixture
def role(postgres18: Postgres) -> Iterator[str]:
    """A role that enters with a password. It goes after the databases, in which it owns something."""
    name = "rotated"
    postgres18.execute(f"CREATE ROLE {name} SUPERUSER LOGIN")
    _set(postgres18, name, PASSWORD)
    yield name
    postgres18.execute(f"DROP ROLE {name}")


def _set(server: Postgres, role: str, password: str) -> None:
    statement = SQL("ALTER ROLE {} PASSWORD {}").format(Identifier(role), Literal(password))
    with server.connect() as connection:
        connection.execute(statement)


def _escaped(password: str) -> str:
    return password.replace("\\", "\\\\").replace(":", "\\:")


@pytest.mark.parametrize("place", ["file", "pgpass", "service"])
async def test_a_password_that_changes_while_the_pipeline_runs(
    role: str,
    postgres18: Postgres,
    make_database: Callable[[Postgres], str],
    place: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    database = make_database(postgres18)
    postgres18.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    kept = tmp_path / "kept"

    def keep(password: str) -> None:
        kept.touch(mode=0o600)
        kept.write_text(
            {
                "file": f"{password}\n",
                "pgpass": f"*:*:{database}:{role}:{_escaped(password)}\n",
                "service": f"[shop]\nhost={postgres18.host}\nport={postgres18.port}\n"
                f"dbname={database}\nuser={role}\npassword={password}\n",
            }[place]
        )

    keep(PASSWORD)
    settings: dict[str, object] = {"url": postgres18.url(database, user=role)}
    if place == "file":
        settings["password"] = {"file": kept}
    elif place == "pgpass":
        monkeypatch.setenv("PGPASSFILE", str(kept))
    else:
        monkeypatch.setenv("PGSERVICEFILE", str(kept))
        settings["url"] = "postgresql://?service=shop"
    async with following(postgres18, database, **settings) as follower:
        follower.sql("INSERT INTO t VALUES (1)")
        position = (await follower.until())[-1].end
        _set(postgres18, role, _OTHER)
        follower.sql("INSERT INTO t VALUES (2)")
        assert len(await follower.told()) == 1  # who is in stays in
        with pytest.raises(NotReady) as refused:
            await follower.resume(position)
        assert refused.value.code.id == "TR-PG-010"
        keep(_OTHER)
        await follower.resume(position)
        assert [after for _, _, _, after in await follower.told()] == [{"id": 2}]


def test_a_file_of_a_password_that_is_not_there(pipeline: File, tmp_path: Path) -> None:
    pipeline.source["password"] = {"file": str(tmp_path / "none")}
    problem = refused("TR-CONF-016", "run", pipeline.write())
    assert str(tmp_path / "none") in problem.found


@pytest.mark.parametrize(
    ("value", "code", "remedy"),
    [
        ({"file": "relative"}, "TR-CONF-008", "begins with / or ~"),
        ({"file": "/x", "user": "app"}, "TR-CONF-006", "Known here: file"),
        (["x"], "TR-CONF-008", "It must be text or a mapping (key: value)."),
    ],
)
def test_what_is_neither_a_password_nor_a_file(pipeline: File, value: object, code: str, remedy: str) -> None:
    pipeline.source["password"] = value
    problem = refused(code, "validate", pipeline.write(), exit=2)
    assert problem.remedy is not None
    assert remedy in problem.remedy
