"""The demo's PostgreSQL: a server out of a wheel, and a small shop in it."""

from connectors.postgres.demo.shop import Shop

__all__ = ["Shop"]
