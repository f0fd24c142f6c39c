"""The pipelines that the crash tests kill, and how much of that is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from tests.crash.counts import Ledger, Page
from tests.crash.kept import KeptRig
from tests.crash.rig import Rig
from tests.servers import Kafka, Postgres

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
    kills, seed, counts = (config.getoption(name) for name in ("kills", "seed", "counts"))
    if counts is not None and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Page(counts, f"make crash KILLS={kills} SEED={seed}"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """`number` counts the random instants, `round` every twentieth. More than usual: on each server."""
    kills = metafunc.config.getoption("--kills", KILLS)
    majors = (16,) if kills <= KILLS else (16, 18)
    if "server" in metafunc.fixturenames:
        kills //= len(majors)
        servers = [f"postgres{major}" for major in majors]
        metafunc.parametrize("server", servers, indirect=True, scope="module")
    for argument, count in (("number", kills), ("round", kills // KILLS)):
        if argument in metafunc.fixturenames:
            metafunc.parametrize(argument, range(count))


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
def _kept_rig(server: Postgres, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptRig]:
    kept = KeptRig(lambda: Rig(server, kafka, tmp_path_factory.mktemp("crash")))
    yield kept
    kept.drop()


@pytest.fixture
def _ledger(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    with closing(Ledger(request.node)) as ledger:
        yield ledger


@pytest.fixture
def rig(request: pytest.FixtureRequest, _kept_rig: KeptRig, _ledger: Ledger) -> Iterator[Rig]:
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
