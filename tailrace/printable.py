"""Texts fit for a terminal and for one line of a log. What databases and peers hand over may hold anything: a
sequence that moves the cursor, the end of a line in the middle of one, a sign that turns the direction of
reading."""

from __future__ import annotations

import json


def printable(text: str, *, lines: bool = False) -> str:
    """The text with all that has no sign of its own written as JSON escapes it: `\\u001b`, `\\n`. `lines`:
    ends of lines and tabs stay what they are."""
    if text.isprintable():
        return text
    kept = "\n\t" if lines else ""
    return "".join(c if c.isprintable() or c in kept else json.dumps(c)[1:-1] for c in text)
