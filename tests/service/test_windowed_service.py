"""Long documents over HTTP: the helper's logits, the ids of all windows counted, and the request's limits."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from crosstune.serve import Reranker
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.windows import Windows
from models import WORDS
from served import Served, serving, windowed_export

WINDOWS = Windows(overlap=8, most=4)
QUERY = "open the file"
RNG = random.Random(3)
DOCUMENTS = [" ".join(RNG.choices(WORDS, k=length)) for length in (60, 130, 5, 400)]


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(windowed_export(WINDOWS)) as running:
        yield running


def test_the_services_logits_are_the_helpers(served: Served) -> None:
    answer = served.post("/tei/rerank", {"query": QUERY, "texts": DOCUMENTS, "raw_scores": True}).json
    expected = Reranker(windowed_export(WINDOWS)).score([(QUERY, text) for text in DOCUMENTS])
    found = {row["index"]: row["score"] for row in answer}
    assert found == pytest.approx({n: score.logit for n, score in enumerate(expected)}, abs=1e-5)


def test_tokens_are_those_of_all_windows(served: Served) -> None:
    before = {name: served.metric(f"crosstune_documents_{name}_total") for name in ("windowed", "cut")}
    answer = served.post("/jina/v1/rerank", {"query": QUERY, "documents": DOCUMENTS, "model": "tiny"}).json
    encoder = PairEncoder.from_folder(windowed_export(WINDOWS), LengthRule(48, 16, windows=WINDOWS))
    pairs = encoder.encode([(QUERY, text) for text in DOCUMENTS])
    assert answer["usage"]["total_tokens"] == sum(sum(pair.lengths) for pair in pairs) > 4 * 48
    grown = {name: served.metric(f"crosstune_documents_{name}_total") - old for name, old in before.items()}
    assert grown == {"windowed": 3, "cut": 1}


def test_what_the_windows_hold_is_not_too_long(served: Served) -> None:
    body = {"query": QUERY, "documents": DOCUMENTS[:3], "model": "tiny", "truncation": False}
    assert served.post("/voyage/v1/rerank", body).status == 200
    refused = served.post("/voyage/v1/rerank", {**body, "documents": DOCUMENTS})
    assert refused.status == 400
    assert "document 3 with its query is longer than 4 windows of the model's 48 tokens" in str(refused.json)


def test_a_request_may_ask_for_less(served: Served) -> None:
    """A document of 50 tokens is two windows, where the model alone would have read 130 in four."""
    body = {"query": QUERY, "documents": DOCUMENTS[1:2], "model": "tiny"}
    whole = served.post("/cohere/v2/rerank", body).json
    less = served.post("/cohere/v2/rerank", {**body, "max_tokens_per_doc": 50}).json
    alone = served.post(
        "/cohere/v2/rerank", {**body, "documents": [" ".join(DOCUMENTS[1].split()[:50])]}
    ).json
    assert less["results"] == alone["results"]
    assert less["meta"]["tokens"] == alone["meta"]["tokens"] != whole["meta"]["tokens"]
    assert "1 documents were shortened" in less["meta"]["warnings"][0]
    pair = {"query": QUERY, "documents": DOCUMENTS[1:2], "truncate_prompt_tokens": 48}
    answer = served.post("/vllm/v1/rerank", pair).json
    assert answer["usage"]["total_tokens"] == 48, "one window, as elsewhere"


def test_info_tells_the_rule(served: Served) -> None:
    (model,) = served.get("/info").json["models"]
    assert model["windows"] == {"overlap": 8, "most": 4, "aggregate": "max"}
    assert model["max_tokens"] == 48
