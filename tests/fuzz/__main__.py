"""`make fuzz`: damaged logs by the million, from a seed; the counts go into docs/crash.md.

    python -m tests.fuzz 10000000 --seed 1 --page docs/crash.md
    python -m tests.fuzz 1 --seed 1 --first 123456        # one of them again

A run that was ended goes on where it was, as long as neither the decoder nor the inputs were changed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from tests.fuzz import page
from tests.fuzz.run import Runner

ROOT: Final = Path(__file__).parents[2]
_READ: Final = ("connectors/mysql", "tailrace", "tests/fuzz", "tests/unit/recordings/binlog")
_BLOCK: Final = 10_000  # inputs between two notes of how far a run has come


class Kept:
    """What a run has found so far, in a file that outlives it."""

    def __init__(self, path: Path, seed: int) -> None:
        self._path = path
        self._of = f"{seed} {_fingerprint()}"
        self.done: set[int] = set()
        self.counts: Counter[str] = Counter()
        if path.exists() and (kept := json.loads(path.read_text()))["of"] == self._of:
            self.done, self.counts = set(kept["done"]), Counter(kept["counts"])

    def add(self, first: int, counts: Counter[str]) -> None:
        """The block of inputs that begins with this one has passed."""
        self.done.add(first)
        self.counts.update(counts)
        text = json.dumps({"of": self._of, "done": sorted(self.done), "counts": self.counts})
        beside = self._path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self._path)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("inputs", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--page", type=Path, help="a page that is to tell the counts")
    options = parser.parse_args()
    if options.inputs < _BLOCK:
        print(dict(Runner(options.seed).run(options.first, options.inputs)))
        return
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    kept = Kept(cache / f"fuzz-{options.seed}.json", options.seed)
    last = options.first + options.inputs
    blocks = [
        (first, min(_BLOCK, last - first))
        for first in range(options.first, last, _BLOCK)
        if first not in kept.done
    ]
    _run(blocks, options.inputs, options.seed, options.workers, kept)
    if options.page is not None:
        command = f"make fuzz N={options.inputs} SEED={options.seed}"
        page.write(options.page, command, kept.counts)


def _run(blocks: Iterable[tuple[int, int]], inputs: int, seed: int, workers: int, kept: Kept) -> None:
    begun, before = time.monotonic(), _inputs(kept.counts)
    with multiprocessing.get_context("spawn").Pool(workers, _prepare, (seed,)) as pool:
        for first, counts in pool.imap_unordered(_block, blocks):
            kept.add(first, counts)
            done = _inputs(kept.counts)
            rate = (done - before) / (time.monotonic() - begun)
            print(f"\r{done:,} of {inputs:,} inputs, {rate:,.0f} a second ", end="", flush=True)
    print()


def _inputs(counts: Counter[str]) -> int:
    return sum(count for name, count in counts.items() if name.startswith(page.DAMAGED))


_runner: Runner


def _prepare(seed: int) -> None:
    global _runner
    _runner = Runner(seed)


def _block(block: tuple[int, int]) -> tuple[int, Counter[str]]:
    try:
        return block[0], _runner.run(*block)
    except BaseException as fault:
        # Notes do not come through to the other process.
        raise RuntimeError("; ".join([repr(fault), *getattr(fault, "__notes__", ())])) from fault


def _fingerprint() -> str:
    """Of what a run's counts depend on."""
    digest = hashlib.sha256()
    for folder in _READ:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in (".py", ".binlog"):
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    main()
