"""The map in CONTRIBUTING.md is the tree."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Folders that hold what belongs to the folder above, and need no line of their own.
DETAILS = re.compile(r"tests/(unit|integration|truth|crash)/.+/|tailrace/$|tests/$")


def on_the_map() -> set[str]:
    lines = (ROOT / "CONTRIBUTING.md").read_text().splitlines()
    return {match.group(1) for line in lines if (match := re.match(r"\| `([^`]+)` \|", line))}


def in_the_tree() -> set[str]:
    """The folders with code, examples or texts, and the modules of the core itself."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    files = [Path(name) for name in listed.stdout.splitlines()]
    folders = {
        f"{file.parent}/" for file in files if len(file.parts) > 1 and not file.parts[0].startswith(".")
    }
    core = {str(file) for file in files if file.parent == Path("tailrace") and file.suffix == ".py"}
    return {folder for folder in folders if not DETAILS.match(folder)} | {
        module for module in core if "__" not in module
    }


def test_the_map_is_the_tree() -> None:
    assert on_the_map() == in_the_tree()
