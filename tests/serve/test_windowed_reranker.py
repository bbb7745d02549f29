"""Long documents by the helper: the best window's logit, whatever way is taken to it."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.serve.bulk import ScoreRequest, score_file
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.windows import Windows
from crosstune.train import load_cross_encoder
from crosstune.train.scoring import score_pairs
from models import WORDS
from sealed import manifest, rewrite
from served import tiny_export, windowed_export

WINDOWS = Windows(overlap=8, most=4)
RULE = LengthRule(48, 16, windows=WINDOWS)
QUERY = "open the file"
RNG = random.Random(3)
LONG = [" ".join(RNG.choices(WORDS, k=length)) for length in (60, 90, 110, 150, 400)]
SHORT = [" ".join(RNG.choices(WORDS, k=length)) for length in (1, 9, 30)]


@pytest.fixture(scope="module")
def export() -> Path:
    return windowed_export(WINDOWS)


@pytest.fixture(scope="module")
def reranker(export: Path) -> Reranker:
    return Reranker(export)


def _windows_by_hand(text: str) -> list[list[str]]:
    """Every word of `LONG` is a wordpiece; 5 of `QUERY` and 3 special tokens leave 40 of the 48."""
    words, room, found = text.split(), 40, []
    for start in range(0, len(words), room - WINDOWS.overlap):  # type: ignore[operator]
        found.append(words[min(start, max(0, len(words) - room)) :][:room])
        if start + room >= len(words):
            break
    return found[: WINDOWS.most]


def _torch_logit(export: Path, query: str, text: str) -> float:
    model = AutoModelForSequenceClassification.from_pretrained(export).eval()
    with torch.inference_mode():
        inputs = AutoTokenizer.from_pretrained(export)(query, text, return_tensors="pt")
        return float(model(**inputs).logits[0, 0])


def test_the_logit_is_the_highest_of_the_windows_scored_alone(export: Path, reranker: Reranker) -> None:
    assert len(AutoTokenizer.from_pretrained(export)(QUERY, add_special_tokens=False)["input_ids"]) == 5
    later = 0
    for text, score in zip(LONG, reranker.score([(QUERY, text) for text in LONG]), strict=True):
        windows = _windows_by_hand(text)
        alone = [_torch_logit(export, QUERY, " ".join(words)) for words in windows]
        assert score.logit == pytest.approx(max(alone), abs=1e-4)
        best = alone.index(max(alone))
        assert score.window is not None
        assert text[slice(*score.window)] == " ".join(windows[best])
        assert score.cut == (len(text.split()) > 40 + 3 * 32)
        later += best > 0
    assert later, "in some of them it is not the first window"


def test_short_documents_are_scored_as_without_windows(reranker: Reranker) -> None:
    plain = Reranker(tiny_export()).score([(QUERY, text) for text in SHORT])
    assert reranker.score([(QUERY, text) for text in SHORT]) == plain
    assert all(score.window is None for score in plain)


def test_torch_and_the_helper_agree(export: Path, reranker: Reranker) -> None:
    pairs = [(QUERY, text) for text in (*LONG, *SHORT)]
    model, encoder = load_cross_encoder(export, RULE, 0), PairEncoder.from_folder(export, RULE)
    expected = score_pairs(model, encoder, pairs)
    assert [score.logit for score in reranker.score(pairs)] == pytest.approx(expected, abs=1e-4)
    alone = [reranker.score([pair])[0] for pair in pairs]
    assert [score.window for score in alone] == [score.window for score in reranker.score(pairs)]


def test_ranking_with_and_without_a_budget(reranker: Reranker) -> None:
    documents = [{"text": text} for text in (*SHORT, *LONG)]
    ranked = reranker.rank(QUERY, documents)
    scores = reranker.score([(QUERY, document["text"]) for document in documents])
    assert [hit.logit for hit in ranked] == sorted((score.logit for score in scores), reverse=True)
    assert [hit.window for hit in ranked] == [scores[hit.index].window for hit in ranked]
    within = reranker.rank(QUERY, documents, budget_ms=600_000)
    assert within.scored == len(documents)
    assert [(hit.index, hit.window) for hit in within] == [(hit.index, hit.window) for hit in ranked]


def test_explain_takes_the_words_of_the_best_window(reranker: Reranker) -> None:
    found = None
    for text in LONG:
        (score,) = reranker.score([(QUERY, text)])
        assert score.window is not None
        if score.window[0] > 0:
            found = text, score
    assert found is not None
    text, score = found
    explanation = reranker.explain(QUERY, text, 5)
    assert explanation.logit == pytest.approx(score.logit, abs=1e-5)
    assert explanation.untried == len(text.split()) - 5
    for change in explanation.words:
        assert score.window[0] <= change.start < change.end <= score.window[1]
        without = f"{text[: change.start]} {text[change.end :]}"
        (other,) = reranker.score([(QUERY, without)])
        assert change.change == pytest.approx(other.logit - score.logit, abs=1e-5)


def test_a_huge_document_costs_no_more_than_its_windows(reranker: Reranker) -> None:
    head = " ".join(RNG.choices(WORDS, k=300))
    (whole, cut) = reranker.score([(QUERY, head + " file" * 2_000_000), (QUERY, head)])
    assert (whole.logit, whole.window) == (cut.logit, cut.window)
    assert whole.cut and cut.cut


def test_a_file_of_pairs_has_their_windows(tmp_path: Path, export: Path, reranker: Reranker) -> None:
    texts = [*LONG, *SHORT]
    lines = [json.dumps({"query": QUERY, "document": text}) for text in texts]
    (tmp_path / "pairs.jsonl").write_text("\n".join(lines))
    done = score_file(ScoreRequest(export, tmp_path / "pairs.jsonl", tmp_path / "out.jsonl"))
    assert (done.pairs, done.windowed, done.cut) == (8, 5, 2)
    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    scores = reranker.score([(QUERY, text) for text in texts])
    assert [row["logit"] for row in rows] == pytest.approx([score.logit for score in scores], abs=1e-5)
    assert [row["window"] and tuple(row["window"]) for row in rows] == [score.window for score in scores]


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        ({"overlap": 29, "most": 4, "aggregate": "max"}, "windows.overlap is 29"),
        ({"overlap": 8, "most": 0, "aggregate": "max"}, "windows.most is 0"),
        ({"overlap": 8, "most": 4, "aggregate": "mean"}, "aggregate 'mean'"),
        ({"overlap": 8, "most": 4, "stride": 3}, "damaged .*stride"),
        ({"overlap": "8", "most": 4}, "damaged"),
        ([8, 4], "damaged"),
        (None, "damaged .*schema is 2"),
    ],
)
def test_damaged_windows_are_refused(tmp_path: Path, export: Path, windows: object, problem: str) -> None:
    shutil.copytree(export, tmp_path / "copy")
    rewrite(tmp_path / "copy", length_rule=manifest(tmp_path / "copy")["length_rule"] | {"windows": windows})
    with pytest.raises(InputError, match=problem):
        Reranker(tmp_path / "copy")
