"""The command line within the test's own process: for many short calls."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from crosstune.cli import main


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
