"""Servers out of Debian's packages: what apt is asked, and what is refused."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.servers import UnavailableError, debian

pytestmark = pytest.mark.skipif(shutil.which("apt-get") is None, reason="apt-get is not installed")

_CONTROL = """\
Package: {name}
Version: {version}
Depends: {depends}
Architecture: all
Maintainer: nobody
Description: nothing
"""


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A repository with `served` 1:2.3.4+ds-1, which depends on `needed`, which depends on perl."""
    monkeypatch.setenv("CI", "true")
    repository = tmp_path / "repository"
    for name, version, depends in (("served", "1:2.3.4+ds-1", "needed"), ("needed", "1", "perl")):
        tree = tmp_path / name
        for place, text in (
            ("DEBIAN/control", _CONTROL.format(name=name, version=version, depends=depends)),
            (f"usr/bin/{name}", name),
            (f"usr/share/doc/{name}/README", name),
        ):
            (tree / place).parent.mkdir(parents=True)
            (tree / place).write_text(text)
        repository.mkdir(exist_ok=True)
        subprocess.run(["dpkg-deb", "--build", tree, repository / f"{name}.deb"], check=True)
    packages = []
    for archive in repository.glob("*.deb"):
        fields = subprocess.run(["dpkg-deb", "--field", archive], check=True, capture_output=True, text=True)
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        packages.append(
            f"{fields.stdout}Filename: ./{archive.name}\nSize: {archive.stat().st_size}\nSHA256: {digest}\n"
        )
    (repository / "Packages").write_text("\n".join(packages))
    return f"deb [trusted=yes] copy:{repository} ./"


def test_a_package_is_unpacked_with_what_it_depends_on(source: str, tmp_path: Path) -> None:
    into = tmp_path / "into"
    debian.unpack("served", "2.3.4", source, into)
    assert sorted(str(p.relative_to(into)) for p in into.rglob("*") if p.is_file()) == [
        "usr/bin/needed",
        "usr/bin/served",
    ]


def test_a_version_that_moved_is_named_with_the_one_that_is_wanted(source: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"served 2\.3\.3 is wanted, but 1:2\.3\.4\+ds-1 is what"):
        debian.unpack("served", "2.3.3", source, tmp_path / "into")


def test_a_package_that_is_not_there_is_named(source: str, tmp_path: Path) -> None:
    with pytest.raises(UnavailableError, match=r"apt-cache show failed.*\n.*No packages found"):
        debian.unpack("absent", "1", source, tmp_path / "into")


def test_a_mirror_that_cannot_be_reached_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of_the_machine = tmp_path / "apt.conf"
    of_the_machine.write_text('Acquire::Retries "0";')
    monkeypatch.setenv("APT_CONFIG", str(of_the_machine))
    monkeypatch.setenv("CI", "true")
    with pytest.raises(UnavailableError, match=r"apt-get update failed.*\n(.*\n)*.*127\.0\.0\.1:1"):
        debian.unpack("served", "2.3.4", "deb [trusted=yes] http://127.0.0.1:1 ./", tmp_path / "into")


def test_apt_is_left_to_root_and_ci(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(UnavailableError, match="only root, or CI=true"):
        debian.unpack("served", "2.3.4", source, tmp_path / "into")
    assert not (tmp_path / "into").exists()


def test_a_machine_without_apt_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UnavailableError, match=r"apt-get.*is not installed"):
        debian.source("sid")


def test_a_library_of_the_machine_is_not_taken(tmp_path: Path) -> None:
    loader = next(Path("/lib64").glob("ld-linux-*.so.*"), None)
    if loader is None:
        pytest.skip("the dynamic loader has another place here")
    libraries = tmp_path / "lib" / "any-linux-gnu"
    libraries.mkdir(parents=True)
    shutil.copy(loader, libraries)
    shutil.copy("/bin/sh", tmp_path)
    with pytest.raises(UnavailableError, match=r"sh needs libc\.so\.6, which did not come with it"):
        debian.command(tmp_path, "sh")
