"""The demo's database: a small shop that people register with, buy from and change their minds in."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, LiteralString, TypeAlias

import psycopg
from psycopg import sql
from psycopg.types.json import Jsonb

from connectors.postgres.demo.server import Server
from connectors.postgres.demo.tables import SCHEMA, TABLES, select
from tailrace.events import Op
from tailrace.hooks import DemoTable, RowChange

_DATABASE: Final = "shop"

_PRODUCTS: Final = (
    ("lamp", "Desk lamp", "39.90"),
    ("chair", "Chair “Nørrebro”", "189.00"),
    ("mug", "Mug", "8.50"),
    ("clock", "Wall clock", "54.00"),
    ("rug", "Rug 140 × 200", "229.00"),
    ("vase", "Vase", "24.90"),
    ("shelf", "Shelf", "119.00"),
    ("tray", "Tray", "17.95"),
)
_PEOPLE: Final = (
    "Ada",
    "Björn",
    "Chloé",
    "Dmitri",
    "Esra",
    "Fatou",
    "Giulia",
    "Hồng",
    "İpek",
    "João",
    "Kenji",
)
_CITIES: Final = ("Athens", "Bogotá", "Córdoba", "Dakar", "Espoo", "Fukuoka", "Genève", "Hà Nội")

_Step: TypeAlias = Callable[[], None]


class _OutOfStockError(Exception):
    """Raised inside a transaction to roll it back."""


class Shop:
    """A `tailrace.hooks.Demo`."""

    tables: Mapping[str, DemoTable] = TABLES

    def __init__(self) -> None:
        self._server: Server | None = None
        self._connection: psycopg.Connection[Any] | None = None
        self._random = random.Random()
        self._changes: list[RowChange] = []  # of the transaction that runs
        self._open = False
        # What happens in the shop, and how often beside the rest.
        self._steps: Mapping[_Step, int] = {
            self._order: 8,
            self._pay: 6,
            self._ship: 4,
            self._change_quantity: 3,
            self._cancel: 3,
            self._register: 2,
            self._move_house: 2,
            self._reprice: 2,
            self._renumber: 1,
            self._order_in_vain: 1,
        }

    @property
    def source(self) -> Mapping[str, Any]:
        return {
            "type": "postgres",
            "url": self._running.url(_DATABASE),
            "tables": ["public.*"],
            "snapshot": "never",
        }

    @property
    def shell(self) -> str:
        return f"{self._running.psql} '{self._running.url(_DATABASE)}'"

    def start(self) -> str:
        self._server = Server()
        version = self._server.start()
        with self._server.connect("postgres") as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(_DATABASE)))
        self._connection = self._server.connect(_DATABASE)
        self._connection.execute(SCHEMA)
        return version

    def trade(self) -> Sequence[RowChange]:
        self._changes = []
        (step,) = self._random.choices(list(self._steps), list(self._steps.values()))
        try:
            with self._client.transaction():
                if self._open:
                    step()
                else:
                    self._stock_up()
        except _OutOfStockError:
            return []
        self._open = True
        return self._changes

    def rows(self, table: str) -> Sequence[Mapping[str, Any]]:
        columns = self.tables[table].columns
        return [dict(zip(columns, row, strict=True)) for row in self._client.execute(select(table))]

    def stop(self) -> None:
        if self._connection is not None:
            self._connection.close()
        if self._server is not None:
            self._server.stop()

    @property
    def _running(self) -> Server:
        assert self._server is not None, "start first"
        return self._server

    @property
    def _client(self) -> psycopg.Connection[Any]:
        assert self._connection is not None, "start first"
        return self._connection

    def _write(
        self, op: Op, table: str, statement: LiteralString, *parameters: object
    ) -> list[tuple[Any, ...]]:
        """Run a statement that returns each row's key first, and note what it does to these rows."""
        rows = self._client.execute(statement, parameters).fetchall()
        key = len(self.tables[table].key)
        self._changes += [RowChange(table, op, row[:key]) for row in rows]
        return rows

    def _pick(self, statement: LiteralString) -> tuple[Any, ...] | None:
        """One row at random of a query's."""
        row: tuple[Any, ...] | None = self._client.execute(
            statement + " ORDER BY random() LIMIT 1"
        ).fetchone()
        return row

    def _stock_up(self) -> None:
        """The first transaction: goods, and the first customers."""
        for sku, name, price in _PRODUCTS:
            self._write(
                "c",
                "public.products",
                "INSERT INTO products (sku, name, price, stock) VALUES (%s, %s, %s, %s) RETURNING sku",
                f"{sku}-1",
                name,
                price,
                self._random.randrange(50, 200),
            )
        for _ in range(3):
            self._register()

    def _register(self) -> None:
        profile = {
            "city": self._random.choice(_CITIES),
            "newsletter": self._random.random() < 0.5,
            "points": 0,
        }
        self._write(
            "c",
            "public.customers",
            "INSERT INTO customers (name, profile) VALUES (%s, %s) RETURNING id",
            self._random.choice(_PEOPLE),
            Jsonb(profile),
        )

    def _move_house(self) -> None:
        self._write(
            "u",
            "public.customers",
            "UPDATE customers SET profile = profile || %s"
            " WHERE id = (SELECT id FROM customers ORDER BY random() LIMIT 1) RETURNING id",
            Jsonb({"city": self._random.choice(_CITIES)}),
        )

    def _order(self) -> None:
        """An order with its items, out of the stock: one transaction over three tables."""
        customer = self._pick("SELECT id FROM customers")
        assert customer is not None
        lines = self._random.randrange(1, 5)
        bought = self._write(
            "u",
            "public.products",
            "UPDATE products SET stock = stock - 1"
            " WHERE sku IN (SELECT sku FROM products ORDER BY random() LIMIT %s) RETURNING sku, price",
            lines,
        )
        ((order,),) = self._write(
            "c",
            "public.orders",
            "INSERT INTO orders (customer_id, total) VALUES (%s, %s) RETURNING id",
            *customer,
            sum(price for _, price in bought),
        )
        self._write(
            "c",
            "public.items",
            "INSERT INTO items (order_id, line, sku, quantity, price)"
            " SELECT %s, line, sku, 1, price FROM unnest(%s::text[], %s::numeric[])"
            " WITH ORDINALITY AS bought (sku, price, line) RETURNING order_id, line",
            order,
            [sku for sku, _ in bought],
            [price for _, price in bought],
        )

    def _order_in_vain(self) -> None:
        """As an order, but the transaction rolls back: nobody may ever see it."""
        self._order()
        raise _OutOfStockError

    def _pay(self) -> None:
        """The customer's points come in a savepoint of their own, which fails for some."""
        paid = self._write(
            "u",
            "public.orders",
            "UPDATE orders SET status = 'paid', paid = now()"
            " WHERE id = (SELECT id FROM orders WHERE status = 'new' ORDER BY random() LIMIT 1)"
            " RETURNING id, customer_id",
        )
        for _, customer in paid:
            noted = len(self._changes)
            try:
                with self._client.transaction():
                    self._write(
                        "u",
                        "public.customers",
                        "UPDATE customers SET profile ="
                        " jsonb_set(profile, '{points}', to_jsonb((profile->>'points')::int + 1))"
                        " WHERE id = %s RETURNING id",
                        customer,
                    )
                    if self._random.random() < 0.3:
                        raise _OutOfStockError
            except _OutOfStockError:
                del self._changes[noted:]

    def _ship(self) -> None:
        """All of a customer's paid orders at once."""
        self._write(
            "u",
            "public.orders",
            "UPDATE orders SET status = 'shipped' WHERE status = 'paid' AND customer_id ="
            " (SELECT customer_id FROM orders WHERE status = 'paid' ORDER BY random() LIMIT 1) RETURNING id",
        )

    def _change_quantity(self) -> None:
        item = self._pick(
            "SELECT order_id, line FROM items JOIN orders ON id = order_id WHERE status = 'new'"
        )
        if item is None:
            return
        order, line = item
        self._write(
            "u",
            "public.items",
            "UPDATE items SET quantity = quantity + 1 WHERE order_id = %s AND line = %s"
            " RETURNING order_id, line",
            order,
            line,
        )
        self._write(
            "u",
            "public.orders",
            "UPDATE orders SET total = (SELECT sum(quantity * price) FROM items WHERE order_id = id)"
            " WHERE id = %s RETURNING id",
            order,
        )

    def _cancel(self) -> None:
        order = self._pick("SELECT id FROM orders WHERE status = 'new'")
        if order is None:
            return
        self._write(
            "d", "public.items", "DELETE FROM items WHERE order_id = %s RETURNING order_id, line", *order
        )
        self._write("d", "public.orders", "DELETE FROM orders WHERE id = %s RETURNING id", *order)

    def _reprice(self) -> None:
        """A good part of the shelves at once."""
        self._write(
            "u",
            "public.products",
            "UPDATE products SET price = round(price * %s::numeric, 2), priced = clock_timestamp()"
            " WHERE random() < 0.5 RETURNING sku",
            self._random.choice(("0.9", "1.1")),
        )

    def _renumber(self) -> None:
        """A key changes: for whoever follows, the old row goes and a new one comes."""
        product = self._pick("SELECT sku FROM products")
        assert product is not None
        (sku,) = product
        name, number = sku.rsplit("-", 1)
        self._changes.append(RowChange("public.products", "d", (sku,)))
        self._write(
            "c",
            "public.products",
            "UPDATE products SET sku = %s WHERE sku = %s RETURNING sku",
            f"{name}-{int(number) + 1}",
            sku,
        )
