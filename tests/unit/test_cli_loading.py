"""How garbage is looked for in a process of the command line."""

from __future__ import annotations

import json
import subprocess
import sys

_PROGRAM = """\
import gc, json
from tailrace.cli.loading import loading

class Cycle:
    left = 0
    def __init__(self):
        self.itself = self
        Cycle.left += 1
    def __del__(self):
        Cycle.left -= 1

def looks():
    return sum(each["collections"] for each in gc.get_stats())

with loading():
    loaded = [[] for _ in range(10_000)]
    enabled = gc.isenabled()
before = looks()
for _ in range(30):
    batch = [(dict(), [number]) for number in range(5_000)]
flowing = looks() - before
most = 0
for _ in range(300_000):
    Cycle()
    most = max(most, Cycle.left)
print(json.dumps([enabled, gc.isenabled(), gc.get_freeze_count(), flowing, most]))
"""


def test_what_flows_is_not_looked_through_and_cycles_do_not_pile_up() -> None:
    done = subprocess.run([sys.executable, "-c", _PROGRAM], stdout=subprocess.PIPE, check=True)
    while_loading, afterwards, frozen, flowing, most = json.loads(done.stdout)
    assert (while_loading, afterwards) == (False, True)
    assert frozen > 10_000
    assert flowing <= 2
    assert most <= 100_000
