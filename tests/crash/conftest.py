"""The pipelines that the crash tests kill."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.crash.rig import Rig
from tests.servers import Kafka, Postgres


class _Kept:
    """A rig that many tests kill in turn; a new one when a test has left it in doubt."""

    def __init__(self, postgres: Postgres, kafka: Kafka, make_folder: Callable[[], Path]) -> None:
        self._make: Callable[[], Rig] = lambda: Rig(postgres, kafka, make_folder())
        self._rig: Rig | None = None

    def take(self) -> Rig:
        if self._rig is None:
            self._rig = self._make()
            self._rig.recover()  # the first start
        return self._rig

    def drop(self) -> None:
        if self._rig is not None:
            self._rig.close()
            self._rig = None


@pytest.fixture(scope="module")
def _kept_rig(
    postgres16: Postgres, kafka: Kafka, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[_Kept]:
    kept = _Kept(postgres16, kafka, lambda: tmp_path_factory.mktemp("crash"))
    yield kept
    kept.drop()


@pytest.fixture
def rig(request: pytest.FixtureRequest, _kept_rig: _Kept) -> Iterator[Rig]:
    """A pipeline that has started once, with all four sinks, shared by the tests of a module."""
    failed = request.session.testsfailed
    yield _kept_rig.take()
    if request.session.testsfailed != failed:
        _kept_rig.drop()


@pytest.fixture
def make_rig(postgres16: Postgres, kafka: Kafka, tmp_path: Path) -> Iterator[Callable[..., Rig]]:
    """Makes pipelines of the test's own that have not started yet; keywords as `Rig` takes them."""
    with ExitStack() as rigs:
        yield lambda **options: rigs.enter_context(
            Rig(options.pop("postgres", postgres16), options.pop("kafka", kafka), tmp_path, **options)
        )
