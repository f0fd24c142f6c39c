"""tailrace and the example package as wheels, installed where nothing of the checkout is seen."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).parents[1]


class Installation:
    """A virtual environment with both wheels. What they need comes from the environment of the tests, so that
    nothing is fetched."""

    def __init__(self, folder: Path) -> None:
        source = folder / "source"
        listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
        for name in listed.stdout.splitlines():
            if (ROOT / name).is_file():
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, source / name)
        self.example = source / "examples/tailrace-example"
        wheels = folder / "wheels"
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        build = ["wheel", "--no-deps", "--no-index", "--no-build-isolation", f"--wheel-dir={wheels}"]
        _run(*pip, *build, source, self.example)
        self.venv = folder / "venv"
        _run(sys.executable, "-m", "venv", "--without-pip", self.venv)
        python = self.venv / "bin/python"
        install: list[str | Path] = ["--python", python, "install", "--no-deps", "--no-index"]
        _run(*pip, *install, *wheels.glob("*.whl"))
        self.packages = Path(
            _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
        )
        # Behind the wheels on the path, and without the checkout: its own .pth files are not read there.
        (self.packages / "others.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def tailrace(self, *words: str | Path) -> str:
        """Run the command as it was installed; its standard output. It must succeed."""
        return _run(self.venv / "bin/tailrace", *words, PYTHONWARNINGS="error")

    def python(self, *words: str | Path, cwd: Path | None = None) -> str:
        """Run its Python."""
        return _run(self.venv / "bin/python", *words, cwd=cwd or self.venv, PYTHONWARNINGS="error")


def _run(*words: str | Path, cwd: Path | None = None, **variables: str) -> str:
    """Run a command that must succeed, and does not see the checkout; its standard output."""
    inherited = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        words,
        env={**inherited, **variables},
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout
