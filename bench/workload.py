"""The workloads: ten columns, about 180 bytes a row, written while every reader's slot is waiting."""

from __future__ import annotations

from dataclasses import dataclass

from tests.servers import Postgres

TABLE = """
create table t(
  id bigint primary key, i int, s smallint, n numeric(12,2), b boolean, at timestamptz, d date,
  v varchar(40), x text, j jsonb)
"""

_ROWS = """
insert into t select g, g%1000, g%100, (g%100000)/7.0, g%2=0, now()+g*interval '1 ms',
  date '2026-01-01'+(g%300)::int, 'customer number '||g, repeat('abcdefgh ',8)||g,
  jsonb_build_object('k',g,'s','value')
from generate_series({first},{last}) g
"""


@dataclass(frozen=True)
class Workload:
    """A backlog: `rows` changes in transactions of `transaction` rows."""

    name: str  # the prefix of its pipelines' names
    title: str
    rows: int
    transaction: int
    updates: bool = False  # updates with before images (REPLICA IDENTITY FULL) of rows that are there already

    def prepare(self, postgres: Postgres, database: str) -> None:
        """What must be there before the slots are made."""
        postgres.execute(TABLE, database=database)
        if self.updates:
            postgres.execute("alter table t replica identity full", database=database)
            self._run(postgres, database, _ROWS, 50_000)

    def write(self, postgres: Postgres, database: str) -> None:
        """Write the backlog."""
        statement = "update t set i = i + 1 where id between {first} and {last}" if self.updates else _ROWS
        self._run(postgres, database, statement, self.transaction)

    def _run(self, postgres: Postgres, database: str, statement: str, step: int) -> None:
        # One procedure that commits as it goes: the client's round trips would take longer than the rows.
        looped = statement.format(first="f", last=f"least(f + {step - 1}, {self.rows})")
        with postgres.connect(database) as connection:
            connection.execute("set synchronous_commit = off")
            connection.execute(
                f"do $$ begin for f in 1..{self.rows} by {step} loop {looped}; commit; end loop; end $$"
            )


def standard(rows: int) -> list[Workload]:
    """The three workloads, for a number of rows in the first."""
    return [
        Workload("inserts", "inserts, 1 000 a transaction", rows, 1000),
        Workload("single", "single-row transactions", rows // 5, 1),
        Workload("updates", "updates with before images", rows // 2, 1000, updates=True),
    ]
