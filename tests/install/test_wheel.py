"""The wheel, in environments of its own and from a folder of its own: nothing of the checkout helps."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from crosstune.export import ExportSettings, export_model
from crosstune.serve.pairs import LengthRule
from environments import installed
from models import tiny_cross_encoder

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = ("run", "retrieve", "mine", "train", "evaluate", "export")
pytestmark = pytest.mark.slow

HELPER = """
import sys
from crosstune.serve import Reranker
hits = Reranker(sys.argv[1]).rank("open file", ["close socket", "open file", "parse"], top_k=2)
assert len(hits) == 2 and hits[0].logit >= hits[1].logit
assert "torch" not in sys.modules and "transformers" not in sys.modules
"""


def _call(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False)


def _done(*words: object, cwd: Path) -> str:
    done = _call(*words, cwd=cwd)
    assert done.returncode == 0, done.stderr + done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    _done(sys.executable, "-m", "build", "--wheel", "--outdir", out, ROOT, cwd=out)
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty environment with the wheel and what it asks for: the `bin` folder."""
    return installed(tmp_path_factory.mktemp("bare") / "venv", str(wheel))


def test_the_helper_and_rank_need_nothing_but_the_wheel(bare: Path, tmp_path: Path) -> None:
    export = tmp_path / "export"
    context = {"base_model": "tiny", "recipe": {"name": "t"}, "data_fingerprint": "0", "metrics": {}}
    pairs = [("open file", "close the file"), ("parse", "read a number")]
    export_model(
        tiny_cross_encoder(tmp_path / "model"), LengthRule(48, 16), pairs, ExportSettings(), context, export
    )
    _done(bare / "python", "-c", HELPER, export, cwd=tmp_path)
    documents = tmp_path / "documents.jsonl"
    documents.write_text('{"text": "open file"}\n{"text": "close"}\n')
    printed = _done(
        bare / "crosstune", "rank", export, "open", "--documents", documents, "--json", cwd=tmp_path
    )
    assert sorted(row["index"] for row in json.loads(printed)) == [0, 1]
    assert _call(bare / "python", "-c", "import torch", cwd=tmp_path).returncode != 0


@pytest.mark.parametrize("command", COMMANDS)
def test_without_the_extra_a_command_names_what_to_install(bare: Path, tmp_path: Path, command: str) -> None:
    done = _call(bare / "crosstune", command, "quickstart", cwd=tmp_path)
    assert done.returncode == 2
    assert "crosstune[train]" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_its_extra_the_service_names_what_to_install(bare: Path, tmp_path: Path) -> None:
    done = _call(bare / "crosstune", "serve", "anything", cwd=tmp_path)
    assert done.returncode == 2
    assert "crosstune[serve]" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_wheel_holds_the_pages(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    pages = {
        path.relative_to(root).as_posix()
        for root in (ROOT / "trainer", ROOT / "data_prep")
        for path in root.rglob("*")
        if path.suffix in (".html", ".js", ".css")
    }
    assert {f"crosstune/serve/http/page/demo.{end}" for end in ("html", "js", "css")} <= pages
    assert {f"crosstune/evaluate/report/page.{end}" for end in ("html", "css")} <= pages
    assert {
        f"crosstune/evaluate/report/{name}.js" for name in ("lists", "queries", "mined", "start")
    } <= pages
    assert pages <= set(names)


@pytest.mark.parametrize("recipe", ["quickstart", "domain"])
def test_a_shipped_recipe_is_found_from_another_folder(wheel: Path, tmp_path: Path, recipe: str) -> None:
    """The libraries of this environment, the wheel's own files of crosstune."""
    _done(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    _done(python, "-m", "pip", "install", "--quiet", "--no-deps", wheel, cwd=tmp_path)
    site = Path(
        _done(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=tmp_path).strip()
    )
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    where = _done(python, "-c", "import crosstune.cli as c; print(c.__file__)", cwd=tmp_path)
    assert where.startswith(str(site))
    (tmp_path / "data").mkdir()
    done = _call(
        tmp_path / "venv/bin/crosstune", "run", recipe, "collection=stdlib", "--dry-run", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert f"name: {recipe}" in done.stdout
