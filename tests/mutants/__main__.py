"""`make mutants`: each patch takes one rule out; the test that it names must then fail, and pass without it.

A patch begins with two lines for people and for this program, before the diff itself:

    Rule: what the patch takes out
    Test: tests/…::test_name

It is applied to a copy of the tree, never to the tree itself.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PATCHES = Path(__file__).parent


@dataclass(frozen=True)
class Mutant:
    """One rule less, and the test that misses it."""

    patch: Path
    rule: str
    test: str

    @classmethod
    def read(cls, patch: Path) -> Mutant:
        header = patch.read_text().partition("\n--- ")[0]
        fields = dict(line.split(": ", 1) for line in header.splitlines() if ": " in line)
        return cls(patch, fields["Rule"], fields["Test"])


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", help="patches, without .patch (default: all)")
    options = parser.parse_args()
    mutants = [Mutant.read(patch) for patch in sorted(PATCHES.glob("*.patch"))]
    chosen = [mutant for mutant in mutants if not options.names or mutant.patch.stem in options.names]
    if not chosen:
        sys.exit(f"no such mutant; there are: {', '.join(mutant.patch.stem for mutant in mutants)}")
    faults = [fault for mutant in chosen if (fault := _judge(mutant)) is not None]
    print(f"{len(chosen) - len(faults)} passed, {len(faults)} failed")
    sys.exit(bool(faults))


def _judge(mutant: Mutant) -> str | None:
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".*", "__pycache__", "data"))
        fault = None if _passes(tree, mutant.test) else "fails without the patch too"
        if fault is None:
            subprocess.run(["git", "apply", mutant.patch], cwd=tree, check=True)
            fault = "passes with the patch" if _passes(tree, mutant.test) else None
    print(f"{'FAULT ' if fault else 'caught'}  {mutant.patch.stem}: {mutant.rule}", flush=True)
    if fault:
        print(f"        {mutant.test} {fault}", flush=True)
    return fault


def _passes(tree: Path, test: str) -> bool:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--timeout=60", test]
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)
    if run.returncode not in (0, 1):  # neither passed nor failed: no such test, or it could not be run
        sys.exit(f"{test}: pytest ended with {run.returncode}\n{run.stdout}{run.stderr}")
    return run.returncode == 0


if __name__ == "__main__":
    main()
