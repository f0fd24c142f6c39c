"""Seeded mixed traffic of several concurrent clients, for tests that compare what was delivered with what was
done.

    create(server, database)                            # the tables of `tables.py`, empty
    with Traffic(server.url(database), seed=1) as traffic:
        …                                               # clients work until the block ends
    print(traffic.counts)

What a client tries follows from the seed alone; what comes of it depends on the others.
"""

from tests.traffic.load import Traffic
from tests.traffic.tables import CAPTURED, EXCLUDED, TABLES, Table, create

__all__ = ["CAPTURED", "EXCLUDED", "TABLES", "Table", "Traffic", "create"]
