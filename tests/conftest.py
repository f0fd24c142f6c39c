"""The servers that the tests share, and the ones that a test makes for itself; `tests/servers` says how."""

import asyncio
import contextlib
import functools
import io
import os
import platform
import signal
import tempfile
import uuid
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import hypothesis
import pytest

from tests import scratch
from tests.servers import Kafka, KafkaServer, MySql, MySqlServer, Postgres, PostgresServer, UnavailableError
from tests.servers import kafka as kafka_server
from tests.servers import postgres as postgres_server
from tests.servers.mysql_releases import RELEASES, Flavor

POSTGRES_URL = os.environ.get("TAILRACE_TEST_POSTGRES_URL")
KAFKA_BOOTSTRAP = os.environ.get("TAILRACE_TEST_KAFKA_BOOTSTRAP")
MYSQL_URLS: dict[Flavor, str | None] = {
    "mysql": os.environ.get("TAILRACE_TEST_MYSQL_URL"),
    "mariadb": os.environ.get("TAILRACE_TEST_MARIADB_URL"),
}
MAJORS = (16, 18)

# A shell has what it starts in the background ignore SIGINT, and so what that starts: tests send it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# What an example takes says nothing on a machine that others share; `pytest-timeout` ends one that hangs.
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")

Server = TypeVar("Server", PostgresServer, KafkaServer, MySqlServer)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):  # a worker has it from the process that started it
        workers = config.getoption("numprocesses", None)
        scratch.in_memory(workers if isinstance(workers, int) and workers else 1)


def pytest_report_header() -> list[str]:
    clients = ("tailrace", "psycopg", "aiokafka", "PyMySQL")
    libraries = ", ".join(f"{name} {version(name)}" for name in clients)
    started = " and ".join(postgres_server.VERSIONS[major] for major in MAJORS)
    given = [(MYSQL_URLS[release.flavor], release) for release in RELEASES.values()]
    mysqls = dict.fromkeys(repr(MySql(url)) if url else str(release) for url, release in given)
    return [
        f"{libraries}; {platform.platform()}; files in {tempfile.gettempdir()}",
        f"PostgreSQL {Postgres(POSTGRES_URL) if POSTGRES_URL else started}, "
        f"Kafka {Kafka(KAFKA_BOOTSTRAP) if KAFKA_BOOTSTRAP else kafka_server.VERSION}",
        ", ".join(mysqls),
    ]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Fetch what the collected tests need, so that no test's own time contains a download."""
    if session.config.option.collectonly:
        return
    fixtures = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    majors = postgres_server.VERSIONS if "every_postgres" in fixtures else MAJORS
    wanted: list[Callable[[], Path]] = []
    if not POSTGRES_URL and any("postgres" in name for name in fixtures):
        wanted += [functools.partial(postgres_server.template, major) for major in majors]
    if not KAFKA_BOOTSTRAP and any("kafka" in name for name in fixtures):
        wanted.append(kafka_server.prepared)
    with ThreadPoolExecutor() as beside:
        if any("mysql" in name or "mariadb" in name for name in fixtures):
            for release in RELEASES.values():
                if not MYSQL_URLS[release.flavor]:
                    beside.submit(release.template)  # not through Maven, which is best run once at a time
                    beside.submit(release.log_printer)
        with contextlib.suppress(UnavailableError):  # told by the fixtures, test by test
            for fetch in wanted:
                fetch()


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


@pytest.fixture(scope="session")
def _shared_postgres(_running: contextlib.ExitStack) -> Callable[[int], Postgres]:
    """The server of a version, started when it is first asked for; a given server stands for its own."""

    @functools.cache
    def shared(major: int) -> Postgres:
        if not POSTGRES_URL:
            return _start(PostgresServer(major), _running)
        given = Postgres(POSTGRES_URL)
        if given.major != major:
            found = f"TAILRACE_TEST_POSTGRES_URL leads to PostgreSQL {given.major}, not {major}"
            raise UnavailableError(found)
        return given

    return shared


@pytest.fixture(scope="session")
def postgres16(_shared_postgres: Callable[[int], Postgres]) -> Postgres:
    return _shared_postgres(16)


