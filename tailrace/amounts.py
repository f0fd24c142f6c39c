"""Bytes and seconds as people read them."""

from __future__ import annotations


def show_bytes(count: int | None) -> str:
    """`12 B`, `3.4 MB`; `?` for None."""
    if count is None:
        return "?"
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000 or unit == "GB":
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    raise AssertionError("unreachable")


def show_seconds(seconds: float | None) -> str:
    """`0.3 s`, `12 min`, `3.1 h`; `?` for None."""
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
