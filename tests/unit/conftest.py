"""What unit tests share."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests import plugins

# How long an example takes says how busy the machine is, nothing of the code. The rest is as it would be.
settings.register_profile("busy", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")


@pytest.fixture
def file_plugins(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the plugins of tests/plugins.py are installed; on the path of this process."""
    folder = tmp_path_factory.mktemp("installed")
    plugins.install(folder)
    monkeypatch.syspath_prepend(folder)
    return folder


@pytest.fixture
def pipeline_file(tmp_path: Path, file_plugins: Path) -> Path:
    """A pipeline's file in a folder of its own. It reads `log.txt` and writes `out.json` there."""
    path = tmp_path / "p.yaml"
    path.write_text(
        "name: orders\n"
        f"source: {{type: file, path: '{tmp_path}/log.txt', snapshot: never}}\n"
        "sinks:\n"
        "  - {type: file, path: out.json, format: numbers}\n"
    )
    (tmp_path / "log.txt").touch()
    return path
