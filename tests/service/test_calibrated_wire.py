"""A calibrated export over HTTP: every format that shows 0 to 1 shows probabilities, in the logits' order."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from calibrated import calibrated
from crosstune.serve import RankedDocument, Reranker
from served import Served, serving, tiny_export

QUERY = "open the file"
DOCUMENTS = ["close it", "sort the list", "open a file", "read a value", "write the cache to a path"]
PATHS = {
    "cohere": "/cohere/v2/rerank",
    "jina": "/jina/v1/rerank",
    "voyage": "/voyage/v1/rerank",
    "tei": "/tei/rerank",
    "infinity": "/infinity/rerank",
    "vllm": "/vllm/v1/rerank",
}
# Flat beyond 0: several documents are equally probable.
STEPS = {"method": "isotonic", "values": [-1.0, 0.0], "heights": [0.125, 0.25]}


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    export = calibrated(
        tmp_path_factory.mktemp("calibrated") / "steps",
        calibration={"logit": STEPS, "fused": None},
        threshold={"wanted": {"recall": 0.9}, "logit": {"probability": 0.2}, "fused": None},
    )
    with serving(export, f"plain={tiny_export()}") as running:
        yield running


@pytest.fixture(scope="module")
def plain() -> list[RankedDocument]:
    return Reranker(tiny_export()).rank(QUERY, DOCUMENTS)


def _expected(hit: RankedDocument) -> float:
    return 0.125 + 0.125 * min(1.0, max(0.0, hit.logit + 1))


def _answer(served: Served, style: str, **fields: Any) -> list[dict[str, Any]]:
    documents = {"texts": DOCUMENTS} if style == "tei" else {"documents": DOCUMENTS, "model": "steps"}
    answer = served.post(PATHS[style], {"query": QUERY, **documents, **fields}).json
    rows = answer if isinstance(answer, list) else answer.get("results", answer.get("data"))
    return list(rows)


@pytest.mark.parametrize("style", PATHS)
def test_every_format_shows_probabilities(served: Served, plain: list[RankedDocument], style: str) -> None:
    rows = _answer(served, style)
    assert [row["index"] for row in rows] == [hit.index for hit in plain]
    shown = [row["score" if style == "tei" else "relevance_score"] for row in rows]
    assert shown == pytest.approx([_expected(hit) for hit in plain], abs=1e-5)


@pytest.mark.parametrize(("style", "field"), [("tei", "score"), ("infinity", "relevance_score")])
def test_raw_scores_stay_logits(served: Served, plain: list[RankedDocument], style: str, field: str) -> None:
    rows = _answer(served, style, raw_scores=True)
    assert [row[field] for row in rows] == pytest.approx([hit.logit for hit in plain], abs=1e-5)


def test_vllms_score_is_a_probability(served: Served, plain: list[RankedDocument]) -> None:
    body = {"model": "steps", "text_1": QUERY, "text_2": DOCUMENTS}
    rows = served.post("/vllm/score", body).json["data"]
    expected = {hit.index: _expected(hit) for hit in plain}
    assert {row["index"]: row["score"] for row in rows} == pytest.approx(expected, abs=1e-5)


def test_info_says_which_scale_each_model_has(served: Served) -> None:
    steps, without = served.get("/info").json["models"]
    assert (steps["relevance_score"], steps["threshold"]) == ("isotonic", 0.2)
    assert (without["relevance_score"], without["threshold"]) == ("sigmoid", None)
    rows = served.post(PATHS["jina"], {"query": QUERY, "documents": DOCUMENTS, "model": "plain"}).json
    best = Reranker(tiny_export()).rank(QUERY, DOCUMENTS)[0]
    assert rows["results"][0]["relevance_score"] == pytest.approx(best.score, abs=1e-5)
