"""SIGKILL of a pipeline while XA transactions are prepared, and in the midst of what one of them brought."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.commandline import tailrace
from tests.pipelines import Pipeline
from tests.servers import MySql
from tests.targets import LogTarget
from tests.traffic import xa
from tests.waiting import wait_until

_SINKS = ("one", "two")
_ROWS = 3000  # of a large transaction: several units


class Rig:
    """A pipeline of one table into two logs."""

    def __init__(self, server: MySql, database: str, folder: Path) -> None:
        self._server = server
        self._database = database
        self.sql("CREATE TABLE t (id int PRIMARY KEY, x text)")
        source = {"type": server.flavor, "url": server.url(), "tables": [f"{database}.t"]}
        sinks = [{"type": "log", "name": name, "path": f"{name}.db"} for name in _SINKS]
        self.pipeline = Pipeline(folder, database, source, sinks)
        self._targets = {name: LogTarget(folder / f"{name}.db", database, reduce=_id) for name in _SINKS}
        self.arrived: dict[str, list[int]] = {name: [] for name in _SINKS}

    def sql(self, statement: str) -> None:
        self._server.execute(statement, database=self._database)

    def prepare(self, name: str, *statements: str) -> None:
        xa.prepare(self._server, self._database, name, *statements)

    def commit(self, name: str) -> None:
        xa.commit(self._server, self._database, name)

    def roll_back(self, name: str) -> None:
        xa.roll_back(self._server, self._database, name)

    def read(self) -> dict[str, list[int]]:
        """The rows in each log, in their order."""
        for name, target in self._targets.items():
            self.arrived[name] += [int(one.value["id"]) for one in target.read()]
        return self.arrived

    def killed_behind(self, row: int) -> None:
        """Run until this row has arrived everywhere, and kill it."""
        with self.pipeline.start() as process:

            def there() -> bool:
                assert process.running, process.stderr
                return all(row in rows for rows in self.read().values())

            wait_until(there, f"row {row}", 60)
            process.kill()

    def killed_at(self, failpoint: str) -> None:
        with self.pipeline.start(failpoints=failpoint) as process:
            code = process.wait(60)
        assert code == -signal.SIGKILL, f"{failpoint} was not reached: exit code {code}\n{process.stderr}"


def _id(envelope: dict[str, object]) -> dict[str, object]:
    after = envelope["after"]
    assert isinstance(after, dict)
    return {"id": after["id"]}


def many(ids: range) -> str:
    rows = ", ".join(f"({id}, repeat('x', 3000))" for id in ids)
    return f"INSERT INTO t VALUES {rows}"


def one(id: int) -> str:
    return f"INSERT INTO t (id) VALUES ({id})"


@pytest.mark.parametrize("every_mysql", ["mysql9", "mariadb11"], indirect=True)
def test_killed_between_prepare_and_commit_and_inside(
    every_mysql: MySql, make_database: Callable[[MySql], str], tmp_path: Path
) -> None:
    rig = Rig(every_mysql, make_database(every_mysql), tmp_path)
    rig.pipeline.run_until_current()
    rig.prepare("large", many(range(10_000, 10_000 + _ROWS)))
    rig.prepare("small", one(1))
    rig.prepare("undone", one(2))
    rig.sql(one(3))
    rig.killed_behind(3)
    rig.commit("small")
    rig.roll_back("undone")
    rig.commit("large")
    rig.sql(one(4))
    rig.killed_at("engine.writer.committed=kill@2")
    parts = [len(rows) for rows in rig.read().values()]
    assert all(2 < part < 2 + _ROWS for part in parts), parts
    rig.pipeline.run_until_current()
    expected = [3, 1, *range(10_000, 10_000 + _ROWS), 4]
    assert rig.read() == dict.fromkeys(_SINKS, expected)


@pytest.mark.parametrize("every_mysql", ["mysql9", "mariadb11"], indirect=True)
@pytest.mark.parametrize("back", ["before the prepare", "behind the prepare"])
def test_of_two_sinks_one_is_put_back(
    every_mysql: MySql, make_database: Callable[[MySql], str], tmp_path: Path, back: str
) -> None:
    """To a place that a person names, at which nothing is known of what is prepared."""
    rig = Rig(every_mysql, make_database(every_mysql), tmp_path)
    rig.pipeline.run_until_current()
    before = every_mysql.gtids()
    rig.prepare("waiting", one(1))
    behind = every_mysql.gtids()
    rig.sql(one(2))
    rig.pipeline.run_until_current()
    at = before if back == "before the prepare" else behind
    said = tailrace("offsets", "set", rig.pipeline.file, "--sink", "one", "--at", at)
    assert said.code == 0, said.err
    rig.commit("waiting")
    rig.sql(one(3))
    rig.pipeline.run_until_current()
    assert rig.read() == {"one": [2, 2, 1, 3], "two": [2, 1, 3]}
