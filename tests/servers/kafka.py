"""A real Apache Kafka for the tests: one node, broker and controller in one process (KRaft)."""

import base64
import contextlib
import os
import shutil
import socket
import struct
import subprocess
import uuid
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from signal import SIGTERM

from tests.servers.artefacts import UnavailableError, install, maven_jars
from tests.servers.process import Restartable, ServerProcess, free_port

VERSION = "4.4.0"
_JAVA = 17  # the oldest Java that the broker runs on

#: What differs from Kafka's defaults unless a test sets it otherwise.
SETTINGS: Mapping[str, str | int] = {
    "auto.create.topics.enable": "false",
    "offsets.topic.replication.factor": 1,
    "offsets.topic.num.partitions": 4,
    "transaction.state.log.replication.factor": 1,
    "transaction.state.log.min.isr": 1,
    "transaction.state.log.num.partitions": 4,
    "group.initial.rebalance.delay.ms": 0,
    # A broker that was killed comes back only when the session that it had before has run out.
    "broker.session.timeout.ms": 3000,
    "broker.heartbeat.interval.ms": 500,
}

# The cheap compiler and collector: a test's broker lives for seconds, beside others on few cores.
_JVM = ("-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")


_CLASSES = "classes.jsa"


class Kafka:
    """A Kafka that runs, known by its bootstrap servers."""

    def __init__(self, bootstrap_servers: str) -> None:
        self.bootstrap_servers = bootstrap_servers

    def __repr__(self) -> str:
        return f"<Kafka at {self.bootstrap_servers}>"


class KafkaServer(Restartable, Kafka):
    """A Kafka of the test's own, which it may stop, kill and start again on the same port and data.

    `settings` are read at every start: change an entry and restart. `listeners` are more of them beside the
    open one that the tests use, name → protocol; `ports` tells where. `format_options` go to the formatting
    of the storage. As a context manager it is removed at the end, data and all.
    """

    def __init__(
        self,
        settings: Mapping[str, str | int] | None = None,
        *,
        listeners: Mapping[str, str] | None = None,
        format_options: Sequence[str] = (),
    ) -> None:
        self._java = [java(), *_JVM, "-Dlog4j2.level=INFO", "-cp", str(jars() / "*")]
        self._format_options = format_options
        self.port, self._controller_port = free_port(), free_port()
        self._listeners = {"BROKER": "PLAINTEXT", **(listeners or {})}
        self.ports = {name: self.port if name == "BROKER" else free_port() for name in self._listeners}
        super().__init__(f"127.0.0.1:{self.port}")
        self.settings: dict[str, str | int] = {**SETTINGS, **(settings or {})}
        self.process = ServerProcess("kafka")
        self.data = self.process.directory / "data"
        self._properties = self.process.directory / "server.properties"
        self._prepare()

    def start(self, timeout: float = 60) -> None:
        """Start it and return when it lists itself as a broker that takes work."""
        self._write_properties()
        self.process.start([*self._java, "kafka.Kafka", self._properties], self._answers, timeout)

    def stop(self, timeout: float = 60) -> None:
        """Stop it with a controlled shutdown."""
        self.process.stop(SIGTERM, timeout)

    def _prepare(self) -> None:
        """Make the storage: a copy of the prepared one, unless it is to be another."""
        self._java.insert(1, f"-XX:SharedArchiveFile={prepared() / _CLASSES}")
        if self._format_options:
            self._format()
            return
        shutil.copytree(prepared() / "data", self.data)
        (self.data / "meta.properties").write_text(
            f"version=1\nnode.id=1\ncluster.id={_id()}\ndirectory.id={_id()}\n"
        )
        owner = self.process.directory.stat()
        for path in (self.data, *self.data.rglob("*")):
            shutil.chown(path, owner.st_uid, owner.st_gid)

    def _format(self) -> None:
        self._write_properties()
        # One word: an id may begin with a hyphen.
        format_storage = ["kafka.tools.StorageTool", "format", f"--cluster-id={_id()}", *self._format_options]
        self.process.run([*self._java, *format_storage, "--config", self._properties])

    def _write_properties(self) -> None:
        places = {name: f"{name}://127.0.0.1:{port}" for name, port in self.ports.items()}
        protocols = [f"{name}:{protocol}" for name, protocol in self._listeners.items()]
        settings = {
            "advertised.listeners": ",".join(places.values()),
            **self.settings,
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._controller_port}",
            "listeners": ",".join([*places.values(), f"CONTROLLER://127.0.0.1:{self._controller_port}"]),
            "listener.security.protocol.map": ",".join([*protocols, "CONTROLLER:PLAINTEXT"]),
            "inter.broker.listener.name": "BROKER",
            "controller.listener.names": "CONTROLLER",
            "log.dirs": self.data,
        }
        self._properties.write_text("".join(f"{key}={value}\n" for key, value in settings.items()))

    def _answers(self) -> bool:
        # A Metadata request, version 1, about no topic: the brokers that it lists are registered and not
        # fenced. By hand, because a test may call start() beside a running event loop.
        body = struct.pack(">hhih4si", 3, 1, 1, 4, b"test", 0)
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                connection.sendall(struct.pack(">i", len(body)) + body)
                answer = connection.recv(12, socket.MSG_WAITALL)
        except OSError:
            return False
        return len(answer) == 12 and bool(struct.unpack(">iii", answer)[2])


