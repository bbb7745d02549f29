"""docs/serving.md: every curl example is run as it stands, and its options and paths exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import help_of
from crosstune.serve.http.wire import STYLES, paths
from served import Served, serving, tiny_export

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(tiny_export()) as running:
        yield running


def _examples() -> list[str]:
    """Commands begin with `curl` and end with the quote that closes their body."""
    blocks = re.findall(r"```sh\n(.*?)```", TEXT, flags=re.DOTALL)
    return [f"curl{part}" for block in blocks for part in block.split("curl")[1:]]


def test_there_is_an_example_for_each_format() -> None:
    named = {re.search(r"8080/(\w+)/", example).group(1) for example in _examples()}  # type: ignore[union-attr]
    assert named == set(STYLES)


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
@pytest.mark.parametrize("example", _examples())
def test_an_example_runs_as_it_stands(served: Served, example: str) -> None:
    command = example.replace("http://127.0.0.1:8080", served.url)
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    answer = json.loads(done.stdout)
    rows = answer if isinstance(answer, list) else answer.get("results", answer.get("data"))
    assert {"index"} <= set(rows[0])


def test_the_options_and_paths_that_it_names_exist() -> None:
    shown = help_of("serve", "parity")
    for option in set(re.findall(r"`?(--[a-z][a-z-]+)", TEXT)) - {"--json", "--minutes", "--save"}:
        assert option in shown, option
    for path in re.findall(r"\| `(/[\w/]+)`", TEXT):
        assert any(served_path.startswith(path) for served_path in paths(None)), path
    for target in re.findall(r"\]\((\.\./[^)]+)\)", TEXT):
        assert (ROOT / "docs" / target).is_file(), target
