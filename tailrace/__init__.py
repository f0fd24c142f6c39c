"""tailrace follows a database's log and delivers every change exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tailrace.pipeline import Pipeline

__all__ = ["Pipeline", "__version__"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """`Pipeline` when it is first asked for: plugins import modules of this package, and few of them need the
    engine."""
    if name == "Pipeline":
        from tailrace.pipeline import Pipeline

        return Pipeline
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
