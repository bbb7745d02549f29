"""The documents tell the truth: commands that they name exist, and what they need is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer

from crosstune.cli import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(str(path.relative_to(ROOT)) for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")))


@pytest.mark.parametrize("name", DOCUMENTS)
def test_files_that_the_documents_name_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert len(text) > 100
    for path in re.findall(r"(?:scripts|recipes|docs|tests)/[\w/.-]+\.(?:sh|py|yaml|md)", text):
        assert (ROOT / path).is_file(), path
    for target in re.findall(r"\]\((?!http|#)([^)]+)\)", text):
        assert (ROOT / name).parent.joinpath(target).exists(), target


@pytest.mark.parametrize("name", DOCUMENTS)
def test_commands_and_options_that_the_documents_show_exist(name: str) -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    lines = re.findall(
        r"^ {4}crosstune ([^#\n]+)", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE
    )
    assert lines or name != "README.md"
    for line in lines:
        command = line.split()[0]
        assert command in commands, line
        known = {option for parameter in commands[command].params for option in parameter.opts}
        assert known >= set(re.findall(r"(?<![\w-])--[a-z][\w-]*", line)), line


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