class _FirstKafka(KafkaServer):
    """Makes what the others start with: when it is stopped it leaves its classes in `classes`."""

    def _prepare(self) -> None:
        self._format()
        self.formatted = self.process.directory / "formatted"
        shutil.copytree(self.data, self.formatted)
        self.classes = self.process.directory / _CLASSES
        self._java.insert(1, f"-XX:ArchiveClassesAtExit={self.classes}")


def prepared() -> Path:
    """What each server would make anew, which takes as long as the rest of its start: formatted storage, and
    the broker's classes as Java maps them into memory. Java goes without if they do not fit it."""

    def prepare(into: Path) -> None:
        with _FirstKafka() as server:
            server.stop()
            shutil.copytree(server.formatted, into / "data")
            with contextlib.suppress(FileNotFoundError):  # not every Java writes them
                shutil.copyfile(server.classes, into / _CLASSES)

    return install(f"kafka-{VERSION}-java-{_found_java()[1]}", prepare)


def jars() -> Path:
    """The folder with the broker's jars, fetched if need be."""
    coordinates = [
        f"org.apache.kafka:kafka_2.13:{VERSION}",
        # Without it the broker's log is empty; it belongs to the logging library that Kafka brings.
        "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",
    ]
    return install(f"kafka-{VERSION}", lambda into: maven_jars(coordinates, into, transitive=True))


def java() -> str:
    """The `java` of JAVA_HOME or of the PATH, if it is new enough."""
    return _found_java()[0]


@cache
def _found_java() -> tuple[str, str]:
    """The program, and its version to the last build."""
    home = os.environ.get("JAVA_HOME")
    program = shutil.which(Path(home, "bin", "java") if home else "java")
    if program is None:
        raise UnavailableError(f"Java is not installed; Kafka needs Java {_JAVA} or later")
    run = subprocess.run([program, "-XshowSettings:properties", "-version"], capture_output=True, text=True)
    found = dict(line.strip().partition(" = ")[::2] for line in run.stderr.splitlines() if " = " in line)
    version = found.get("java.specification.version", "")
    if not version.isdigit() or int(version) < _JAVA:
        raise UnavailableError(f"Kafka needs Java {_JAVA} or later; {program} is {version or 'of no use'}")
    return program, found.get("java.vm.version", version)


def _id() -> str:
    """An identifier as Kafka writes them."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
