"""What lies beside the code for those who install it says what the code and the test servers say."""

from __future__ import annotations

import configparser
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tailrace
from tailrace.cli.failure import WRONG_USAGE
from tailrace.cli.main import COMMANDS
from tailrace.config import loads
from tailrace.engine.pipeline import Pipeline
from tests.servers import kafka, postgres
from tests.servers.artefacts import UnavailableError
from tests.servers.mysql_releases import RELEASES, SETTINGS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
UNIT = ROOT / "packaging/tailrace@.service"
STOP_SECONDS: float = inspect.signature(Pipeline).parameters["stop_seconds"].default


def seconds(text: str) -> float:
    found = re.fullmatch(r"(\d+)s", text)
    assert found is not None
    return float(found[1])


def test_compose_has_the_postgresql_of_the_tests() -> None:
    service = COMPOSE["services"]["postgres"]
    newest = max(postgres.VERSIONS)
    assert service["image"] == f"postgres:{postgres.VERSIONS[newest].removesuffix('.0')}"
    settings = dict(word.removeprefix("-c").split("=", 1) for word in service["command"][1:])
    wanted = {name: str(value) for name, value in postgres.SETTINGS.items()}
    del wanted["fsync"]  # a container may lose its machine's power with somebody's data in it
    del wanted["dynamic_shared_memory_type"]  # what a killed one leaves goes with the container
    assert settings == wanted


@pytest.mark.parametrize("release", ["mysql9", "mariadb11"])
def test_compose_has_the_mysql_and_mariadb_of_the_tests(release: str) -> None:
    flavor, version = RELEASES[release].flavor, RELEASES[release].version
    service = COMPOSE["services"][flavor]
    assert service["image"] == f"{flavor}:{version}"
    settings = dict(word.removeprefix("--").split("=", 1) for word in service["command"][1:])
    assert settings.pop("server_id").isdigit()
    wanted = {name: str(value) for name, value in SETTINGS[flavor].items()}
    # What a test's server leaves out because it is thrown away, or one of many on its machine.
    for name in ("sync_binlog", "innodb_flush_log_at_trx_commit", "innodb_use_native_aio", "ssl"):
        wanted.pop(name, None)
    assert settings == wanted
    assert service["profiles"] == [flavor]  # started by those who name it


def test_compose_has_the_kafka_of_the_tests() -> None:
    service = COMPOSE["services"]["kafka"]
    assert service["image"] == f"apache/kafka:{kafka.VERSION}"
    wanted = {f"KAFKA_{name.upper().replace('.', '_')}": str(v) for name, v in kafka.SETTINGS.items()}
    given = {name: str(value) for name, value in service["environment"].items()}
    assert wanted.items() <= given.items()
    assert all(
        "LISTENER" in name or name.endswith(("_ID", "_ROLES", "_VOTERS")) for name in given.keys() - wanted
    )


def test_nothing_in_compose_is_open_to_the_network() -> None:
    ports = [port for service in COMPOSE["services"].values() for port in service.get("ports", ())]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_the_pipeline_in_compose_reaches_its_servers() -> None:
    service = COMPOSE["services"]["tailrace"]
    file, place, _ = service["volumes"][0].split(":")
    assert service["command"] == ["run", Path(place).name]
    config = loads((ROOT / file).read_text(), place, service["environment"])
    source: Any = config.source.settings
    given = COMPOSE["services"]["postgres"]["environment"]["POSTGRES_PASSWORD"]
    assert source.address.password == given
    (sink,) = config.sinks
    listeners = COMPOSE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"]
    assert f"INSIDE://{sink.block.settings.bootstrap_servers}" in listeners  # type: ignore[attr-defined]
    assert str(config.data_dir) == service["volumes"][1].split(":")[1]
    assert service["depends_on"].keys() == {"postgres", "kafka"}
    assert seconds(service["stop_grace_period"]) > STOP_SECONDS


def test_the_image_runs_the_command_unprivileged() -> None:
    lines = DOCKERFILE.splitlines()
    images = re.findall(r"^FROM python:(\d+\.\d+)-slim", DOCKERFILE, re.M)
    assert len(images) == 2
    oldest = PROJECT["requires-python"].removeprefix(">=")
    assert all(tuple(map(int, i.split("."))) >= tuple(map(int, oldest.split("."))) for i in images)
    (entry,) = [line for line in lines if line.startswith("ENTRYPOINT")]
    assert json.loads(entry.removeprefix("ENTRYPOINT")) == ["tailrace"]  # exec form: signals arrive
    assert lines.index("USER tailrace") < lines.index(entry)
    copied = set(re.findall(r"^COPY (\w+) \1$", DOCKERFILE, re.M))
    packages = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert copied == {name.removesuffix("*") for name in packages["find"]["include"]}
    assert re.findall(r"^!(\w+)$", (ROOT / ".dockerignore").read_text(), re.M)[1:] == sorted(
        copied, key=["tailrace", "connectors", "sinks", "offsets"].index
    )


def test_the_unit_starts_again_what_failed_and_not_what_is_wrong() -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]  # as configparser's documentation has it
    parser.read(UNIT)
    service = parser["Service"]
    assert service["Restart"] == "on-failure"
    assert service["RestartPreventExitStatus"] == str(WRONG_USAGE)
    assert seconds(service["TimeoutStopSec"]) > STOP_SECONDS
    assert service["ExecStart"].split()[1] in COMMANDS


def test_systemd_reads_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        raise UnavailableError("systemd-analyze is not installed; scripts/system-packages systemd does that")
    copy = tmp_path / UNIT.name
    copy.write_text(UNIT.read_text().replace("/opt/tailrace/bin/tailrace", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    if "Failed to" in done.stderr and "bus" in done.stderr.lower():
        raise UnavailableError(done.stderr)
    assert str(copy.name) not in done.stderr, done.stderr
    assert done.returncode == 0, done.stderr


def test_the_changelog_speaks_of_this_version() -> None:
    assert PROJECT["version"] == tailrace.__version__
    text = (ROOT / "CHANGELOG.md").read_text()
    assert f"[{PROJECT['version']}]" in text or PROJECT["version"] in text.partition("## [Unreleased]")[2]


@pytest.mark.skipif(shutil.which("make") is None, reason="needs make")
def test_the_first_make_says_what_takes_so_long(tmp_path: Path) -> None:
    """And nothing of the warning that setuptools has for every editable install."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    shutil.copytree(ROOT / "scripts", tmp_path / "scripts")
    warn = "import warnings; warnings.warn('Editable installation.\\nPlease be careful')"
    pip = f'#!/bin/sh\nexec {sys.executable} -c "{warn}"\n'
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nif [ $1 = -m ]; then mkdir -p .venv/bin; cp pip .venv/bin; fi\n")
    (tmp_path / "pip").write_text(pip)
    for program in (python, tmp_path / "pip"):
        program.chmod(0o755)
    made = subprocess.run(
        ["make", f"PYTHON={python}", ".venv/.installed"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL")},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith("Installing into .venv: ")
    assert made.stderr.count("Editable installation.") == 1  # the stand-in warns when pip is upgraded too
