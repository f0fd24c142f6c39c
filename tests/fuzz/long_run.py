"""Inputs by the million, in processes beside each other; what they found so far is kept."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from collections import Counter
from pathlib import Path
from typing import Final

from tests.fuzz.run import Runner

ROOT: Final = Path(__file__).parents[2]
_READ: Final = ("connectors/mysql", "tailrace", "tests/fuzz", "tests/unit/recordings/binlog")
BLOCK: Final = 10_000
"""Inputs that pass together or not at all."""


class Kept:
    """What a run has found so far, in a file that outlives it; nothing of another decoder."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._of = f"{seed} {fingerprint()}"
        self._blocks: dict[int, dict[str, int]] = {}
        if path.exists() and (kept := json.loads(path.read_text()))["of"] == self._of:
            self._blocks = {int(first): counts for first, counts in kept["blocks"].items()}

    def __contains__(self, first: int) -> bool:
        """Whether the block that begins with this input has passed."""
        return first in self._blocks

    def add(self, first: int, counts: Counter[str]) -> None:
        """The block that begins with this input has passed."""
        self._blocks[first] = dict(counts)
        beside = self._path.with_suffix(".new")
        beside.write_text(json.dumps({"of": self._of, "blocks": self._blocks}))
        beside.replace(self._path)

    def counts(self, first: int, inputs: int) -> Counter[str]:
        """What became of these, as far as they have passed."""
        found = Counter[str]()
        for begin, counts in self._blocks.items():
            if first <= begin < first + inputs:
                found.update(counts)
        return found


def go_through(first: int, inputs: int, seed: int, workers: int, kept: Kept) -> None:
    """What of so many inputs from a number on is not in `kept` yet. Raises RuntimeError for a fault."""
    blocks = [begin for begin in range(first, first + inputs, BLOCK) if begin not in kept]
    before, begun = inputs - BLOCK * len(blocks), time.monotonic()
    with multiprocessing.get_context("spawn").Pool(workers, _prepare, (seed,)) as pool:
        for number, (begin, counts) in enumerate(pool.imap_unordered(_block, blocks), 1):
            kept.add(begin, counts)
            rate = BLOCK * number / (time.monotonic() - begun)
            done = before + BLOCK * number
            print(f"\r{done:,} of {inputs:,} inputs, {rate:,.0f} a second ", end="", flush=True)
    print()


_runner: Runner  # of this process


def _prepare(seed: int) -> None:
    global _runner
    _runner = Runner(seed)


def _block(first: int) -> tuple[int, Counter[str]]:
    try:
        return first, _runner.run(first, BLOCK)
    except BaseException as fault:
        # Notes do not come through to the other process.
        raise RuntimeError("; ".join([repr(fault), *getattr(fault, "__notes__", ())])) from fault


def fingerprint() -> str:
    """Of what a run's counts depend on."""
    digest = hashlib.sha256()
    for folder in _READ:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".binlog"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]
