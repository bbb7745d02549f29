"""`docs/labels.md`: its examples run, and it names every option of the two commands."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from conftest import write_collection

from chat_service import KEY, chat_service
from crosstune.cli import app
from crosstune.labels.filters import REASONS

DOCUMENT = (Path(__file__).parents[2] / "docs" / "labels.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```sh\n(.*?)```", DOCUMENT, flags=re.DOTALL)
EXPLAINED_BY_HELP = {"--help", "--json", "--seed", "--overwrite"}


@pytest.mark.slow
def test_the_examples_run(tmp_path: Path) -> None:
    assert len(EXAMPLES) == 2
    write_collection(tmp_path / "docs")
    with chat_service(tmp_path) as chat:
        for example in EXAMPLES:
            script = example.replace("http://127.0.0.1:8000/v1", chat.url)
            command = f'set -e\ncrosstune() {{ "{sys.executable}" -m crosstune.cli "$@"; }}\n{script}'
            done = subprocess.run(
                ["bash", "-c", command],
                cwd=tmp_path,
                capture_output=True,
                text=True,
                check=False,
                env=os.environ | {"CUDA_VISIBLE_DEVICES": "", "CHAT_KEY": KEY},
            )
            assert done.returncode == 0, done.stderr
    assert "Cohen's kappa" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} >= {"more", "labelled"}


@pytest.mark.parametrize("name", ["synthesize", "label"])
def test_every_option_is_explained(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    assert options > {"--out", "--endpoint"}
    named = set(re.findall(r"--[a-z][a-z0-9-]+", DOCUMENT))
    assert options - EXPLAINED_BY_HELP <= named


def test_no_option_is_made_up() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    known = {o for n in ("synthesize", "label", "convert") for p in commands[n].params for o in p.opts}
    assert set(re.findall(r"--[a-z][a-z0-9-]+", DOCUMENT)) <= known


def test_every_reason_is_explained() -> None:
    for reason in (*REASONS, "no_grade", "refused", "not_asked", "doubtful"):
        assert f"`{reason}`" in DOCUMENT
