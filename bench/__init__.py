"""Benchmarks: the standard workload, with the reference reader on the same backlog in the same run.

    make bench            python -m bench [--rows N] [--repeats N] [--compression NAME] [--json]
    make bench-memory     python -m bench.memory [--rows N]

Machines differ and are shared: what counts are the ratios, and the CPU time per row.
"""
