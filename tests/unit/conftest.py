"""What unit tests share."""

from pathlib import Path

import pytest

from tests import plugins


@pytest.fixture
def file_plugins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the plugins of tests/plugins.py are installed; on the path of this process."""
    folder = tmp_path_factory.mktemp("installed")
    plugins.install(folder)
    monkeypatch.syspath_prepend(folder)
    return folder
