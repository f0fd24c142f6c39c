"""tailrace as people use it: a pipeline's file, commands typed one after another, and what they answer."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from tailrace.errors import Stop
from tailrace.log import Entry, Reader
from tailrace.log.reader import NO_LOG, UNKNOWN_TOPIC
from tests.pipelines import PipelineProcess
from tests.servers import Postgres
from tests.waiting import wait_until

PASSWORD = "tr0ub4dor/&3 %"
"""Every password of these tests: no command may ever show it, in either spelling."""

_PROBLEM = re.compile(
    r"^error (?P<code>TR-[A-Z]+-\d{3}): (?P<title>.+)\n(?:  at (?P<where>.+)\n)?  (?P<found>.+)\n"
    r"(?:  → (?P<remedy>.+)\n)?",
    re.M,
)


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Problem(NamedTuple):
    """An error as a person reads it."""

    code: str
    title: str
    where: str | None
    found: str
    remedy: str | None

    def statement(self, beginning: str) -> str:
        """The SQL statement in the remedy that begins so."""
        found = re.search(rf"{re.escape(beginning)}[^;…]*;", self.remedy or "")
        assert found is not None, self
        return found[0]

    def command(self, beginning: str, **placeholders: str | Path) -> list[str]:
        """The words behind `tailrace` of the command in the remedy that begins so, with what a person puts in
        for NAME and the like. The file itself stands there already: `FILE` says which it must be."""
        remedy = (self.remedy or "").replace(f" {shlex.quote(str(placeholders['FILE']))}", " FILE")
        assert self.remedy is None or " FILE" not in self.remedy, self
        commands = re.findall(r"tailrace ((?:[a-z]+ )+FILE(?: --[a-z-]+ \w+)*)", remedy)
        words = next(command for command in commands if command.startswith(beginning)).split()
        assert placeholders.keys() == {word for word in words if word.isupper()}
        return [str(placeholders.get(word, word)) for word in words]


def problems(text: str) -> list[Problem]:
    """The errors that were told, in their order."""
    return [Problem(**match.groupdict()) for match in _PROBLEM.finditer(text)]


def tailrace(*words: str | Path, timeout: float = 60) -> Said:
    """Run a command to its end. Whatever comes of it: no traceback and no password may be seen."""
    done = subprocess.run(
        [sys.executable, "-m", "tailrace", *words],
        env={**os.environ, "PYTHONWARNINGS": "error"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )
    said = Said(done.returncode, done.stdout, done.stderr)
    check_manners(said.out + said.err, debug="--debug" in words)
    return said


def check_manners(text: str, *, debug: bool = False) -> None:
    """No password in it, and no traceback unless it was asked for."""
    assert PASSWORD not in text
    assert quote(PASSWORD, "") not in text
    assert debug or "Traceback" not in text, text


def refused(code: str, *words: str | Path, exit: int = 1) -> Problem:
    """Run a command that must fail with this error and no other, and nothing on standard output."""
    said = tailrace(*words)
    assert (said.code, said.out) == (exit, ""), said
    return the_problem(said.err, code)


def the_problem(stderr: str, code: str) -> Problem:
    """The one error that was told: with this code, whole, saying what to do."""
    assert stderr.count("error TR-") == 1, stderr
    (problem,) = problems(stderr)
    assert problem.code == code, stderr
    assert problem.remedy, stderr
    return problem


class Pipeline:
    """A pipeline on one database with a table `t` (id, x). `source`, `transforms`, `sinks` and `offsets` may
    be changed: the file is written anew before each command."""

    def __init__(self, folder: Path, server: Postgres, database: str) -> None:
        self.server = server
        self.database = database
        self.folder = folder
        self.name = database.lower()
        self.file = folder / "pipeline.yaml"
        self.source: dict[str, Any] = {
            "type": "postgres",
            "url": server.url(database),
            "tables": ["public.*"],
            "snapshot": "never",
        }
        self.transforms: list[dict[str, Any]] = []
        self.sinks: list[dict[str, Any]] = [{"type": "log", "path": "log.db"}]
        self.offsets: dict[str, Any] = {"type": "sqlite", "path": "data/offsets.db"}
        self.sql("CREATE TABLE t (id int PRIMARY KEY, x text)")

    @property
    def slot(self) -> str:
        """The name of the slot and of the publication."""
        return f"tailrace_{self.name}"

    def sql(self, statement: str) -> list[tuple[Any, ...]]:
        """In a connection of the superuser's; several statements are one transaction."""
        return self.server.execute(statement, database=self.database)

    def insert(self, *ids: int) -> None:
        """A transaction for each."""
        with self.server.connect(self.database) as connection:
            for id in ids:
                connection.execute("INSERT INTO t VALUES (%s)", (id,))

    def drop_idle_slot(self) -> bool:
        """Drop the slot if nobody streams from it; whether it is gone."""
        free = f"slot_name = '{self.slot}' AND active_pid IS NULL"
        return bool(
            self.sql(f"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE {free}")
        )

    def wait_until_acknowledged(self, timeout: float = 30) -> None:
        """Until everything that is committed now is durable in every sink, and the server knows."""
        self.sql("SELECT pg_logical_emit_message(true, 'mark', '')")
        end = self.sql("SELECT pg_current_wal_flush_lsn()::text")[0][0]
        enough = (
            f"SELECT FROM pg_replication_slots WHERE slot_name = '{self.slot}' AND confirmed_flush_lsn >= "
        )
        with self.server.connect(self.database) as connection:  # one for all looks
            asked = f"{enough} '{end}'"
            wait_until(lambda: connection.execute(asked).fetchall(), "the acknowledgement", timeout)

    def write(self) -> Path:
        """The file as it is to be now."""
        document = {
            "name": self.name,
            "source": self.source,
            "transforms": self.transforms,
            "sinks": self.sinks,
            "offsets": self.offsets,
        }
        self.file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        return self.file

    def deliver(self) -> str:
        """Run until everything is delivered, which must work; what it wrote to standard error."""
        said = tailrace("run", self.write(), "--until-current")
        assert (said.code, problems(said.err)) == (0, []), said.err
        return said.err

    def follow(self, *ids: int) -> None:
        """Start it, insert these rows, see them arrive behind those that are there already, and stop it."""
        before = self.ids()
        with self.running() as process:
            self.insert(*ids)
            self.wait_for(*before, *ids)
            self.stop(process)

    def refused(self, code: str, *options: str, exit: int = 1) -> Problem:
        """`run`, which must fail with this error and no other."""
        return refused(code, "run", self.write(), "--until-current", *options, exit=exit)

    def faults(self) -> dict[str, str]:
        """What doctor finds at fault: code → remedy."""
        said = tailrace("doctor", self.write(), "--json")
        checks = json.loads(said.out)["checks"]
        faults = {check["code"]: check["remedy"] for check in checks if check["verdict"] == "fault"}
        assert (said.code, said.err) == (1 if faults else 0, "")
        return faults

    @contextlib.contextmanager
    def running(
        self, until: str = "pipeline streaming", options: Sequence[str] = ()
    ) -> Iterator[PipelineProcess]:
        """`run` beside the test, from the moment on at which it has said `until`."""
        command = [sys.executable, "-m", "tailrace", "run", str(self.write()), *options]
        errors = self.folder / "errors"
        with PipelineProcess(command, output=self.folder / "output", errors=errors, failpoints="") as process:
            wait_until(lambda: until in process.stderr or not process.running, until)
            assert until in process.stderr, process.stderr
            yield process
            check_manners(process.stderr)

    def stop(self, process: PipelineProcess) -> None:
        """SIGTERM: it leaves with 0, without an error."""
        process.signal(signal.SIGTERM)
        process.wait(20, expected=0)
        assert problems(process.stderr) == []

    def read(self, sink: str | Path = "log.db", table: str = "public.t") -> list[tuple[str, Any]]:
        """What the log holds of a table, in order: the operation, and the row after it."""
        entries: list[Entry] = []
        try:
            with contextlib.closing(Reader(self.folder / sink)) as reader:
                page = reader.read(f"{self.name}.{table}")
                entries += page.entries
                while not page.end:
                    page = reader.read(f"{self.name}.{table}", page.next)
                    entries += page.entries
        except Stop as error:
            if error.code in (NO_LOG, UNKNOWN_TOPIC):
                return []
            raise
        values = [json.loads(entry.value) for entry in entries if entry.value]
        return [(value["op"], value["after"]) for value in values]

    def ids(self, sink: str | Path = "log.db") -> list[int]:
        """The rows of `t` in the log, all of them inserted, in order."""
        events = self.read(sink)
        assert {op for op, _ in events} <= {"c"}
        return [row["id"] for _, row in events]

    def wait_for(self, *ids: int) -> None:
        """Until the log holds these rows of `t` and no others, in this order."""
        wait_until(lambda: self.ids() == list(ids), f"the rows {ids}")

    def positions(self) -> dict[str, str]:
        """Sink → where it stands, as `offsets show` prints it."""
        said = tailrace("offsets", "show", self.write())
        assert said.code == 0, said.err
        return dict(line.split(maxsplit=1) for line in said.out.splitlines() if not line.startswith(" "))
