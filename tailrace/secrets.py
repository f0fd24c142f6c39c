"""Secrets in settings: written there, or kept in a file that is read each time the secret is needed.

A plugin declares `password: SecretStr | SecretFile`. The file is how orchestrators hand secrets out, and a
secret that was changed in it is taken from the next connection on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from pydantic import Field, SecretStr, field_validator

from tailrace.abc import Declaration
from tailrace.errors import NotReady, code

UNREADABLE = code(
    "TR-CONF-016",
    "the file of a secret cannot be read",
    "A setting is `{file: …}`, and that file is missing, empty, not text or closed to this process.",
)

_REMEDY: Final = "Let the file hold the secret and nothing else, readable for the user that runs tailrace."


class SecretFile(Declaration):
    """A file that holds a secret and nothing else."""

    file: Path = Field(
        description="The whole path of a file that holds the secret alone; a line's end behind it does not "
        "count. It is read at each new connection."
    )

    @field_validator("file")
    @classmethod
    def _check_file(cls, file: Path) -> Path:
        if "\0" in str(file):
            raise ValueError("no file's name holds a zero")
        try:
            whole = file.expanduser()
        except RuntimeError:  # no such user, or one without a home
            raise ValueError(f"{file.parts[0]} is no folder that is known; write the whole path") from None
        if not whole.is_absolute():
            raise ValueError("the path of a secret's file begins with / or ~")
        return whole


def reveal(secret: str | SecretStr | SecretFile) -> str:
    """The secret as it is now. NotReady where its file cannot be read."""
    if isinstance(secret, str):
        return secret
    if isinstance(secret, SecretStr):
        return secret.get_secret_value()
    try:
        text = secret.file.read_text(encoding="utf-8")
    except OSError as error:
        raise NotReady(UNREADABLE, f"{secret.file}: {error.strerror}", _REMEDY) from None
    except UnicodeDecodeError:
        raise NotReady(UNREADABLE, f"{secret.file}: it is not UTF-8", _REMEDY) from None
    value = text.removesuffix("\n").removesuffix("\r")
    if not value:
        raise NotReady(UNREADABLE, f"{secret.file}: it is empty", _REMEDY)
    return value
