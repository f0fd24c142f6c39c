"""Which tables have a key, by what the catalogue says."""

from __future__ import annotations

from typing import Final

HAS_KEY: Final = """
    EXISTS (
        SELECT s.index_name FROM information_schema.statistics s
        WHERE s.table_schema = t.table_schema AND s.table_name = t.table_name AND s.non_unique = 0
        GROUP BY s.index_name
        HAVING MAX(s.index_name = 'PRIMARY')
            OR SUM(s.nullable = 'YES' OR s.sub_part IS NOT NULL OR s.column_name IS NULL) = 0
    )
    """
"""An expression of SQL about a table `t`. Without a primary key the server tells rows apart by the first
unique index whose columns are NOT NULL and whole, and names that one in its log."""
