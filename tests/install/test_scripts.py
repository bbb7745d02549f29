"""The installer, really run in a copy of the project whose path has a space and a letter beyond ASCII."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.slow

UNREACHABLE = {
    "PIP_CONFIG_FILE": os.devnull,
    "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
    "PIP_EXTRA_INDEX_URL": "",
    "PIP_FIND_LINKS": "",
    "PIP_RETRIES": "0",
    "PIP_NO_CACHE_DIR": "1",
}


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    folder = tmp_path / "a clone é"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes((ROOT / name).read_bytes())
    return folder


def _install(copy: Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", str(copy / "scripts/install.sh")],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_installation_that_was_killed_is_begun_again_and_then_needs_no_network(
    copy: Path, tmp_path: Path
) -> None:
    killed = subprocess.Popen(
        ["bash", str(copy / "scripts/install.sh")],
        cwd=tmp_path,
        start_new_session=True,
        stderr=subprocess.PIPE,
    )
    unfinished = copy / ".venv" / ".crosstune-unfinished"
    deadline = time.monotonic() + 60
    while not unfinished.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert unfinished.exists()

    done = _install(copy, tmp_path)
    assert done.returncode == 0, done.stderr
    assert not unfinished.exists()
    crosstune = copy / ".venv/bin/crosstune"
    shown = subprocess.run([crosstune, "--help"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "rank" in shown.stdout

    offline = _install(copy, tmp_path, **UNREACHABLE)
    assert (offline.returncode, offline.stderr) == (0, "")


def test_a_registry_that_cannot_be_reached_says_what_to_do(copy: Path, tmp_path: Path) -> None:
    done = _install(copy, tmp_path, **UNREACHABLE)
    assert done.returncode == 2
    assert "install: pip could not install" in done.stderr
    assert "call the same command again" in done.stderr


def test_a_python_that_is_too_old_or_missing_is_named(copy: Path, tmp_path: Path) -> None:
    done = _install(copy, tmp_path, PYTHON="/nowhere/python3")
    assert done.returncode == 2
    assert "PYTHON=/nowhere/python3 is not a Python 3.10 to 3.13" in done.stderr
