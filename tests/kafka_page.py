"""What docs/kafka.md tells people to type."""

from __future__ import annotations

import re
from pathlib import Path

_PAGE = (Path(__file__).parents[1] / "docs" / "kafka.md").read_text()


def blocks(language: str) -> list[str]:
    """The page's code blocks of a language."""
    return re.findall(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)


def commands() -> list[str]:
    """What stands behind the prompt, a line each."""
    return re.findall(r"^\$ (.*)$", "".join(blocks("console")), re.MULTILINE)
