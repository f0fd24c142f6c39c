"""`${NAME}` in a value: filled in from the environment."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from tailrace.errors import Code, code

MISSING_VARIABLE = code(
    "TR-CONF-004",
    "environment variable is not set",
    "A value asks for an environment variable that does not exist. An empty value is never assumed.",
)
BAD_REFERENCE = code(
    "TR-CONF-005",
    "not a variable reference",
    "A value holds `${` that is not followed by a variable's name and `}`, or is a variable's name "
    "behind `$`, without braces, while the variable is set.",
)

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{(?P<body>[^}]*)(?P<end>\}?)")
_BARE: Final = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")  # as shells write it
_BODY: Final = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>.*))?", re.S)


class Substitution:
    """Fills in references: `${NAME}`, `${NAME:-default}` (for a variable that is unset or empty), `$${` for a
    literal `${`. Remembers the values it handed out, to take them out of messages again."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._used: dict[str, str] = {}

    def fill(self, text: str) -> tuple[str, list[tuple[Code, str, str]]]:
        """The text with its references filled in, and what is wrong with them: (code, found, remedy)."""
        faults: list[tuple[Code, str, str]] = []
        if (bare := _BARE.fullmatch(text)) and (name := bare[1]) in self._environment:
            # Taken for what it says it would be a password that nobody has, refused much later.
            remedy = f"Write ${{{name}}}; where the text itself is meant, ${{{name}_AS_TEXT:-{text}}}."
            return text, [
                (BAD_REFERENCE, f"{text} lacks the braces of a reference, and {name} is set", remedy)
            ]

        def value(match: re.Match[str]) -> str:
            if match["body"] is None:
                return "${"
            body = _BODY.fullmatch(match["body"])
            if body is None or not match["end"]:
                faults.append(
                    (
                        BAD_REFERENCE,
                        "${ stands there without a variable's name and } behind it",
                        "Write ${NAME} or ${NAME:-default}; write $${ where ${ itself is meant.",
                    )
                )
                return match[0]
            name, default = body["name"], body["default"]
            found = self._environment.get(name)
            if default is not None:
                found = found or default
            if found is None:
                faults.append(
                    (
                        MISSING_VARIABLE,
                        f"${{{name}}} is asked for, and {name} is not set",
                        f"Set it (export {name}=…), or give a default: ${{{name}:-default}}.",
                    )
                )
                return match[0]
            self._used[name] = found
            return found

        return _REFERENCE.sub(value, text), faults

    def conceal(self, text: str) -> str:
        """The text with every value that came from the environment replaced by its reference."""
        for name, value in sorted(self._used.items(), key=lambda item: -len(item[1])):
            if len(value) > 2:  # shorter ones would tear words apart
                text = text.replace(value, f"${{{name}}}")
        return text
