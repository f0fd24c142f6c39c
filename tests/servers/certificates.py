"""Certificates for the tests, made with the openssl command."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.servers.artefacts import UnavailableError

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


@dataclass(frozen=True)
class Certificate:
    """A certificate and its key, as files."""

    certificate: Path
    key: Path


class Authority:
    """A certificate authority in a folder, which it keeps its files in under its own name."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            raise UnavailableError("openssl, which makes the certificates, is not installed")
        self._folder = folder
        self._name = name
        self.certificate, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip

    def issue(
        self, subject: str, names: Sequence[str] = ("DNS:localhost",), *, expired: bool = False
    ) -> Certificate:
        """A certificate for a subject, its key readable to its owner alone."""
        base = self._folder / f"{self._name}-{subject}{'-expired' if expired else ''}"
        request, key, certificate = (base.with_suffix(end) for end in (".csr", ".key", ".crt"))
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"subjectAltName = {','.join(names)}\n")
        _openssl("req", "-new", *_KEY, "-subj", f"/CN={subject}", "-keyout", key, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-days", "-1" if expired else "2", "-extfile", extensions, "-out", certificate,
        )  # fmt: skip
        key.chmod(0o600)
        return Certificate(certificate, key)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
