"""What a person sees when a command fails, and the exit code that programs see."""

from __future__ import annotations

import traceback
from typing import Final

from tailrace.cli.output import write
from tailrace.errors import ConfigurationError, TailraceError, code
from tailrace.redact import redact

DEFECT = code(
    "TR-CLI-001",
    "unexpected error",
    "Something happened that no part of tailrace expects: a defect. Nothing undelivered counts as delivered.",
)
SYSTEM_REFUSED = code(
    "TR-CLI-002",
    "the operating system refused",
    "A file or another resource of this machine could not be used: permissions, free space, limits.",
)

FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130


def report(error: Exception, *, debug: bool) -> int:
    """Tell the error on stderr, with its traceback if that is wanted; returns the exit code."""
    if debug:
        write(redact("".join(traceback.format_exception(error))).rstrip(), err=True)
    match error:
        case ConfigurationError():
            for fault in error.faults:
                _tell(fault)
            if len(error.faults) > 1:
                write((f"{len(error.faults)} faults in {error.where}", "bold"), err=True)
            return WRONG_USAGE
        case TailraceError():
            _tell(error)
        case OSError():
            place = f": {error.filename}" if error.filename else ""
            found = f"{error.strerror or error}{place}"
            _tell(TailraceError(SYSTEM_REFUSED, found, "Look at permissions and free space there."))
        case _:
            found = f"{type(error).__name__}: {error}"
            remedy = "Report it, with the output of the same command with --debug."
            _tell(TailraceError(DEFECT, found, "" if debug else remedy))
    return FAILED


def _tell(error: TailraceError) -> None:
    write(("error ", "bold red"), (f"{error.code.id}", "bold"), f": {error.code.title}", err=True)
    if error.where:
        write(f"  at {redact(error.where)}", err=True)
    write(f"  {redact(error.found)}", err=True)
    if error.remedy:
        write(("  → ", "green"), redact(error.remedy), err=True)
