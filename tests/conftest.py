"""The servers that the tests share, and the ones that a test makes for itself; `tests/servers` says how."""

import asyncio
import contextlib
import io
import os
import platform
import uuid
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import version
from typing import TypeVar

import hypothesis
import pytest

from tests.servers import Kafka, KafkaServer, Postgres, PostgresServer, UnavailableError
from tests.servers import kafka as kafka_server
from tests.servers import postgres as postgres_server

POSTGRES_URL = os.environ.get("TAILRACE_TEST_POSTGRES_URL")
KAFKA_BOOTSTRAP = os.environ.get("TAILRACE_TEST_KAFKA_BOOTSTRAP")
MAJORS = (16, 18)

# What an example takes says nothing on a machine that others share; `pytest-timeout` ends one that hangs.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

Server = TypeVar("Server", PostgresServer, KafkaServer)


def pytest_report_header() -> list[str]:
    libraries = ", ".join(f"{name} {version(name)}" for name in ("tailrace", "psycopg", "aiokafka"))
    started = " and ".join(postgres_server.VERSIONS[major] for major in MAJORS)
    return [
        f"{libraries}; {platform.platform()}",
        f"PostgreSQL {Postgres(POSTGRES_URL) if POSTGRES_URL else started}, "
        f"Kafka {Kafka(KAFKA_BOOTSTRAP) if KAFKA_BOOTSTRAP else kafka_server.VERSION}",
    ]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch what the collected tests need, so that no test's own time contains a download."""
    if session.config.option.collectonly:
        return
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    with contextlib.suppress(UnavailableError):  # told by the fixtures, test by test
        if not POSTGRES_URL and any("postgres" in name for name in fixtures):
            for major in postgres_server.VERSIONS if "every_postgres" in fixtures else MAJORS:
                postgres_server.binaries(major)
        if not KAFKA_BOOTSTRAP and any("kafka" in name for name in fixtures):
            kafka_server.prepared()


@pytest.hookimpl(wrapper=True)
def _skip_where_unavailable() -> Generator[None, None, None]:
    """Skip a test for which this machine cannot have the server; under CI that is a failure."""
    try:
        return (yield)
    except UnavailableError as unavailable:
        if os.environ.get("CI") == "true":
            raise
        pytest.skip(str(unavailable))


# A shared server is started while a test is set up, one of its own while the test runs.
pytest_runtest_setup = pytest_runtest_call = _skip_where_unavailable


def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Show where every asyncio task stands when a test has hung: the stack shows only the event loop's."""
    if call.excinfo is None or "pytest-timeout" not in str(call.excinfo.value):
        return
    owners = (entry.frame.f_locals.get("self") for entry in call.excinfo.traceback)
    for loop in {owner for owner in owners if isinstance(owner, asyncio.AbstractEventLoop)}:
        stacks = io.StringIO()
        for task in asyncio.all_tasks(loop):
            task.print_stack(file=stacks)
        item.add_report_section(call.when, "tasks", stacks.getvalue())


def _start(server: Server, running: contextlib.ExitStack) -> Server:
    """Start a server, which is removed when the stack is unwound."""
    running.callback(server.remove)
    server.start()
    return server


@pytest.fixture(scope="session")
def _running() -> Iterator[contextlib.ExitStack]:
    with contextlib.ExitStack() as running:
        yield running


def _shared_postgres(major: int, running: contextlib.ExitStack) -> Postgres:
    if not POSTGRES_URL:
        return _start(PostgresServer(major), running)
    given = Postgres(POSTGRES_URL)
    if given.major != major:
        raise UnavailableError(f"TAILRACE_TEST_POSTGRES_URL leads to PostgreSQL {given.major}, not {major}")
    return given


@pytest.fixture(scope="session")
def postgres16(_running: contextlib.ExitStack) -> Postgres:
    return _shared_postgres(16, _running)


@pytest.fixture(scope="session")
def postgres18(_running: contextlib.ExitStack) -> Postgres:
    return _shared_postgres(18, _running)


@pytest.fixture(scope="session", params=["given"] if POSTGRES_URL else [f"postgres{m}" for m in MAJORS])
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """Every version in turn, or the one server that TAILRACE_TEST_POSTGRES_URL names."""
    if POSTGRES_URL:
        return Postgres(POSTGRES_URL)
    server: Postgres = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session", params=postgres_server.VERSIONS)
def every_postgres(request: pytest.FixtureRequest, _running: contextlib.ExitStack) -> Postgres:
    """Each version that is supported in turn; a given server stands for its own."""
    major: int = request.param
    if major not in MAJORS:
        return _shared_postgres(major, _running)
    server: Postgres = request.getfixturevalue(f"postgres{major}")
    return server


@pytest.fixture(scope="session")
def kafka(_running: contextlib.ExitStack) -> Kafka:
    return Kafka(KAFKA_BOOTSTRAP) if KAFKA_BOOTSTRAP else _start(KafkaServer(), _running)


@pytest.fixture
def make_database() -> Iterator[Callable[[Postgres], str]]:
    """Creates empty databases; at the end they are dropped, with the slots in them."""
    made: list[tuple[Postgres, str]] = []

    def make(server: Postgres) -> str:
        made.append((server, server.create_database()))
        return made[-1][1]

    yield make
    for server, name in made:
        server.drop_database(name)


@pytest.fixture
def postgres_database(postgres: Postgres, make_database: Callable[[Postgres], str]) -> str:
    """The name of a database of the test's own on `postgres`."""
    return make_database(postgres)


@pytest.fixture
def topic_prefix() -> str:
    """What a test begins the names of its topics and transactional ids with."""
    return f"test{uuid.uuid4().hex[:8]}."


@pytest.fixture
def make_postgres() -> Iterator[Callable[..., PostgresServer]]:
    """Starts PostgreSQL servers of the test's own: (major=16, settings=None)."""
    if POSTGRES_URL:
        pytest.skip("a given server (TAILRACE_TEST_POSTGRES_URL) is neither configured nor killed")
    with contextlib.ExitStack() as running:
        yield lambda *args, **kwargs: _start(PostgresServer(*args, **kwargs), running)


@pytest.fixture
def make_kafka() -> Iterator[Callable[..., KafkaServer]]:
    """Starts Kafka servers of the test's own: (settings=None)."""
    if KAFKA_BOOTSTRAP:
        pytest.skip("a given server (TAILRACE_TEST_KAFKA_BOOTSTRAP) is neither configured nor killed")
    with contextlib.ExitStack() as running:
        yield lambda *args, **kwargs: _start(KafkaServer(*args, **kwargs), running)
