"""tailrace follows a database's log and delivers every change exactly once."""

__version__ = "0.1.0"
