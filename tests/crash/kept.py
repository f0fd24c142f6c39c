"""A rig that many tests kill in turn."""

from __future__ import annotations

from collections.abc import Callable

from tests.crash.rig import Rig


class KeptRig:
    """Made by `make` and started once when it is first taken; a new one after `drop`."""

    def __init__(self, make: Callable[[], Rig]) -> None:
        self._make = make
        self._rig: Rig | None = None

    def take(self) -> Rig:
        """The rig, for one more test."""
        if self._rig is None:
            self._rig = self._make()
            self._rig.recover()  # the first start
        return self._rig

    def drop(self) -> None:
        """Give up the rig: a test has left it in doubt, or no more tests come."""
        if self._rig is not None:
            self._rig.close()
            self._rig = None
