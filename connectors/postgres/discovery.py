"""What a database holds, for a starting file: its tables, and which of them can be captured."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import quote

from psycopg.sql import SQL

from connectors.postgres import selection
from connectors.postgres.catalogue import SESSION_SETTINGS, Catalogue, Relation, partitions
from tailrace.clients.postgres.address import Address
from tailrace.clients.postgres.connection import Session
from tailrace.errors import ConfigurationError, NotReady, TailraceError, code
from tailrace.hooks import DiscoveredTable, Discovery
from tailrace.patterns import exactly
from tailrace.secrets import reveal

BAD_URL = code(
    "TR-PG-230",
    "not a PostgreSQL URL",
    "The URL on the command line cannot be read, or says what the source itself decides.",
)

_PROGRAM: Final = "tailrace init"
_SECRETS: Final = ("sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key")
_OTHERS: Final = {"v": "a view", "m": "a materialized view", "f": "a foreign table"}

# The key is the primary key's columns in their order; relreplident is what the log holds of old rows.
_FACTS: Final = SQL("""
    SELECT c.oid, c.relreplident::text, c.reltuples::bigint, coalesce(pg_table_size(c.oid), 0),
           ARRAY(SELECT a.attname::text
                 FROM pg_index i, unnest(i.indkey::int2[]) WITH ORDINALITY AS k(attnum, place)
                      JOIN pg_attribute a ON a.attnum = k.attnum
                 WHERE i.indrelid = c.oid AND i.indisprimary AND a.attrelid = i.indrelid
                   AND k.place <= i.indnkeyatts
                 ORDER BY k.place)
    FROM pg_class c WHERE c.oid = ANY (%s::oid[])
    """)

_IDENTITIES: Final = {"f": "whole old rows", "i": "an index", "n": "nothing"}


async def discover(url: str) -> Discovery:
    """See `tailrace.hooks.DiscoverPlugin`."""
    try:
        address = Address.parse(url)
        if "replication" in address.parameters:
            raise ValueError("the parameter replication is set by the source itself")
    except ValueError as error:
        remedy = "Write it as postgresql://user@host:5432/database, and export PGPASSWORD=… for the password."
        raise ConfigurationError(BAD_URL, str(error), remedy) from None
    session = Session(address, _PROGRAM, SESSION_SETTINGS)
    try:
        return await _Database(session).discovery()
    finally:
        await session.close()


class _Database:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._catalogue = Catalogue(session)

    async def discovery(self) -> Discovery:
        server = await self._catalogue.server()
        relations = await self._catalogue.relations()
        settings, variables = _settings(self._session.address)
        return Discovery(
            server=f"PostgreSQL {server.version}, {self._session.address}",
            name=server.database,
            settings=settings,
            variables=variables,
            tables=await self._tables(relations),
            others=[
                f"{relation}: {_OTHERS[relation.kind]}" for relation in relations if relation.kind in _OTHERS
            ],
        )

    async def _tables(self, relations: Sequence[Relation]) -> list[DiscoveredTable]:
        """A partitioned table stands for its partitions."""
        top = [r for r in relations if r.kind in "rp" and not [oid for oid in r.ancestors if oid != r.oid]]
        facts = await self._facts(relations, top)
        return [
            DiscoveredTable(exactly(*table.qualified), facts[table.oid], await self._error(relations, table))
            for table in top
        ]

    async def _error(self, relations: Sequence[Relation], table: Relation) -> TailraceError | None:
        """What keeps a table from being captured, be it anything that a check of the source would find."""
        if not table.publishable:
            found = f"{table.quoted} is unlogged: its changes are not in the log"
            return NotReady(selection.NOT_LOGGED, found, f"ALTER TABLE {table.quoted} SET LOGGED;")
        errors = selection.unlogged(relations, [table])
        _, keyless = await selection.assign(self._catalogue, relations, [table], inserts_only=False)
        errors += keyless
        errors += await selection.unsupported(self._catalogue, await self._catalogue.columns([table]))
        return errors[0] if errors else None

    async def _facts(self, relations: Sequence[Relation], tables: Sequence[Relation]) -> dict[int, str]:
        leaves = {table.oid: partitions(relations, table) for table in tables if table.kind == "p"}
        oids = [*(table.oid for table in tables), *(leaf.oid for all in leaves.values() for leaf in all)]
        found = {oid: rest for oid, *rest in await self._session.query(_FACTS, (oids,))}
        return {
            table.oid: _told(found[table.oid], [found[leaf.oid] for leaf in leaves.get(table.oid, [])])
            for table in tables
            if table.oid in found
        } | {table.oid: "dropped meanwhile" for table in tables if table.oid not in found}


def _told(own: Sequence[object], leaves: Collection[Sequence[object]]) -> str:
    """Size, rows as the statistics have them, key, and the replica identity where it is not the key."""
    identity, _, _, key = own
    assert isinstance(key, list)
    parts = leaves or [own]
    rows = [int(str(count)) for _, count, _, _ in parts]
    told = [_size(sum(int(str(size)) for _, _, size, _ in parts))]
    if min(rows) >= 0:  # -1: never analyzed
        told.append(f"about {sum(rows):,} rows")
    if leaves:
        told.append(f"{len(leaves)} partitions")
    told.append(f"key {', '.join(key)}" if key else "no key")
    if identity != "d":
        told.append(f"replica identity: {_IDENTITIES[str(identity)]}")
    return "; ".join(told)


def _size(size: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TB"


def _settings(address: Address) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The settings, and the variables that they refer to."""
    parameters = dict(address.parameters)
    variables = {f"PG{name.upper()}": parameters.pop(name) for name in _SECRETS if name in parameters}
    query = "".join(f"&{name}=${{PG{name.upper()}}}" for name in _SECRETS if f"PG{name.upper()}" in variables)
    base = _url(parameters).replace("${", "$${")
    separator = "" if "?" in base else "?"
    settings = {
        "url": base + (separator + query.removeprefix("&") if separator else query) if query else base
    }
    variables = {name: quote(value, "") for name, value in variables.items()}  # as a part of the URL
    given = address.password
    password = os.environ.get("PGPASSWORD") if given is None else reveal(given)
    if password is not None:
        settings["password"] = "${PGPASSWORD}"
        variables["PGPASSWORD"] = reveal(password)
    settings["snapshot"] = "never"
    return settings, variables


def _url(parameters: Mapping[str, str]) -> str:
    """The parameters as a URL: hosts and ports where they are usually looked for."""
    rest = dict(parameters)
    user, database = (quote(rest.pop(name, ""), "") for name in ("user", "dbname"))
    hosts, ports = rest.get("host", "").split(","), rest.get("port", "").split(",")
    servers = ""
    if "hostaddr" not in rest and not any(host.startswith(("/", "@")) for host in hosts):
        ports = ports * len(hosts) if len(ports) == 1 else ports
        servers = ",".join(
            (f"[{host}]" if ":" in host else quote(host, "")) + (f":{port}" if port else "")
            for host, port in zip(hosts, ports, strict=True)
        )
        rest.pop("host", None)
        rest.pop("port", None)
    query = "&".join(f"{name}={quote(value, '')}" for name, value in rest.items())
    login = f"{user}@" if user else ""
    return f"postgresql://{login}{servers}/{database}" + (f"?{query}" if query else "")
