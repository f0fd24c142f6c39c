"""A rig that many tests kill in turn."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

from tests.crash.mysql_rig import MySqlRig
from tests.crash.rig import Rig

AnyRig = TypeVar("AnyRig", Rig, MySqlRig)


class KeptRig(Generic[AnyRig]):
    """Made by `make` and started once when it is first taken; a new one after `drop`."""

    def __init__(self, make: Callable[[], AnyRig]) -> None:
        self._make: Callable[[], AnyRig] = make
        self._rig: AnyRig | None = None

    def take(self) -> AnyRig:
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
