"""What a server holds, for a starting file: its tables, and which of them can be captured."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import quote

from connectors.mysql.assembly.tables import SYSTEM, keyless
from connectors.mysql.binlog.messages import Flavor
from connectors.mysql.catalogue import Catalogue
from connectors.mysql.keys import HAS_KEY
from tailrace.amounts import show_bytes
from tailrace.clients.mysql.address import Address
from tailrace.clients.mysql.connection import Session
from tailrace.errors import ConfigurationError, code
from tailrace.hooks import DiscoveredTable, Discovery
from tailrace.patterns import exactly
from tailrace.secrets import reveal

BAD_URL: Final = code(
    "TR-MY-410",
    "not a MySQL URL",
    "The URL on the command line cannot be read, or says what stands beside it in a pipeline's file.",
)

_PROGRAM: Final = "tailrace init"
_PASSWORD: Final = "MYSQL_PWD"
_NAMES: Final[Mapping[Flavor, str]] = {"mysql": "MySQL", "mariadb": "MariaDB"}

_TABLES: Final = f"""
    SELECT t.table_type, t.table_schema, t.table_name, t.table_rows,
           COALESCE(t.data_length, 0) + COALESCE(t.index_length, 0),
           (SELECT GROUP_CONCAT(s.column_name ORDER BY s.seq_in_index SEPARATOR ', ')
            FROM information_schema.statistics s
            WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name
              AND s.index_name = 'PRIMARY'),
           {HAS_KEY}
    FROM information_schema.tables t
    WHERE t.table_schema NOT IN %s AND (%s = '' OR t.table_schema = %s)
    ORDER BY t.table_schema, t.table_name
    """


async def discover(url: str, *, flavor: Flavor) -> Discovery:
    """See `tailrace.hooks.DiscoverPlugin`. Of the URL's database, or of all where it names none. A password
    that the URL does not have is looked for in the environment."""
    try:
        address = Address.parse(url)
        if address.password is None:
            address = replace(address, password=os.environ.get(_PASSWORD) or None)
    except ValueError as error:
        remedy = f"Write it as {flavor}://user@host:3306/database, and export {_PASSWORD}=… for the password."
        raise ConfigurationError(BAD_URL, str(error), remedy) from None
    session = Session(address, _PROGRAM)
    try:
        server = await Catalogue(session, flavor).server()
        database = address.database
        found = await session.query(_TABLES, (SYSTEM, database, database))
    finally:
        await session.close()
    settings, variables = _settings(address, flavor)
    return Discovery(
        server=f"{_NAMES[flavor]} {server.version}, {address}",
        name=database or flavor,
        settings=settings,
        variables=variables,
        tables=[_table(*rest) for kind, *rest in found if kind in ("BASE TABLE", "SYSTEM VERSIONED")],
        others=[f"{schema}.{name}: a view" for kind, schema, name, *_ in found if kind == "VIEW"],
    )


def _table(schema: Any, name: Any, rows: Any, size: Any, primary: Any, has_key: Any) -> DiscoveredTable:
    told = [show_bytes(int(size))]
    if rows is not None:
        told.append(f"about {int(rows):,} rows")
    told.append(f"key {primary}" if primary else "a unique index as key" if has_key else "no key")
    error = None if has_key else keyless(f"{schema}.{name}")
    return DiscoveredTable(exactly(schema, name), "; ".join(told), error)


def _settings(address: Address, flavor: Flavor) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The settings, and the variables that they refer to."""
    user, database = quote(address.user, ""), quote(address.database, "")
    settings = {"url": f"{flavor}://{user}@{address}/{database}".replace("${", "$${")}
    variables = {}
    if address.password:
        settings["password"] = f"${{{_PASSWORD}}}"
        variables[_PASSWORD] = reveal(address.password)
    settings["snapshot"] = "never"
    return settings, variables
