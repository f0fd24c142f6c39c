"""Partitioned tables: what the log tells of a row is what its partition says, not what its table says."""

from tailrace.events import UNCHANGED
from tests.integration.following import following
from tests.servers import Postgres

_PARTED = (
    "CREATE TABLE p (id int PRIMARY KEY, n int, large text) PARTITION BY RANGE (id);"
    "CREATE TABLE low PARTITION OF p FOR VALUES FROM (0) TO (10);"
    "ALTER TABLE low ALTER large SET STORAGE EXTERNAL;"
)


async def test_a_value_that_no_row_holds_is_not_null(postgres: Postgres, postgres_database: str) -> None:
    """REPLICA IDENTITY FULL is not handed down: old rows of such a partition are their key, the rest NULL."""
    postgres.execute(f"{_PARTED} ALTER TABLE p REPLICA IDENTITY FULL", database=postgres_database)
    async with following(postgres, postgres_database, ["public.p"]) as follower:
        follower.sql("INSERT INTO p VALUES (1, 1, repeat('x', 10000))")
        follower.sql("UPDATE p SET id = 2")
        follower.sql("ALTER TABLE low REPLICA IDENTITY FULL; UPDATE p SET id = 3")
        large = "x" * 10_000
        assert [(op, after) for op, _, _, after in await follower.told() if op == "c"] == [
            ("c", {"id": 1, "n": 1, "large": large}),
            ("c", {"id": 2, "n": 1, "large": UNCHANGED}),
            ("c", {"id": 3, "n": 1, "large": large}),
        ]
