"""Secrets stand in the file and in the environment, and in nothing that tailrace writes."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import pty
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import Final
from urllib.parse import quote, quote_plus

import psutil
import pytest
import yaml
from psycopg.sql import SQL, Identifier

from tailrace.config import load, make_sinks, make_source
from tests.integration.commandline import Pipeline
from tests.kafka_reader import read_uncommitted
from tests.servers import Kafka
from tests.servers.process import free_port
from tests.waiting import wait_until

_PASSWORD = "Kn0bl/auch:@ 7%&'suppe"
_KEY_PASSWORD = "Schlüss3l+bund/9="
_KAFKA_PASSWORD = "Rett1ch~im(Topf)?=&"
_SECRETS = (_PASSWORD, _KEY_PASSWORD, _KAFKA_PASSWORD)
_ONE_RUN: Final = Lock()  # of one name on a machine


def _forms(secret: str) -> Iterator[bytes]:
    """A secret as it may be written."""
    plain = secret.encode()
    yield plain
    yield repr(secret)[1:-1].encode()
    yield quote(secret, "").encode()
    yield quote_plus(secret).encode()
    yield quote(secret).encode()
    yield plain.hex().encode()
    for begin in range(3):  # base64 of a text in which it stands anywhere
        encoded = base64.b64encode(b"\0" * begin + plain)
        yield encoded[4 if begin else 0 : -4]


def _found(text: bytes) -> list[bytes]:
    return [form for secret in _SECRETS for form in _forms(secret) if form in text]


def _type(*words: str | Path, environment: Mapping[str, str]) -> bytes:
    """What a command writes, whatever comes of it."""
    with _ONE_RUN if words[0] == "run" else contextlib.nullcontext():
        done = subprocess.run(
            [sys.executable, "-m", "tailrace", *words],
            env={**os.environ, **environment}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False, timeout=60,
        )  # fmt: skip
    assert done.stdout, words
    return done.stdout


@contextlib.contextmanager
def _on_a_terminal(*words: str | Path, environment: Mapping[str, str]) -> Iterator[tuple[int, bytearray]]:
    """The process, and what it has written so far."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "tailrace", *words],
        env={**os.environ, **environment, "TERM": "xterm", "COLUMNS": "200"},
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
    )  # fmt: skip
    os.close(theirs)
    written = bytearray()

    def follow() -> None:
        with contextlib.suppress(OSError):  # how a terminal tells that nobody is left
            while data := os.read(ours, 65536):
                written.extend(data)

    with ThreadPoolExecutor(1) as following:
        reading = following.submit(follow)
        try:
            yield process.pid, written
            process.send_signal(signal.SIGTERM)
            process.wait(20)
        finally:
            process.kill()
            process.wait()
            reading.result(10)
            os.close(ours)


@pytest.fixture
def guarded(pipeline: Pipeline, kafka: Kafka) -> Iterator[Pipeline]:
    """A pipeline whose role has a password, into every sink."""
    role = f"guarded_{pipeline.database}"
    create = SQL("CREATE ROLE {} SUPERUSER LOGIN PASSWORD {}").format(Identifier(role), _PASSWORD)
    pipeline.sql(create.as_string())
    url = pipeline.server.url(pipeline.database, role)
    pipeline.source["url"] = f"{url}?sslpassword={quote(_KEY_PASSWORD, '')}"
    pipeline.source["password"] = "${GUARDED}"
    pipeline.sinks += [
        {
            "type": "kafka",
            "bootstrap_servers": kafka.bootstrap_servers,
            "offsets_topic": f"{pipeline.name}.offsets",
        },
        {"type": "stdout"},
    ]
    yield pipeline
    pipeline.sql(f"DROP OWNED BY {role}")
    pipeline.server.execute(f"DROP ROLE {role}")


def _changed(pipeline: Pipeline, name: str, url: str, kafka: Mapping[str, object]) -> Path:
    """Another file, with a fault in it and the password inside the URL."""
    document = yaml.safe_load(pipeline.file.read_text())
    document["source"]["url"] = url
    del document["source"]["password"]
    document["sinks"][1] |= kafka
    file = pipeline.folder / f"{name}.yaml"
    file.write_text(yaml.safe_dump(document, allow_unicode=True))
    return file


