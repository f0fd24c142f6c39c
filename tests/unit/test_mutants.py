"""The mutants fit the tree: each patch applies, and the test that it names is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.mutants.__main__ import PATCHES, ROOT, Mutant


@pytest.mark.parametrize("patch", sorted(PATCHES.glob("*.patch")), ids=lambda patch: patch.stem)
def test_a_mutant_fits_the_tree(patch: Path) -> None:
    mutant = Mutant.read(patch)
    command = ["git", "apply", "--check", str(patch)]
    applied = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert applied.returncode == 0, applied.stderr
    file, _, name = mutant.test.partition("::")
    assert f"def {name}" in (ROOT / file).read_text()
