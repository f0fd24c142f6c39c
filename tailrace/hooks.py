"""What commands ask of a source plugin beside `tailrace.abc`, if it offers that: `tailrace demo` a database,
`tailrace init` what a server holds. The comments are the contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from tailrace.abc import SourcePlugin
from tailrace.errors import TailraceError
from tailrace.events import Op
from tailrace.types import LogicalType


@dataclass(frozen=True, slots=True)
class DemoTable:
    """A table of a demo: its columns in order, and the names of those that are its key."""

    columns: Mapping[str, LogicalType]
    key: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RowChange:
    """What a committed statement did to one row. A change of the key is a `d` of the old and a `c` of the new
    one."""

    table: str  # as `Table.__str__` writes it
    op: Op
    key: tuple[Any, ...]  # canonical values, see `tailrace.types`


class Demo(Protocol):
    """A database that `tailrace demo` starts, keeps busy, compares with what was delivered and throws away.

    Calls block. `start` comes first, `stop` last; `trade` is called from a thread of its own, the rest while
    nothing else is going on.
    """

    tables: Mapping[str, DemoTable]
    """All tables that `trade` writes to, by the names that `Table.__str__` gives them."""

    @property
    def source(self) -> Mapping[str, Any]:
        """The `source` block of a pipeline that follows all of `tables`. Known after `start`."""

    @property
    def shell(self) -> str:
        """The command line with which a person looks into the database. Known after `start`."""

    def start(self) -> str:
        """Start the server with empty tables; its name and version. NotReady where this machine cannot."""

    def trade(self) -> Sequence[RowChange]:
        """Run one transaction: the row changes that it committed, in their order. Empty where it rolled
        back or found nothing to do."""

    def rows(self, table: str) -> Sequence[Mapping[str, Any]]:
        """A table's rows as the database has them now: canonical values by column."""

    def stop(self) -> None:
        """End the server and remove what it stored. Legal in any state, also repeatedly; never raises."""


class DemoPlugin(SourcePlugin, Protocol):
    """A source plugin that `tailrace demo` can show."""

    def demo(self) -> Demo:
        """A demo of this kind of database, not started."""


@dataclass(frozen=True, slots=True)
class DiscoveredTable:
    """A table that a database has."""

    pattern: str  # names exactly this table, as an item of the source's setting `tables`
    facts: str  # its size, its key and the like, in a line for people
    error: TailraceError | None = None  # why it cannot be captured as it is; the remedy mends that


@dataclass(frozen=True, slots=True)
class Discovery:
    """What `tailrace init` makes a starting file of."""

    server: str  # product, version and place in a line for people; never a secret
    name: str  # of the database, from which the pipeline's name is made
    settings: Mapping[str, Any]
    """The source's settings but `type` and `tables`, as the file is to have them: `${NAME}` in place of a
    secret, a literal `${` written `$${`."""

    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    """The secrets: environment variables that `settings` refer to, with their values for now."""

    tables: Sequence[DiscoveredTable] | None = None
    """In the order of names. None: this kind of source has no setting `tables`."""

    others: Sequence[str] = ()  # what looks like a table and can never be captured, with the reason


class DiscoverPlugin(SourcePlugin, Protocol):
    """A source plugin that `tailrace init` can ask what a server holds."""

    schemes: ClassVar[tuple[str, ...]]
    """Of the URLs that `discover` reads: `postgresql`."""

    async def discover(self, url: str) -> Discovery:
        """Look at the server, change nothing. ConfigurationError for a URL that cannot be read; Retry and
        Stop kinds where the server cannot be reached or refuses."""
