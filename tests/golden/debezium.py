"""Runs the real Debezium on the corpus: its connector in its embedded engine, with JsonConverter."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import IO, Final

from tests.golden.changes import LAST
from tests.golden.corpus import Corpus
from tests.golden.recording import Recorder, Recording
from tests.servers import Postgres
from tests.servers.artefacts import install, maven_jars
from tests.servers.kafka import java
from tests.waiting import wait_until

#: The newest of which Maven has every part.
VERSION: Final = "3.6.1.Final"

_JVM: Final = (
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Duser.timezone=UTC",
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=error",
)
_PROGRAM: Final = Path(__file__).with_name("Engine.java")


def record(server: Postgres, corpus: Corpus, settings: Mapping[str, str] = MappingProxyType({})) -> Recording:
    """What Debezium makes of a corpus on a server, with its default settings but for these."""
    database = server.create_database()
    corpus.prepare(server, database)
    recorder = Recorder(database)
    with engine(server, database, settings) as lines:
        corpus.execute(server, database)
        read(lines, recorder, LAST)
    server.drop_database(database)
    return recorder.recording


def read(lines: IO[str], recorder: Recorder, last: str) -> None:
    """Take what Debezium writes, up to the first record of the table `last`."""
    table = ""
    while table != last:
        line = lines.readline()
        if not line:
            raise RuntimeError(f"Debezium ended before the corpus did, behind {table}")
        if (value := json.loads(line)["value"]) is not None:  # a tombstone follows its delete
            table = value["payload"]["source"]["table"]
        recorder.add(table, line)


@contextmanager
def engine(server: Postgres, database: str, settings: Mapping[str, str]) -> Iterator[IO[str]]:
    """The lines of an engine that streams, with no snapshot."""
    properties = {
        "name": "golden",
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "plugin.name": "pgoutput",
        "snapshot.mode": "no_data",
        "topic.prefix": database,
        "slot.name": database,
        "database.hostname": server.host,
        "database.port": server.port,
        "database.user": "postgres",
        "database.password": "",
        "database.dbname": database,
        "offset.storage": "org.apache.kafka.connect.storage.MemoryOffsetBackingStore",
        "converter.schemas.enable": "true",
        **settings,
    }

    def streaming() -> bool:
        slots = "SELECT true FROM pg_replication_slots WHERE slot_name = %s AND active"
        return bool(server.execute(slots, (database,)))

    with run(jars(), properties, streaming) as lines:
        yield lines


@contextmanager
def run(jars: Path, properties: Mapping[str, object], streaming: Callable[[], bool]) -> Iterator[IO[str]]:
    """The lines that a connector writes once it streams. `streaming`: whether the server sees it."""
    command = [java(), *_JVM, "-cp", str(jars / "*"), str(_PROGRAM)]
    command += [f"{name}={value}" for name, value in properties.items()]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, encoding="utf-8") as process:
        assert process.stdout

        def started() -> bool:
            assert process.poll() is None, "Debezium did not start"
            return streaming()

        try:
            wait_until(started, "Debezium to stream", 60)
            yield process.stdout
        finally:
            process.kill()


def jars() -> Path:
    """The folder with the jars of the connector, fetched if need be."""
    of = artefacts(VERSION, "postgres")
    return install(f"debezium-{VERSION}", lambda into: maven_jars(of, into, transitive=True))


def artefacts(version: str, connector: str) -> list[str]:
    """What makes up a connector, by Maven's coordinates."""
    return [
        *(f"io.debezium:debezium-{name}:{version}" for name in ("api", "embedded", f"connector-{connector}")),
        "org.slf4j:slf4j-simple:1.7.36",  # tells why the connector stops
    ]
