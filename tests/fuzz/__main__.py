"""`make fuzz`: damaged logs by the million, from a seed; the counts go into docs/crash.md.

    python -m tests.fuzz 10000000 --seed 1 --page docs/crash.md
    python -m tests.fuzz 1 --seed 1 --first 123456        # one of them again

A run that was ended goes on where it was, as long as neither the decoder nor the inputs were changed.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from tests.fuzz import page
from tests.fuzz.long_run import BLOCK, ROOT, Kept, go_through
from tests.fuzz.run import Runner


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("inputs", type=int, help=f"how many; kept and told if they are times {BLOCK}")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first input")
    parser.add_argument("--workers", type=int, default=os.cpu_count())
    parser.add_argument("--page", type=Path, help="a page that is to tell the counts")
    options = parser.parse_args()
    if options.inputs % BLOCK or options.first % BLOCK:
        print(dict(Runner(options.seed).run(options.first, options.inputs)))
        return
    cache = ROOT / ".cache"
    cache.mkdir(exist_ok=True)
    kept = Kept(cache / f"fuzz-{options.seed}.json", options.seed)
    go_through(options.first, options.inputs, options.seed, options.workers, kept)
    if options.page is not None:
        command = f"make fuzz N={options.inputs} SEED={options.seed}"
        page.write(options.page, command, kept.counts(options.first, options.inputs))


if __name__ == "__main__":
    main()
