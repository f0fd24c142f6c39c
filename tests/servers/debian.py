"""Programs out of a Debian distribution, whichever one this machine runs.

apt fetches a package with all that it depends on into a folder of its own, with a state of its own: nothing
of the machine is installed or changed. The programs run by the dynamic loader and the libraries that came
with them, as any account.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from tests.servers.artefacts import UnavailableError

_MIRROR: Final = "http://deb.debian.org/debian"
_KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
# What the servers depend on for scripts that no test runs: apt is told that it is there already.
_LEFT_OUT: Final = "perl"
_NEVER_READ: Final = ("doc", "gdb", "lintian", "locale", "man")


def source(suite: str) -> str:
    """The line that tells apt of a suite of Debian."""
    return f"deb [signed-by={_KEYRING}] {_mirror()} {suite} main"


def unpack(package: str, version: str, source: str, into: Path, *, alone: bool = False) -> None:
    """Fetch a package of this upstream version from a source, and unpack it with what it depends on; `alone`:
    without that.

    Raises UnavailableError where apt may not be used or fails, and where the source has another version.
    """
    if os.geteuid() != 0 and os.environ.get("CI") != "true":
        raise UnavailableError(
            f"{package} is fetched with apt-get, which only root, or CI=true, lets the tests do"
        )
    apt = _Apt(source, into / "apt")
    apt.run("apt-get", "update")
    found = apt.run("apt-cache", "show", "--no-all-versions", package)
    (offered,) = (line.split()[1] for line in found.splitlines() if line.startswith("Version: "))
    if _upstream(offered) != version:
        raise UnavailableError(
            f"{package} {version} is wanted, but {offered} is what {source} has now: the version stands in "
            f"tests/servers/mysql_releases.py and in docker-compose.yml"
        )
    if alone:
        apt.run("apt-get", "download", package)
    else:
        apt.run("apt-get", "install", "--yes", "--download-only", "--no-install-recommends", package)
    for archive in sorted((into / "apt" / "archives").glob("*.deb")):
        _run(["dpkg-deb", "--extract", archive, into])
    shutil.rmtree(into / "apt")
    for name in _NEVER_READ:
        shutil.rmtree(into / "usr/share" / name, ignore_errors=True)


@cache
def command(unpacked: Path, program: str | Path) -> tuple[str | Path, ...]:
    """The words that run a program of an unpacked package, or an absolute path to one that needs no more
    libraries than that package: its options may follow.

    Raises UnavailableError if a library is missing, or would be the machine's own.
    """
    # Not the links to it: they lead to absolute places, which are the machine's.
    (loader,) = (path for path in unpacked.rglob("ld-linux-*.so.*") if not path.is_symlink())
    libraries = ":".join(str(path) for usr in ("", "usr/") for path in unpacked.glob(f"{usr}lib/*-linux-gnu"))
    words = (loader, "--library-path", libraries, unpacked / program)
    listed = _run([*words[:-1], "--list", words[-1]])
    for line in listed.splitlines():
        name, arrow, place = line.strip().partition(" => ")
        if arrow and not place.startswith(f"{unpacked}/") and "ld-linux" not in name:
            raise UnavailableError(f"{program} needs {name}, which did not come with it: {place}")
    return words


class _Apt:
    """apt with a state, a cache and a source of its own. It reaches the network as the machine's apt does."""

    def __init__(self, source: str, folder: Path) -> None:
        for name in ("lists/partial", "archives/partial"):
            (folder / name).mkdir(parents=True)
        (folder / "sources.list").write_text(f"{source}\n")
        (folder / "status").write_text(
            f"Package: {_LEFT_OUT}\nStatus: install ok installed\nVersion: 99\nArchitecture: all\n"
            f"Multi-Arch: allowed\nMaintainer: nobody\nDescription: left out\n"
        )
        settings = {
            "Dir::State": folder,
            "Dir::State::status": folder / "status",
            "Dir::Cache": folder,
            "Dir::Etc::sourcelist": folder / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            # Neither pins nor hooks, as of an image that throws away what apt has fetched.
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::Etc::main": "/dev/null",
            "Dir::Etc::parts": "/dev/null",
            "APT::Sandbox::User": "root",  # the account _apt may not write here
            "Acquire::Languages": "none",
            "APT::Update::Error-Mode": "any",  # what could not be fetched is not only worth a warning
            "quiet": "2",
        }
        lines = [line for line in _run(["apt-config", "dump", "Acquire"]).splitlines() if not _is_index(line)]
        lines += [f'{key} "{value}";' for key, value in settings.items()]
        (folder / "apt.conf").write_text("\n".join(lines))
        self._environment = {**os.environ, "APT_CONFIG": str(folder / "apt.conf"), "LC_ALL": "C"}
        self._archives = folder / "archives"

    def run(self, *words: str) -> str:
        return _run(words, self._environment, self._archives)  # where `download` puts what it fetches


def _is_index(line: str) -> bool:
    return line.startswith(("Acquire::IndexTargets", "Acquire::Languages"))


def _mirror() -> str:
    """The mirror that this machine takes Debian from, or everybody's."""
    asked = _run(["apt-get", "indextargets", "--format", "$(LABEL) $(REPO_URI)", "Created-By: Packages"])
    of_debian = [line.split()[1] for line in asked.splitlines() if line.startswith("Debian ")]
    return of_debian[0] if of_debian else _MIRROR


def _upstream(version: str) -> str:
    """`10.11.18` of `1:10.11.18+ds-0+deb12u1`."""
    return version.partition(":")[2].partition("-")[0].partition("+")[0] or _upstream(f":{version}")


def _run(
    words: Sequence[str | Path], environment: Mapping[str, str] | None = None, folder: Path | None = None
) -> str:
    if shutil.which(words[0]) is None:
        raise UnavailableError(f"{words[0]}, which fetches servers out of Debian, is not installed")
    run = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=environment, cwd=folder, check=False,
    )  # fmt: skip
    if run.returncode:
        told = " ".join(map(str, words[:2]))
        raise UnavailableError(f"{told} failed with {run.returncode}:\n{run.stdout[-2000:]}")
    return run.stdout
