"""What a real Debezium writes of a corpus of statements.

`make golden` records it, `tests/integration/test_golden.py` compares our format with it. `corpus` is the
statements, `options` the settings, `files` which of them make which golden file, `debezium` runs the
connector, `recording` says how records are kept and compared, `differences` lists every difference that is
meant. The recordings lie in `recorded/`.
"""
