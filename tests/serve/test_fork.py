"""Processes that are forked from one with a loaded model: each answers, at once with the others."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import subprocess
import sys
from pathlib import Path
from queue import Empty

import pytest

from crosstune.export import ExportSettings, export_model
from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule
from export_sample import sample_of_words
from models import tiny_cross_encoder

SAMPLE = sample_of_words(passages=60, queries=2)
QUERY, TEXTS = "open a file", [*SAMPLE.passages.values()]
SECONDS = 60

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")


@pytest.fixture(scope="module")
def export(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fork")
    settings = ExportSettings(formats=["onnx", "onnx-int8", "openvino"], int8_tau=0.5, int8_ndcg=0.5)
    pairs = [(QUERY, text) for text in TEXTS[:10]]
    model = tiny_cross_encoder(root / "model")
    export_model(model, LengthRule(48, 16), pairs, settings, {}, root / "export", SAMPLE)
    return root / "export"


def _logits(reranker: Reranker) -> list[float]:
    return [hit.logit for hit in reranker.rank(QUERY, TEXTS)]


@pytest.mark.parametrize("parallel", ["true", None])
@pytest.mark.parametrize("backend", ["onnx", "onnx-int8", "openvino"])
def test_forked_children_answer_as_their_parent(
    export: Path, backend: str, parallel: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the environment asks for tokenizers' threads, which a fork leaves behind."""
    if parallel is None:
        monkeypatch.delenv("TOKENIZERS_PARALLELISM", raising=False)
    else:
        monkeypatch.setenv("TOKENIZERS_PARALLELISM", parallel)
    reranker = Reranker(export, backend)
    expected = _logits(reranker)
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    children = [context.Process(target=lambda: answers.put(_logits(reranker))) for _ in range(3)]
    for child in children:
        child.start()
    try:
        found = [answers.get(timeout=SECONDS) for _ in children]
    except Empty:
        pytest.fail(f"a child of fork gave no answer within {SECONDS} s")
    finally:
        for child in children:
            child.join(5)
            child.kill()
    assert found == [pytest.approx(expected, abs=1e-5)] * 3
    assert [child.exitcode for child in children] == [0, 0, 0]
    assert _logits(reranker) == pytest.approx(expected, abs=1e-5), "the parent goes on"


PROGRAM = """
import os, sys
from crosstune.errors import InputError
from crosstune.serve import Reranker
export, what, texts = sys.argv[1], sys.argv[2], sys.argv[3:]
reranker = Reranker(export, "openvino")
reranker.rank("open", texts)
if what == "replaced":
    graph = export + "/openvino/openvino_model.xml"
    os.rename(graph, graph + ".old")
    open(graph, "wb").write(open(graph + ".old", "rb").read())
children = []
for _ in range(2):
    child = os.fork()
    if child == 0:
        if what == "again":
            assert len(Reranker(export, "openvino").rank("open", texts)) == len(texts)
        elif what != "unused":
            try:
                assert len(reranker.rank("open", texts)) == len(texts)
            except InputError as error:
                print(error, flush=True)
        sys.exit(0)
    children.append(child)
print([os.waitpid(child, 0)[1] for child in children])
"""


@pytest.mark.parametrize("what", ["used", "unused", "again", "replaced"])
def test_forked_children_end_as_programs_end(export: Path, tmp_path: Path, what: str) -> None:
    """With all that is freed then; and none goes on with another model than it had."""
    folder = shutil.copytree(export, tmp_path / "export")
    words = [sys.executable, "-c", PROGRAM, str(folder), what, *TEXTS]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=2 * SECONDS)
    assert done.returncode == 0, done.stderr
    *said, last = done.stdout.splitlines()
    assert last == "[0, 0]"
    assert len(said) == (2 if what == "replaced" else 0)
    assert all("was replaced after it was loaded" in line for line in said)
