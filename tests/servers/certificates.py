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
    """A certificate and its key, as files: each alone, and both in one."""

    certificate: Path
    key: Path
    whole: Path


class Authority:
    """A certificate authority in a folder of its own. Every account may read what it signs, since servers
    have accounts of their own; the key that stands alone is its owner's, as PostgreSQL demands."""

    def __init__(self, folder: Path, name: str) -> None:
        if shutil.which("openssl") is None:
            raise UnavailableError("openssl, which makes the certificates, is not installed")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        self.certificate, self._key = folder / f"{name}.crt", folder / f"{name}.key"
        _openssl(
            "req", "-x509", *_KEY, "-days", "2", "-subj", f"/CN={name}",
            "-keyout", self._key, "-out", self.certificate,
        )  # fmt: skip
        self.certificate.chmod(0o644)

    def issue(
        self,
        subject: str,
        names: Sequence[str] = ("DNS:localhost",),
        *,
        expired: bool = False,
        password: str = "",
    ) -> Certificate:
        """A certificate for a subject; a password encrypts its key."""
        base = self.folder / f"{subject}{'-expired' if expired else ''}"
        request, key, certificate = (base.with_suffix(end) for end in (".csr", ".key", ".crt"))
        extensions = base.with_suffix(".ext")
        extensions.write_text(f"subjectAltName = {','.join(names)}\n")
        _openssl("req", "-new", *_KEY, "-subj", f"/CN={subject}", "-keyout", key, "-out", request)
        _openssl(
            "x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial",
            "-days", "-1" if expired else "2", "-extfile", extensions, "-out", certificate,
        )  # fmt: skip
        if password:
            unlocked = key.rename(base.with_suffix(".open"))
            _openssl("pkcs8", "-topk8", "-in", unlocked, "-out", key, "-passout", f"pass:{password}")
        key.chmod(0o600)
        whole = base.with_suffix(".whole.pem")
        whole.write_bytes(key.read_bytes() + certificate.read_bytes())
        for file in (whole, certificate):
            file.chmod(0o644)
        return Certificate(certificate, key, whole)


def _openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *words], check=True, capture_output=True)
