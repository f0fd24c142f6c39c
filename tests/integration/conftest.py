"""What integration tests share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.integration.commandline import Pipeline
from tests.servers import Postgres


@pytest.fixture
def pipeline(tmp_path: Path, postgres18: Postgres, make_database: Callable[[Postgres], str]) -> Pipeline:
    """A pipeline of the test's own into a log, not started yet; its table `t` is empty."""
    return Pipeline(tmp_path, postgres18, make_database(postgres18))
