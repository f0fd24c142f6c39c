"""The golden files of MySQL and MariaDB: which server and which settings each is of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.golden import recording
from tests.golden.binlog import corpus, engine
from tests.golden.binlog.options import DEFAULTS, OPTIONS, Options
from tests.servers import MySqlServer


@dataclass(frozen=True)
class Golden:
    """A golden file. `base`: the one beside which only the tables that differ are kept."""

    release: str
    options: Options = DEFAULTS
    base: str | None = None

    def record(self, name: str) -> Path:
        """Record it anew under that name; the file."""
        with MySqlServer(self.release) as server:
            made = engine.record(server, self.release, self.options.properties())
            version, flavor = server.version, server.flavor
        if self.base:
            made = recording.apart(made, recording.read(self.base))
        described = {
            "debezium": engine.VERSIONS[flavor],
            flavor: version,
            "corpus": corpus.fingerprint(self.release),
        }
        recording.write(name, {**described, **made})
        return recording.path(name)


#: The releases on which settings are recorded: one of each connector.
_SET: Final = ("mysql9", "mariadb10")

#: By name.
FILES: Final[Mapping[str, Golden]] = {
    **{release: Golden(release) for release in _SET},
    **{
        f"{release}-{name}": Golden(release, options, release)
        for release in _SET
        for name, options in OPTIONS.items()
    },
    "mariadb11": Golden("mariadb11", base="mariadb10"),
}


def whole(name: str) -> recording.Recording:
    """What a golden file holds, with what it has from another one."""
    of, found = FILES[name], recording.read(name)
    if of.base:
        found = recording.upon(found, recording.read(of.base))
    order = (table.name for table in corpus.tables(of.release))
    return {**found, "tables": {table: found["tables"][table] for table in order}}
