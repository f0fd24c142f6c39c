"""The pipelines that the crash tests kill, and how much of that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.crash.counts import Ledger, Page
from tests.crash.kept import KeptRig
from tests.crash.mysql_rig import MySqlRig
from tests.crash.rig import Rig
from tests.servers import Kafka, MySql, Postgres
from tests.servers.mysql_releases import RELEASES

KILLS = 20
"""At random instants, unless more are asked for."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("crash")
    group.addoption(
        "--kills", type=int, default=KILLS, help="kills at random instants, and the rest in proportion"
    )
    group.addoption("--seed", type=int, default=1, help="from which the instants are drawn")
    group.addoption("--counts", type=Path, help="a page that is to tell what was killed and compared")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "matrix: runs where more than the usual number of kills is asked for")
    config.addinivalue_line("markers", "groups(all): `points` is each of them, or each member of them alone")
    kills, seed, counts = (config.getoption(name) for name in ("kills", "seed", "counts"))
    if counts is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(counts, f"make crash KILLS={kills} SEED={seed}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`number` counts the random instants, `round` every twentieth. More than usual: on each server, and for
    `mysql_server` on MariaDB too."""
    kills = metafunc.config.getoption("--kills", KILLS)
    majors = (16,) if kills <= KILLS else (16, 18)
    full = kills > KILLS
    if "server" in metafunc.fixturenames:
        kills //= len(majors)
        servers = [f"postgres{major}" for major in majors]
        metafunc.parametrize("server", servers, indirect=True, scope="module")
    if "mysql_server" in metafunc.fixturenames:
        releases = list(RELEASES)[: None if full else 1]
        metafunc.parametrize("mysql_server", releases, indirect=True, scope="module")
    for mark in metafunc.definition.iter_markers("groups"):
        groups: list[list[str]] = mark.args[0]
        alone = [[name] for group in groups for name in group]
        chosen = alone if full else groups
        metafunc.parametrize("points", chosen, ids=[points[0] for points in chosen])
    for argument, count in (("number", kills), ("round", kills // KILLS)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, range(count))


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--kills", KILLS) <= KILLS:
        left_out = [item for item in items if item.get_closest_marker("matrix")]
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    given: int = request.config.getoption("--seed", 1)
    return given


@pytest.fixture(scope="module")
def server(request: pytest.FixtureRequest) -> Postgres:
    """The PostgreSQL of the pipelines."""
    shared: Postgres = request.getfixturevalue(request.param)
    return shared


@pytest.fixture(scope="module")
def _kept_rig(
    server: Postgres, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeptRig[Rig]]:
    kept = KeptRig(lambda: Rig(server, kafka, tmp_path_factory.mktemp("crash")))
    yield kept
    kept.drop()


@pytest.fixture
def _ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    with closing(Ledger(request.node)) as ledger:
        yield ledger


@pytest.fixture
def rig(request: pytest.FixtureRequest, _kept_rig: KeptRig[Rig], _ledger: Ledger) -> Iterator[Rig]:
    """A pipeline that has started once, with all four sinks, shared by the tests of a module."""
    failed = request.session.testsfailed
    yield _ledger.watch(_kept_rig.take())
    if request.session.testsfailed != failed:
        _kept_rig.drop()


@pytest.fixture
def make_rig(server: Postgres, kafka: Kafka, tmp_path: Path, _ledger: Ledger) -> Iterator[Callable[..., Rig]]:
    """Makes pipelines of the test's own that have not started yet; keywords as `Rig` takes them."""
    with ExitStack() as rigs:

        def make(**options: object) -> Rig:
            servers = options.pop("postgres", server), options.pop("kafka", kafka)
            return _ledger.watch(rigs.enter_context(Rig(*servers, tmp_path, **options)))  # type: ignore[arg-type]

        yield make


@pytest.fixture(scope="module")
def mysql_server(request: pytest.FixtureRequest, _shared_mysql: Callable[[str], MySql]) -> MySql:
    """The MySQL or MariaDB of the pipelines; `make test` has MySQL alone."""
    return _shared_mysql(request.param)


@pytest.fixture(scope="module")
def _kept_mysql_rig(
    mysql_server: MySql, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[KeptRig[MySqlRig]]:
    kept = KeptRig(lambda: MySqlRig(mysql_server, kafka, tmp_path_factory.mktemp("crash")))
    yield kept
    kept.drop()


@pytest.fixture
def mysql_rig(
    request: pytest.FixtureRequest, _kept_mysql_rig: KeptRig[MySqlRig], _ledger: Ledger
) -> Iterator[MySqlRig]:
    """A pipeline on MySQL or MariaDB that has started once, with all three sinks, shared by the tests of a
    module."""
    failed = request.session.testsfailed
    yield _ledger.watch(_kept_mysql_rig.take())
    if request.session.testsfailed != failed:
        _kept_mysql_rig.drop()


@pytest.fixture
def make_mysql_rig(kafka: Kafka, tmp_path: Path, _ledger: Ledger) -> Iterator[Callable[..., MySqlRig]]:
    """Makes pipelines of the test's own that have not started yet, on a server; keywords as `MySqlRig` takes
    them."""
    with ExitStack() as rigs:

        def make(server: MySql, **options: object) -> MySqlRig:
            broker = options.pop("kafka", kafka)
            rig = MySqlRig(server, broker, tmp_path, **options)  # type: ignore[arg-type]
            return _ledger.watch(rigs.enter_context(rig))

        yield make
