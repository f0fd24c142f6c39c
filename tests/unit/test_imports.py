"""What a process imports before its pipeline runs: every start pays for it."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from tailrace import plugins

_LOAD = """
import sys
import tailrace.cli.main, tailrace.cli.run
from tailrace.pipeline import Pipeline
Pipeline.load(sys.argv[1])
print(*sys.modules)
"""


def test_a_pipeline_imports_its_own_plugins_alone(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    file.write_text(
        "name: shop\n"
        "source: {type: postgres, url: postgresql://a@b/c, tables: [public.*], snapshot: never}\n"
        "sinks: [{type: log, path: a.db}]\n"
    )
    command = [sys.executable, "-c", _LOAD, str(file)]
    imported = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert {"connectors.postgres.source", "sinks.log"} <= imported
    needless = {
        "sinks.kafka",
        "sinks.stdout",
        "aiokafka",
        "connectors.postgres.demo",
        "tailrace.cli.live",
        "rich",
    }
    assert needless & imported == set()


def test_what_is_loaded_is_never_looked_through_for_garbage() -> None:
    code = (
        "import gc\n"
        "from tailrace.cli.main import main\n"
        "before = gc.get_stats()\n"
        "assert main.get_command(None, 'run')\n"
        "assert [one['collections'] for one in gc.get_stats()] == [one['collections'] for one in before]\n"
        "assert gc.get_freeze_count() > 10_000\n"
        "assert gc.isenabled()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_says_nothing_in_colours_imports_no_colours() -> None:
    """The list of the commands, their help, the version."""
    command = [sys.executable, "-c", "import sys, tailrace.cli.main; print(*sys.modules)"]
    imported = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert {"rich", "pydantic", "asyncio"} & imported == set()


def test_packages_are_looked_through_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until the path is another."""
    looks = []

    def look() -> object:
        looks.append(1)
        return entry_points()

    plugins._announced.cache_clear()
    monkeypatch.setattr(plugins, "entry_points", look)
    assert "log" in plugins.names("sinks")
    plugins.load("sources", "postgres")
    assert len(looks) == 1
    monkeypatch.syspath_prepend("/nowhere")
    assert "log" in plugins.names("sinks")
    assert len(looks) == 2