@pytest.fixture(scope="session")
def postgres18(_shared_postgres: Callable[[int], Postgres]) -> Postgres:
    return _shared_postgres(18)


@pytest.fixture(scope="session", params=["given"] if POSTGRES_URL else [f"postgres{m}" for m in MAJORS])
def postgres(request: pytest.FixtureRequest) -> Postgres:
    """Every version in turn, or the one server that TAILRACE_TEST_POSTGRES_URL names."""
    if POSTGRES_URL:
        return Postgres(POSTGRES_URL)
    server: Postgres = request.getfixturevalue(request.param)
    return server


@pytest.fixture(scope="session", params=postgres_server.VERSIONS)
def every_postgres(request: pytest.FixtureRequest, _shared_postgres: Callable[[int], Postgres]) -> Postgres:
    """Each version that is supported in turn; a given server stands for its own."""
    return _shared_postgres(request.param)


@pytest.fixture(scope="session")
def _shared_mysql(_running: contextlib.ExitStack) -> Callable[[str], MySql]:
    """The server of a release, started when it is first asked for; a given server stands for its flavor."""

    @functools.cache
    def shared(release: str) -> MySql:
        url = MYSQL_URLS[RELEASES[release].flavor]
        return MySql(url) if url else _start(MySqlServer(release), _running)

    return shared


def _releases(*flavors: Flavor) -> list[str]:
    """The releases of the flavors; a server that is given stands for all of its own."""
    chosen: dict[str, str] = {}
    for name, release in RELEASES.items():
        if release.flavor in flavors:
            chosen.setdefault(MYSQL_URLS[release.flavor] or name, name)
    return list(chosen.values())


@pytest.fixture(scope="session")
def mysql(_shared_mysql: Callable[[str], MySql]) -> MySql:
    return _shared_mysql("mysql9")


@pytest.fixture(scope="session", params=_releases("mariadb"))
def mariadb(request: pytest.FixtureRequest, _shared_mysql: Callable[[str], MySql]) -> MySql:
    """Every version in turn, or the one server that TAILRACE_TEST_MARIADB_URL names."""
    return _shared_mysql(request.param)


@pytest.fixture(scope="session", params=_releases("mysql", "mariadb"))
def every_mysql(request: pytest.FixtureRequest, _shared_mysql: Callable[[str], MySql]) -> MySql:
    """MySQL and every version of MariaDB in turn."""
    return _shared_mysql(request.param)


@pytest.fixture(scope="session")
def kafka(_running: contextlib.ExitStack) -> Kafka:
    return Kafka(KAFKA_BOOTSTRAP) if KAFKA_BOOTSTRAP else _start(KafkaServer(), _running)


@pytest.fixture
def make_database() -> Iterator[Callable[[Postgres | MySql], str]]:
    """Creates empty databases; at the end they are dropped, with the slots in them."""
    made: list[tuple[Postgres | MySql, str]] = []

    def make(server: Postgres | MySql) -> str:
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
def mysql_database(mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    """The same on `mysql`."""
    return make_database(mysql)


@pytest.fixture
def every_mysql_database(every_mysql: MySql, make_database: Callable[[MySql], str]) -> str:
    """The same on `every_mysql`."""
    return make_database(every_mysql)


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
def make_mysql() -> Iterator[Callable[..., MySqlServer]]:
    """Starts MySQL and MariaDB servers of the test's own: (release="mysql9", settings=None)."""
    with contextlib.ExitStack() as running:

        def make(
            release: str = "mysql9", settings: Mapping[str, str | int | None] | None = None
        ) -> MySqlServer:
            if MYSQL_URLS[RELEASES[release].flavor]:
                pytest.skip("a given server is neither configured nor killed")
            return _start(MySqlServer(release, settings), running)

        yield make


@pytest.fixture
def make_kafka() -> Iterator[Callable[..., KafkaServer]]:
    """Starts Kafka servers of the test's own: (settings=None)."""
    if KAFKA_BOOTSTRAP:
        pytest.skip("a given server (TAILRACE_TEST_KAFKA_BOOTSTRAP) is neither configured nor killed")
    with contextlib.ExitStack() as running:
        yield lambda *args, **kwargs: _start(KafkaServer(*args, **kwargs), running)
