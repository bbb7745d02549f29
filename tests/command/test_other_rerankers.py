"""`crosstune evaluate --reranker`: three libraries on one export rank as our helper does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import Crosstune, write_collection

from crosstune.cli import main
from crosstune.evaluate.measures import in_order
from crosstune.records import ranking
from crosstune.serve import Reranker
from crosstune.trec import read_qrels, read_run
from served import tiny_export

FLASHRANK = "ms-marco-TinyBERT-L-2-v2"
FLASHRANK_FILE = "flashrank-TinyBERT-L-2-v2.onnx"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    write_collection(tmp_path / "collection")
    lines = []
    for query_id in read_qrels(tmp_path / "collection/qrels/test.tsv"):
        docs = [f"d{(int(query_id[1:]) + 7 * place) % 60}" for place in range(12)]
        lines += [f"{query_id} Q0 {doc} {rank} {100 - rank} t" for rank, doc in enumerate(docs, 1)]
    (tmp_path / "first.trec").write_text("\n".join(lines) + "\n")
    return tmp_path


def _flashrank_folder(files: Path) -> Path:
    """The tiny model as flashrank lays out the one whose name it bears."""
    folder = files / FLASHRANK
    shutil.copytree(tiny_export(), folder)
    (folder / "onnx/model.onnx").rename(folder / FLASHRANK_FILE)
    tokens = json.loads((folder / "tokenizer_config.json").read_text())
    special = {name: value for name, value in tokens.items() if name.endswith("_token")}
    (folder / "special_tokens_map.json").write_text(json.dumps(special))
    return folder


def test_three_libraries_and_the_helper_agree(files: Path, crosstune: Crosstune) -> None:
    export = tiny_export()
    done = crosstune(
        "evaluate", "first.trec", "--queries", "collection/queries.jsonl", "--corpus",
        "collection/corpus.jsonl", "--qrels", "collection/qrels/test.tsv", "--depth", 10,
        "--reranker", f"st=sentence-transformers:{export}", "--reranker", f"rerankers:{export}",
        "--reranker", f"flashrank:{_flashrank_folder(files)}", "--write-run", "runs", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    metrics = json.loads(done.out)
    names = ["st", "rerankers tiny", f"flashrank {FLASHRANK}"]
    assert list(metrics["splits"]["run"]) == ["first_stage", *names, "ceiling"]
    queries, corpus = (
        {
            row["_id"]: row["text"]
            for row in map(json.loads, (files / "collection" / n).read_text().splitlines())
        }
        for n in ("queries.jsonl", "corpus.jsonl")
    )
    reranker, first = Reranker(export), read_run(files / "first.trec")
    runs = {path.stem: read_run(path) for path in (files / "runs").iterdir()}
    assert set(runs) == {"st", "rerankers_tiny", f"flashrank_{FLASHRANK}"}
    for query_id, scores in first.items():
        candidates = in_order(scores)
        hits = reranker.rank(queries[query_id], [corpus[doc] for doc in candidates[:10]])
        expected = [candidates[hit.index] for hit in hits] + candidates[10:]
        for name, run in runs.items():
            assert ranking(run[query_id]) == expected, name
    assert [figures["requests"] for figures in metrics["rerankers"].values()] == [len(first)] * 3


def test_what_cannot_be_loaded(files: Path, crosstune: Crosstune) -> None:
    words = ("evaluate", "first.trec", "--collection", "beir:collection", "--reranker")
    unknown = crosstune(*words, "fastrank:x")
    assert unknown.code == 2
    assert "--reranker fastrank:x: sentence-transformers:NAME, flashrank:NAME, rerankers:NAME" in unknown.err
    model = crosstune(*words, "flashrank:no-such-model")
    assert model.code == 2
    assert "--reranker flashrank:no-such-model: flashrank cannot load it" in model.err


def test_a_missing_package_is_named_with_its_command(files: Path) -> None:
    code = (
        "import sys; sys.modules['flashrank'] = None; from crosstune.cli import main; "
        "main(['evaluate', 'first.trec', '--collection', 'beir:collection', '--reranker', 'flashrank:x'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=files, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 2
    assert (
        "--reranker flashrank:x: the module flashrank is not installed: pip install flashrank" in done.stderr
    )


TEI = ["--endpoint", "http://h", "--style", "tei"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--style", "tei"], "--style: belongs to a benchmark; name whom to ask"),
        (["--endpoint", "http://h"], "--endpoint URL: its wire format is needed; --style is one of cohere"),
        (["--endpoint", "http://h", "--style", "x"], "--style x: no such wire format; --style is one"),
        (["--endpoint", "http://h", "--style", "jina"], "of the style jina names a model: --model NAME"),
        ([*TEI, "--api-key-env", "NO_SUCH_KEY"],
         "--api-key-env NO_SUCH_KEY: this environment variable is not set or empty"),
        ([*TEI, "--endpoint", "http://g", "--model", "a", "--model", "b", "--model", "c"],
         "--model is given 3 times for 2 endpoints"),
        ([*TEI, "--endpoint", "http://h/rerank"], "would name two rows of"),
        ([*TEI, "--by", "kind"], "--by: --endpoint and --reranker take"),
        (TEI, "give --collection beir:PATH, or --queries, --corpus"),
        ([*TEI, "--depth", "5", "--depth", "9"], "--depth is given 2 times"),
        ([*TEI, "--collection", "beir:none"], "none/qrels/test.tsv: no such file"),
    ],
)  # fmt: skip
def test_words_that_cannot_be_followed(
    files: Path,
    words: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(files)
    with pytest.raises(SystemExit) as ended:
        main(["evaluate", "first.trec", *words])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_a_document_without_a_text_is_named_before_anybody_is_asked(
    files: Path, crosstune: Crosstune
) -> None:
    with (files / "first.trec").open("a") as run:
        run.write("q29 Q0 d999 13 0.5 t\n")
    done = crosstune("evaluate", "first.trec", "--collection", "beir:collection", "--endpoint",
                     "http://127.0.0.1:9", "--style", "tei")  # fmt: skip
    assert done.code == 2
    assert "first.trec:121: document 'd999' is not in collection/corpus.jsonl" in done.err
