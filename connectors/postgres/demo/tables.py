"""The shop's tables: how they are made, what they hold, and how a row is read as the database has it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, LiteralString

from psycopg import sql

from tailrace.hooks import DemoTable
from tailrace.types import Kind, LogicalType

SCHEMA: Final = """
CREATE TYPE order_status AS ENUM ('new', 'paid', 'shipped');
CREATE TABLE customers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    profile jsonb NOT NULL DEFAULT '{}',
    since date NOT NULL DEFAULT current_date
);
CREATE TABLE products (
    sku text PRIMARY KEY,
    name text NOT NULL,
    price numeric(8,2) NOT NULL,
    stock integer NOT NULL,
    priced timestamp NOT NULL DEFAULT now()
);
CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id integer NOT NULL REFERENCES customers,
    status order_status NOT NULL DEFAULT 'new',
    total numeric(10,2) NOT NULL,
    placed timestamptz NOT NULL DEFAULT now(),
    paid timestamptz
);
CREATE TABLE items (
    order_id bigint NOT NULL REFERENCES orders,
    line smallint NOT NULL,
    sku text NOT NULL,
    quantity integer NOT NULL,
    price numeric(8,2) NOT NULL,
    PRIMARY KEY (order_id, line)
);
"""

_INT: Final = LogicalType(Kind.INT32, "integer")
_BIGINT: Final = LogicalType(Kind.INT64, "bigint")
_TEXT: Final = LogicalType(Kind.STRING, "text")
_PRICE: Final = LogicalType(Kind.DECIMAL, "numeric", precision=8, scale=2)
_INSTANT: Final = LogicalType(Kind.TIMESTAMPTZ, "timestamp with time zone", precision=6)

TABLES: Final[Mapping[str, DemoTable]] = {
    "public.customers": DemoTable(
        {
            "id": _INT,
            "name": _TEXT,
            "profile": LogicalType(Kind.JSON, "jsonb"),
            "since": LogicalType(Kind.DATE, "date"),
        },
        ("id",),
    ),
    "public.products": DemoTable(
        {
            "sku": _TEXT,
            "name": _TEXT,
            "price": _PRICE,
            "stock": _INT,
            "priced": LogicalType(Kind.TIMESTAMP, "timestamp without time zone", precision=6),
        },
        ("sku",),
    ),
    "public.orders": DemoTable(
        {
            "id": _BIGINT,
            "customer_id": _INT,
            "status": LogicalType(Kind.ENUM, "order_status", labels=("new", "paid", "shipped")),
            "total": LogicalType(Kind.DECIMAL, "numeric", precision=10, scale=2),
            "placed": _INSTANT,
            "paid": _INSTANT,
        },
        ("id",),
    ),
    "public.items": DemoTable(
        {
            "order_id": _BIGINT,
            "line": LogicalType(Kind.INT16, "smallint"),
            "sku": _TEXT,
            "quantity": _INT,
            "price": _PRICE,
        },
        ("order_id", "line"),
    ),
}

# How a column is selected so that psycopg hands out the canonical value of its kind. Others: as they are.
_SELECTED: Final[Mapping[Kind, LiteralString]] = {
    Kind.DATE: "{} - date '1970-01-01'",
    Kind.TIMESTAMP: "(extract(epoch FROM {}) * 1000000)::bigint",
    Kind.TIMESTAMPTZ: "(extract(epoch FROM {}) * 1000000)::bigint",
    Kind.JSON: "{}::text",
    Kind.ENUM: "{}::text",
}


def select(table: str) -> sql.Composed:
    """The query for all rows of a table, its columns in order, as canonical values."""
    schema, name = table.split(".")
    columns = [
        sql.SQL(_SELECTED.get(type.kind, "{}")).format(sql.Identifier(column))
        for column, type in TABLES[table].columns.items()
    ]
    return sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), sql.Identifier(schema, name))
