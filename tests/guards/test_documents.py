"""The documents tell the truth: commands that they name exist, and what they need is there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "docs/decisions.md",
    "docs/adaptation.md",
    "docs/calibration.md",
    "docs/curve.md",
    "docs/data.md",
    "docs/doctor.md",
    "docs/evaluation.md",
    "docs/export.md",
    "docs/first_stages.md",
    "docs/forgetting.md",
    "docs/fusion.md",
    "docs/helper.md",
    "docs/labels.md",
    "docs/losses.md",
    "docs/mining.md",
    "docs/performance.md",
    "docs/reproduce.md",
    "docs/resume_and_processes.md",
    "docs/scale.md",
    "docs/serving.md",
    "docs/tuning.md",
    "docs/windows.md",
    "SECURITY.md",
]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_the_documents_name_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text) > 100
    for path in re.findall(r"(?:scripts|recipes|docs|tests)/[\w/.-]+\.(?:sh|py|yaml|md)", text):
        assert (ROOT / path).is_file(), path
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target


def test_commands_of_the_readme_exist() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    commands = set(re.findall(r"^ {4}crosstune (\w+)", text, flags=re.MULTILINE))
    assert {"run", "rank"} <= commands
    shown = subprocess.run(
        [sys.executable, "-m", "crosstune.cli", "--help"], capture_output=True, text=True, check=True
    ).stdout
    for command in commands:
        assert re.search(rf"\b{command}\b", shown), command


def test_readme_and_licence() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for needed in (
        "bash scripts/quickstart.sh",
        "bash scripts/test.sh",
        "Apache-2.0",
        "from crosstune.serve import",
    ):
        assert needed in readme
    assert "Apache License" in (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert 'name = "crosstune"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")


def test_ci_calls_the_readmes_commands() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert "scripts/test.sh" in ci
    assert "scripts/check.sh" in ci
