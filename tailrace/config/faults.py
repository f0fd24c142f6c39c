"""Everything that is wrong with a file, collected so that a person hears of all of it at once."""

from __future__ import annotations

from dataclasses import dataclass

from tailrace.errors import Code, ConfigurationError, code
from tailrace.redact import redact

SEVERAL_FAULTS = code(
    "TR-CONF-020",
    "several faults",
    "The file has more than one fault; each is told with its own code and place.",
)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Line and column, both counted from 1."""

    file: str  # as it was given
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


class Faults:
    """The faults of one file."""

    def __init__(self) -> None:
        self._faults: list[tuple[Place, ConfigurationError]] = []

    def add(self, place: Place, code: Code, found: str, remedy: str) -> None:
        """One more fault."""
        self._faults.append((place, ConfigurationError(code, redact(found), remedy, where=str(place))))

    def __len__(self) -> int:
        return len(self._faults)

    def error(self, file: str) -> ConfigurationError:
        """All faults as one error, in the order in which they stand in the file. There must be one."""
        faults = tuple(fault for _, fault in sorted(self._faults, key=lambda entry: entry[0]))
        if len(faults) == 1:
            return faults[0]
        # All that a traceback shows is the text.
        found = f"{len(faults)} faults" + "".join(f"\n  {fault}" for fault in faults)
        return ConfigurationError(SEVERAL_FAULTS, found, "Mend each of them.", where=file, faults=faults)
