"""The reference pages are what the code says now."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pages as a process makes them that knows no test's codes and plugins."""
    folder = tmp_path_factory.mktemp("docs")
    subprocess.run([sys.executable, "-m", "tailrace.reference", folder], cwd=ROOT, check=True)
    return folder


@pytest.mark.parametrize("page", ["cli.md", "errors.md", "settings.md"])
def test_the_committed_page_is_current(written: Path, page: str) -> None:
    committed = ROOT / "docs" / page
    assert committed.read_text() == (written / page).read_text(), "make docs writes it anew"


def test_every_setting_says_what_it_means(written: Path) -> None:
    rows = [line for line in (written / "settings.md").read_text().splitlines() if line.startswith("| `")]
    assert not [row for row in rows if row.endswith("|  |")]
