"""MySQL and MariaDB servers that can encrypt their binary logs: their keys, and what keeps these."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.servers.mysql import MySqlServer
from tests.servers.mysql_releases import RELEASES, Flavor, Release

#: The setting that a server begins to encrypt with.
ENCRYPTS: Final[dict[Flavor, str]] = {"mysql": "binlog_encryption", "mariadb": "encrypt_binlog"}


def encrypting(release: str) -> MySqlServer:
    """A server whose log is encrypted from its first start on. It is not started."""
    flavor = RELEASES[release].flavor
    plugins = RELEASES[release].plugins()
    server = MySqlServer(release, {ENCRYPTS[flavor]: "ON"})
    (_with_keyring if flavor == "mysql" else _with_key_file)(server, plugins)
    return server


@dataclass(frozen=True)
class _Beside(Release):
    """A release whose program stands in a folder of its own: MySQL looks there for what its keyring is."""

    program: Path = Path()

    def command(self, *options: str | Path) -> list[str | Path]:
        whole = super().command(*options)
        return [self.program if str(word).endswith("usr/sbin/mysqld") else word for word in whole]


def _with_keyring(server: MySqlServer, plugins: Path) -> None:
    folder = server.process.directory / "program"
    server.process.run(["mkdir", folder])
    program = folder / "mysqld"
    shutil.copy(server.release.binaries() / "usr/sbin/mysqld", program)
    shutil.copy(plugins / "component_keyring_file.so", folder)
    (folder / "mysqld.my").write_text(json.dumps({"components": "file://component_keyring_file"}))
    kept = {"path": str(server.process.directory / "keyring"), "read_only": False}
    (folder / "component_keyring_file.cnf").write_text(json.dumps(kept))
    for path in folder.iterdir():
        path.chmod(0o755)
    release = server.release
    server.release = _Beside(release.flavor, release.version, release.suite, program)
    server.settings["plugin_dir"] = str(folder)


def _with_key_file(server: MySqlServer, plugins: Path) -> None:
    keys = server.process.directory / "keys"
    keys.write_text("1;770A8A65DA156D24EE2A093277530142\n")
    keys.chmod(0o644)
    server.settings["plugin_dir"] = str(plugins)
    server.settings["plugin_load_add"] = "file_key_management"
    server.settings["file_key_management_filename"] = str(keys)
