"""Server binaries from Maven artefacts, unpacked once a machine into a cache.

The cache lies outside checkout and virtual environment, where an unprivileged account can read it: servers
that are started by root run as such an account. `TAILRACE_SERVERS_DIR` moves it.
"""

import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

_DEPENDENCY_PLUGIN = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"


class UnavailableError(Exception):
    """This machine cannot have the server, and why."""


def cache() -> Path:
    """The folder that holds the unpacked servers."""
    if chosen := os.environ.get("TAILRACE_SERVERS_DIR"):
        return Path(chosen).absolute()
    if os.geteuid() == 0:
        return Path("/var/tmp/tailrace-servers")
    return Path.home() / ".cache" / "tailrace-servers"


def install(name: str, unpack: Callable[[Path], None]) -> Path:
    """The folder `name` in the cache, made by `unpack` if it is not there yet.

    It appears whole or not at all; of several processes that ask at once, one unpacks and the others wait.
    """
    installed = cache() / name
    if installed.exists():
        return installed
    cache().mkdir(parents=True, exist_ok=True)
    with (cache() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed.exists():
            with tempfile.TemporaryDirectory(prefix=f"{name}.", dir=cache()) as scratch:
                fresh = Path(scratch) / name
                fresh.mkdir(mode=0o755)
                unpack(fresh)
                fresh.rename(installed)
    return installed


def maven_jars(coordinates: list[str], into: Path, *, transitive: bool) -> None:
    """Copy the jars of `group:artefact:version` into a folder, with what they need at run time if asked."""
    if shutil.which("mvn") is None:
        raise UnavailableError("Maven (mvn) is not installed; it fetches the servers for the tests")
    with tempfile.TemporaryDirectory() as project:
        pom = Path(project) / "pom.xml"
        pom.write_text(_pom(coordinates))
        command = ["mvn", "--batch-mode", "--quiet", "--file", str(pom)]
        command += [f"{_DEPENDENCY_PLUGIN}:copy-dependencies", f"-DoutputDirectory={into}"]
        command += ["-DincludeScope=runtime", f"-DexcludeTransitive={str(not transitive).lower()}"]
        run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if run.returncode:
            raise UnavailableError(f"Maven could not fetch {', '.join(coordinates)}:\n{run.stdout[-2000:]}")


def copy_command(data: Path, into: Path) -> list[str | Path]:
    """What copies data into a folder: most of it is zeros, which take no place on the disk then."""
    return ["cp", "--recursive", "--sparse=always", f"{data}/.", into]


def _pom(coordinates: list[str]) -> str:
    dependencies = ""
    for coordinate in coordinates:
        group, artefact, version = coordinate.split(":")
        dependencies += (
            f"<dependency><groupId>{group}</groupId><artifactId>{artefact}</artifactId>"
            f"<version>{version}</version></dependency>"
        )
    return (
        "<project><modelVersion>4.0.0</modelVersion>"
        "<groupId>tailrace</groupId><artifactId>servers</artifactId><version>1</version>"
        f"<dependencies>{dependencies}</dependencies></project>"
    )