@pytest.mark.timeout(240)
def test_no_secret_is_ever_written(guarded: Pipeline, kafka: Kafka) -> None:
    """Add what is new here: a command, a file, an address that answers."""
    pipeline, environment = guarded, {"GUARDED": _PASSWORD}
    file = pipeline.write()
    url = str(pipeline.source["url"]).replace("@", f":{quote(_PASSWORD, '')}@")
    pipeline_files = {file}

    def faulty(name: str, url: str = url, kafka: Mapping[str, object] = {}) -> Path:
        pipeline_files.add(made := _changed(pipeline, name, url, kafka))
        return made

    unreachable = faulty("unreachable", url.replace(f":{pipeline.server.port}", f":{free_port()}"))
    unknown = faulty("unknown", url.replace(f"/{pipeline.database}?", "/nowhere?"))
    wrong = faulty("wrong", url.replace("@", "!@"))
    bad_url = faulty("bad_url", url.replace("//", f"//{_PASSWORD}:"))
    no_key = faulty("no_key", f"{url}&sslmode=require&sslkey=/nowhere/{{}}")
    login = {"sasl_mechanism": "PLAIN", "sasl_username": "tailrace", "sasl_password": _KAFKA_PASSWORD}
    no_login = faulty("no_login", kafka=login)  # a password that nothing asks for
    wrong_login = faulty("wrong_login", kafka={**login, "security_protocol": "SASL_PLAINTEXT"})
    surfaces: dict[str, Callable[[], bytes]] = {
        " ".join(map(str, words)): lambda words=words: _type(*words, environment=environment)  # type: ignore[misc]
        for words in [
            ("validate", bad_url, "--debug"),
            ("doctor", file),
            ("doctor", unreachable, "--json"),
            ("doctor", wrong_login, "--debug"),
            ("validate", no_login, "--debug"),
            ("explain", wrong_login),
            ("init", url, "--debug"),
            ("run", no_key, "--until-current", "--debug"),
            ("run", unknown, "--until-current", "--debug"),
            ("run", wrong, "--until-current", "--log-format", "json", "--debug"),
            ("offsets", "set", file, "--at", "FF/0", "--debug"),
            ("teardown", file, "--dry-run"),
        ]
    }
    pipeline.sql("INSERT INTO t VALUES (1)")
    with ThreadPoolExecutor(2) as pool:
        written = dict(zip(surfaces, pool.map(lambda look: look(), surfaces.values()), strict=True))

    port = free_port()
    options = ("--debug", "--http", f":{port}")
    with _on_a_terminal("run", file, *options, environment=environment) as (pid, shown):
        wait_until(lambda: pipeline.sql("SELECT FROM pg_replication_slots WHERE active"), "the stream")
        pipeline.insert(2)
        pipeline.wait_until_acknowledged()
        for page in ("livez", "readyz", "metrics", "status"):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=10) as answer:
                written[f"HTTP {page}"] = answer.read()
        written["status"] = _type("status", file, environment=environment)
        written["status --json"] = _type("status", pipeline.name, "--json", environment=environment)
        written["the words of the process"] = " ".join(psutil.Process(pid).cmdline()).encode()
        ((seen,),) = pipeline.sql(
            "SELECT string_agg(concat_ws(' ', application_name, query), ' ') FROM pg_stat_activity "
            f"WHERE datname = '{pipeline.database}'"
        )
        written["what the server shows"] = seen.encode()
    written["the terminal"] = bytes(shown)

    assert any(b"TR-PG-010" in text for text in written.values())
    assert all(written.values())
    assert all(_found(path.read_bytes()) for path in pipeline_files), "they would be found"
    for path in pipeline.folder.rglob("*"):
        if path.is_file() and path not in pipeline_files:
            written[str(path)] = path.read_bytes()
    records = asyncio.run(read_uncommitted(kafka, f"{pipeline.name}.offsets"))
    written["the offsets topic"] = b"".join((record.key or b"") + (record.value or b"") for record in records)
    assert {surface: _found(text) for surface, text in written.items() if _found(text)} == {}


def test_nothing_in_memory_shows_it(guarded: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stands in a traceback's words, or in a log of somebody who uses it from Python."""
    monkeypatch.setenv("GUARDED", _PASSWORD)
    guarded.sinks[1] |= {
        "security_protocol": "SASL_PLAINTEXT",
        "sasl_mechanism": "PLAIN",
        "sasl_username": "tailrace",
        "sasl_password": _KAFKA_PASSWORD,
    }
    config = load(str(guarded.write()))
    source, sinks = make_source(config), make_sinks(config)
    parts = [config, config.source, source, *sinks]
    parts += [value for part in parts if hasattr(part, "__dict__") for value in vars(part).values()]
    assert {repr(part) for part in parts if _found(repr(part).encode())} == set()
