"""A pooler between the pipeline and the server is noticed and named, whatever it lets pass."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tailrace.errors import NotReady, TailraceError
from tests.integration.following import Follower
from tests.servers import Postgres
from tests.servers.pgbouncer import PgBouncer


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("ignored", ["extra_float_digits", "options", "options, replication"])
async def test_pgbouncer(
    postgres18: Postgres, make_database: Callable[[Postgres], str], mode: str, ignored: str
) -> None:
    database = make_database(postgres18)
    postgres18.execute("CREATE TABLE t (id int PRIMARY KEY)", database=database)
    with PgBouncer(postgres18, f"pool_mode = {mode}", f"ignore_startup_parameters = {ignored}") as pooler:
        follower = Follower(postgres18, database, url=pooler.url(database))
        try:
            errors = [finding.error for finding in await follower.source.check() if finding.error]
            with pytest.raises(TailraceError) as refused:
                await follower.source.identify()
        finally:
            await follower.close()
    for error in (*errors, refused.value):
        assert (type(error), error.code.id) == (NotReady, "TR-PG-018")
        assert "the server itself" in error.remedy
    assert errors
