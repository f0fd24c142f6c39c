"""What the crash tests of a run killed and compared, written into a page."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Protocol, TypeVar

import pytest

from tests.servers import kafka, postgres

MARK = "<!-- What follows is written by `make crash`. -->"


class Rig(Protocol):
    """A pipeline that is killed. `kills` by what was done to it, `verified` by target."""

    source: str  # the kind of database that it follows
    kills: Counter[str]

    @property
    def verified(self) -> Counter[str]: ...


AnyRig = TypeVar("AnyRig", bound=Rig)


class Ledger:
    """Notes in a test's report what was done to rigs while it ran: the report reaches a `Page` from whatever
    process runs the test."""

    def __init__(self, item: pytest.Item) -> None:
        self._notes = item.user_properties
        self._rigs: list[tuple[Rig, Counter[str], Counter[str]]] = []

    def watch(self, rig: AnyRig) -> AnyRig:
        """From now on."""
        self._rigs.append((rig, rig.kills.copy(), rig.verified))
        return rig

    def close(self) -> None:
        """Until now."""
        for rig, kills, verified in self._rigs:
            self._notes.append(("kills", {rig.source: dict(rig.kills - kills)}))
            self._notes.append(("verified", {rig.source: dict(rig.verified - verified)}))


class Page:
    """A plugin of pytest that adds up the notes of all tests. A run in which all of them pass writes the page
    anew from its mark on."""

    def __init__(self, path: Path, command: str) -> None:
        self._path = path
        self._command = command
        self._counts = {name: defaultdict[str, Counter[str]](Counter) for name in ("kills", "verified")}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "teardown":
            for name, counts in report.user_properties:
                if isinstance(counts, dict):
                    for source, counted in counts.items():
                        self._counts[name][source].update(counted)

    def pytest_sessionfinish(self, exitstatus: int) -> None:
        if exitstatus == 0:
            written, mark, _ = self._path.read_text().partition(MARK)
            assert mark, f"{self._path} has no line {MARK}"
            self._path.write_text(written + self._text())

    def _text(self) -> str:
        servers = f"PostgreSQL {' and '.join(postgres.VERSIONS[major] for major in (16, 18))}"
        versions = f"tailrace {version('tailrace')}, Python {platform.python_version()}, {servers}"
        return "\n".join(
            [
                MARK,
                "",
                f"`{self._command}` on {date.today().isoformat()} with {versions}, Kafka {kafka.VERSION}:",
                "",
                *_table("killed or held, times", self._counts["kills"]),
                "",
                *_table("target: events that were compared and right", self._counts["verified"]),
                "",
                "Lost, doubled, reordered or wrong: none. A run that finds one fails and writes nothing.",
                "",
            ]
        )


def _table(name: str, counts: Mapping[str, Counter[str]]) -> list[str]:
    """A column for each source."""
    sources = sorted(counts, key=lambda source: (not source.startswith("PostgreSQL"), source))
    lines = [f"| {' | '.join([name, *sources])} |", f"|---|{'---:|' * len(sources)}"]
    return lines + [
        f"| {' | '.join([row, *[f'{counts[source][row]:,}' for source in sources]])} |"
        for row in sorted(set().union(*counts.values()))
    ]
