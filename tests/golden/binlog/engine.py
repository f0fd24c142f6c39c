"""Runs Debezium's connectors for MySQL and MariaDB on the corpus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final

from tests.golden import debezium
from tests.golden.binlog import corpus
from tests.golden.binlog.changes import LAST
from tests.golden.recording import Recorder, Recording
from tests.servers import MySql
from tests.servers.artefacts import install, maven_jars
from tests.servers.mysql_releases import Flavor

#: The newest of which Maven has every part.
VERSIONS: Final[Mapping[Flavor, str]] = {"mysql": debezium.VERSION, "mariadb": "3.5.0.Final"}

_CONNECTORS: Final[Mapping[Flavor, Mapping[str, str]]] = {
    "mysql": {
        "connector.class": "io.debezium.connector.mysql.MySqlConnector",
        "database.ssl.mode": "disabled",
    },
    "mariadb": {
        "connector.class": "io.debezium.connector.mariadb.MariaDbConnector",
        "database.ssl.mode": "disable",
    },
}
_SERVER_ID: Final = 4711


def record(server: MySql, release: str, settings: Mapping[str, str]) -> Recording:
    """What Debezium makes of the corpus on a server, with its default settings but for these."""
    database = server.create_database("golden")
    corpus.prepare(server, release, database)
    recorder = Recorder(database)
    with engine(server, database, settings) as lines:
        corpus.execute(server, release, database)
        debezium.read(lines, recorder, LAST)
    server.drop_database(database)
    return recorder.recording


@contextmanager
def engine(server: MySql, database: str, settings: Mapping[str, str]) -> Iterator[IO[str]]:
    """The lines of an engine that streams, with no snapshot, and without the records of tables' versions."""
    properties = {
        "name": "golden",
        **_CONNECTORS[server.flavor],
        "snapshot.mode": "no_data",
        "include.schema.changes": "false",
        "schema.history.internal": "io.debezium.relational.history.MemorySchemaHistory",
        "topic.prefix": database,
        "database.include.list": database,
        "database.hostname": server.host,
        "database.port": server.port,
        "database.user": "root",
        "database.password": "",
        "database.server.id": _SERVER_ID,
        "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
        "converter.schemas.enable": "true",
        **settings,
    }
    dumps = "SELECT count(*) FROM information_schema.processlist WHERE command LIKE 'Binlog Dump%'"

    def streaming() -> bool:
        return server.execute(dumps) != [(0,)]

    with debezium.run(jars(server.flavor), properties, streaming) as lines:
        yield lines


def jars(flavor: Flavor) -> Path:
    """The folder with the jars of the connector, fetched if need be."""
    version = VERSIONS[flavor]
    artefacts = debezium.artefacts(version, flavor)
    return install(f"debezium-{flavor}-{version}", lambda into: maven_jars(artefacts, into, transitive=True))
