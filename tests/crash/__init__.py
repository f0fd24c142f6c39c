"""Kills, of a pipeline's process, of its servers, at named and at random instants, and the proof that nothing
was lost, doubled or reordered by any of them.

    pytest tests/crash                                   # what `make test` runs
    make crash KILLS=200 SEED=1                          # the full matrix; its counts go to docs/crash.md
"""
