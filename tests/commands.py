"""The command line within the test's own process, for many short calls, and what it says of itself."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from crosstune.cli import main


def help_of(*commands: str) -> str:
    """What `--help` of these commands shows, in lines that hold every option whole."""
    return "".join(
        subprocess.run(
            [sys.executable, "-m", "crosstune.cli", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
            env=os.environ | {"COLUMNS": "200"},
        ).stdout
        for command in commands
    )


def main_in(folder: Path, *words: object) -> int:
    """The exit code of `crosstune WORDS` in `folder`."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
    finally:
        os.chdir(before)
    return int(ended.value.code or 0)
