"""Environments of their own, for packages that cannot be installed beside crosstune's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"


def installed(folder: Path, *packages: str) -> Path:
    """Makes an environment in `folder` with these packages; returns its `bin`."""
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-c", str(CONSTRAINTS))
    run_in(folder.parent, Path(sys.executable), "-m", "venv", str(folder))
    run_in(folder.parent, folder / "bin" / "python", *pip, *packages)
    return folder / "bin"


def run_in(folder: Path, program: Path, *words: str) -> str:
    """What it printed."""
    done = subprocess.run([program, *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
