"""Kills, of a pipeline's process, of its servers, at named and at random instants, and the proof that nothing
was lost, doubled or reordered by any of them.

    python -m tests.crash --kills 200 --seed 1           # the full matrix; writes docs/crash.md
"""
