"""What a person sees when a command fails, and the exit code that programs see."""

from __future__ import annotations

import shlex
import traceback
from collections.abc import Callable
from typing import Final

from tailrace.cli.output import with_file, write
from tailrace.errors import ConfigurationError, NotReady, TailraceError, code
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

ERROR_LINES: Final = "tailrace.error_lines"
"""Under this key of the context's `meta` a command whose stderr is for programs leaves what `report` takes as
`as_line`."""

CHECKED_BY_DOCTOR: Final = "tailrace.checked_by_doctor"
"""Under this key a command that ends at the first thing that is not ready leaves the `file` of `report`."""


def report(
    error: Exception,
    *,
    debug: bool,
    as_line: Callable[[TailraceError], None] | None = None,
    file: str | None = None,
) -> int:
    """Tell the error on stderr, with its traceback if that is wanted; returns the exit code. `as_line` tells
    an error where stderr is read line by line by a program. `file`: the pipeline's, of which `doctor` would
    tell all that is not ready."""
    tell = as_line or _tell
    if debug:
        write(redact("".join(traceback.format_exception(error))).rstrip(), err=True)
    match error:
        case ConfigurationError():
            for fault in error.faults:
                tell(fault)
            if len(error.faults) > 1 and as_line is None:
                write((f"{len(error.faults)} faults in {error.where}", "bold"), err=True)
            return WRONG_USAGE
        case TailraceError():
            tell(error)
            if isinstance(error, NotReady) and file is not None and as_line is None:
                write(f"  All that is missing: tailrace doctor {shlex.quote(file)}", err=True)
        case OSError():
            place = f": {error.filename}" if error.filename else ""
            found = f"{error.strerror or error}{place}"
            tell(TailraceError(SYSTEM_REFUSED, found, "Look at permissions and free space there."))
        case _:
            found = f"{type(error).__name__}: {error}"
            remedy = "Report it, with the output of the same command with --debug."
            tell(TailraceError(DEFECT, found, "" if debug else remedy))
    return FAILED


def _tell(error: TailraceError) -> None:
    write(("error ", "bold red"), (f"{error.code.id}", "bold"), f": {error.code.title}", err=True)
    if error.where:
        write(f"  at {redact(error.where)}", err=True)
    write(f"  {redact(error.found)}", err=True)
    if error.remedy:
        write(("  → ", "green"), with_file(redact(error.remedy)), err=True)
