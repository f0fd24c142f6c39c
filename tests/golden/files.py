"""The golden files: which server, which statements and which settings each is of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from tests.golden.corpus import PGVECTOR, POSTGIS, POSTGRES, Corpus
from tests.golden.options import MAJOR, OPTIONS
from tests.servers import PostgresServer
from tests.servers.extensions import pgvector, postgis
from tests.servers.postgres import VERSIONS


@dataclass(frozen=True)
class Golden:
    """A golden file. `base`: the one beside which only the tables that differ are kept."""

    major: int
    corpus: Corpus = POSTGRES
    options: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None
    server: Callable[[int], PostgresServer] = PostgresServer


#: By name.
EXTENSIONS: Final = {
    "pgvector16": Golden(16, PGVECTOR, server=pgvector),
    "pgvector18": Golden(18, PGVECTOR, server=pgvector),
    "postgis15": Golden(15, POSTGIS, server=postgis),
}
FILES: Final[Mapping[str, Golden]] = {
    **{f"postgres{major}": Golden(major) for major in VERSIONS},
    **{
        f"postgres{MAJOR}-{name}": Golden(MAJOR, options=options, base=f"postgres{MAJOR}")
        for name, options in OPTIONS.items()
    },
    **EXTENSIONS,
}
