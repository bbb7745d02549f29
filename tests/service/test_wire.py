"""Each wire format against the helper's own ranking: shapes, fields and errors of the originals."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import pytest

from crosstune.serve import RankedDocument, Reranker
from served import Served, serving, tiny_export

QUERY = "open the file"
DOCUMENTS = ["close it", "sort the list", "open a file", "read a value", "write the cache to a path"]
STYLES = ("cohere", "jina", "voyage", "tei", "infinity", "vllm")
PATHS = {
    "cohere": "/cohere/v2/rerank",
    "jina": "/jina/v1/rerank",
    "voyage": "/voyage/v1/rerank",
    "tei": "/tei/rerank",
    "infinity": "/infinity/rerank",
    "vllm": "/vllm/v1/rerank",
}


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(tiny_export(), f"other={tiny_export(1)}", "--max-documents", 20) as running:
        yield running


@pytest.fixture(scope="module")
def ranked() -> list[RankedDocument]:
    hits = Reranker(tiny_export()).rank(QUERY, DOCUMENTS)
    assert [hit.index for hit in hits] != list(range(len(DOCUMENTS)))
    return hits


def _request(style: str, **fields: Any) -> dict[str, Any]:
    documents = {"texts": DOCUMENTS} if style == "tei" else {"documents": DOCUMENTS}
    model = {} if style == "tei" else {"model": "tiny"}
    return {"query": QUERY, **documents, **model, **fields}


def _close(found: list[float], expected: list[float]) -> None:
    assert found == pytest.approx(expected, abs=1e-5)


def test_cohere(served: Served, ranked: list[RankedDocument]) -> None:
    answer = served.post("/cohere/v2/rerank", _request("cohere", top_n=3), X_Request_Id="mine-1").json
    assert set(answer) == {"id", "results", "meta"}
    assert answer["id"] == "mine-1"
    assert [set(row) for row in answer["results"]] == [{"index", "relevance_score"}] * 3
    assert [row["index"] for row in answer["results"]] == [hit.index for hit in ranked[:3]]
    _close([row["relevance_score"] for row in answer["results"]], [hit.score for hit in ranked[:3]])
    assert answer["meta"]["api_version"]["version"] == "2"
    assert answer["meta"]["billed_units"] == {"search_units": 1}
    assert answer["meta"]["warnings"] is None
    passed_over = served.post("/cohere/v2/rerank", _request("cohere", a=1, b={})).json["meta"]["warnings"]
    assert passed_over == ["2 unknown fields were passed over"]
    spans = served.post("/cohere/v2/rerank", _request("cohere", relevant_spans=True))
    assert (spans.status, spans.json["message"][:15]) == (400, "relevant_spans:")


def test_cohere_cuts_documents_to_what_was_asked_for(served: Served) -> None:
    documents = ["list open sort read", "file path value", "token write"]  # a token a word
    request = _request("cohere", documents=documents, max_tokens_per_doc=2)
    answer = served.post("/cohere/v2/rerank", request).json
    expected = Reranker(tiny_export()).rank(QUERY, ["list open", "file path", "token write"])
    assert [row["index"] for row in answer["results"]] == [hit.index for hit in expected]
    _close([row["relevance_score"] for row in answer["results"]], [hit.score for hit in expected])
    assert "2 documents were shortened" in answer["meta"]["warnings"][0]


def test_cohere_takes_null_for_a_field_that_was_left_out(served: Served) -> None:
    """LangChain's `CohereRerank` sends it."""
    nulls = dict.fromkeys(("top_n", "max_tokens_per_doc", "priority"))
    plain, answer = (served.post(PATHS["cohere"], _request("cohere", **more)) for more in ({}, nulls))
    assert answer.status == 200, answer.body
    assert answer.json["results"] == plain.json["results"]


def test_jina(served: Served, ranked: list[RankedDocument]) -> None:
    documents = [text if n % 2 else {"text": text} for n, text in enumerate(DOCUMENTS)]
    answer = served.post("/jina/v1/rerank", _request("jina", documents=documents)).json
    assert set(answer) == {"model", "object", "usage", "results"}
    assert (answer["model"], answer["object"]) == ("tiny", "list")
    assert set(answer["usage"]) == {"total_tokens", "prompt_tokens"}
    assert [row["index"] for row in answer["results"]] == [hit.index for hit in ranked]
    assert [row["document"] for row in answer["results"]] == [documents[hit.index] for hit in ranked]
    bare = served.post("/jina/v1/rerank", _request("jina", return_documents=False, top_n=2)).json
    assert [set(row) for row in bare["results"]] == [{"index", "relevance_score"}] * 2


def test_voyage(served: Served, ranked: list[RankedDocument]) -> None:
    answer = served.post("/voyage/v1/rerank", _request("voyage", top_k=2)).json
    assert set(answer) == {"object", "data", "model", "usage"}
    assert set(answer["usage"]) == {"total_tokens"}
    assert [set(row) for row in answer["data"]] == [{"index", "relevance_score"}] * 2
    assert [row["index"] for row in answer["data"]] == [hit.index for hit in ranked[:2]]
    full = served.post("/voyage/v1/rerank", _request("voyage", return_documents=True)).json
    assert [row["document"] for row in full["data"]] == [hit.document for hit in ranked]


def test_tei(served: Served, ranked: list[RankedDocument]) -> None:
    answer = served.post("/tei/rerank", _request("tei")).json
    assert [set(row) for row in answer] == [{"index", "score"}] * len(DOCUMENTS)
    assert [row["index"] for row in answer] == [hit.index for hit in ranked]
    _close([row["score"] for row in answer], [hit.score for hit in ranked])
    raw = served.post("/tei/rerank", _request("tei", raw_scores=True, return_text=True)).json
    _close([row["score"] for row in raw], [hit.logit for hit in ranked])
    assert [row["text"] for row in raw] == [hit.document for hit in ranked]
    info = served.get("/tei/info").json
    assert (info["model_id"], info["max_input_length"], info["max_client_batch_size"]) == ("tiny", 48, 20)
    assert set(info["model_type"]) == {"reranker"}


def test_infinity(served: Served, ranked: list[RankedDocument]) -> None:
    answer = served.post("/infinity/rerank", _request("infinity", return_documents=True, top_n=4)).json
    assert set(answer) == {"object", "results", "model", "usage", "id", "created"}
    assert answer["object"] == "rerank"
    assert [row["index"] for row in answer["results"]] == [hit.index for hit in ranked[:4]]
    assert [row["document"] for row in answer["results"]] == [hit.document for hit in ranked[:4]]
    raw = served.post("/infinity/rerank", _request("infinity", raw_scores=True)).json
    _close([row["relevance_score"] for row in raw["results"]], [hit.logit for hit in ranked])


@pytest.mark.parametrize("path", ["/rerank", "/v1/rerank", "/v2/rerank"])
def test_vllm_rerank(served: Served, ranked: list[RankedDocument], path: str) -> None:
    answer = served.post(f"/vllm{path}", _request("vllm", top_n=0)).json
    assert set(answer) == {"id", "model", "usage", "results"}
    assert [row["index"] for row in answer["results"]] == [hit.index for hit in ranked]
    assert [row["document"] for row in answer["results"]] == [{"text": hit.document} for hit in ranked]
    assert len(served.post(f"/vllm{path}", _request("vllm", top_n=2)).json["results"]) == 2


@pytest.mark.parametrize("fields", [("queries", "documents"), ("text_1", "text_2")])
def test_vllm_score_keeps_the_order_given(served: Served, fields: tuple[str, str]) -> None:
    reranker = Reranker(tiny_export())
    for queries in (QUERY, [QUERY], [f"{QUERY} {n}" for n in range(len(DOCUMENTS))]):
        answer = served.post("/vllm/score", {fields[0]: queries, fields[1]: DOCUMENTS}).json
        assert set(answer) == {"id", "object", "created", "model", "data", "usage"}
        assert [row["index"] for row in answer["data"]] == list(range(len(DOCUMENTS)))
        firsts = queries if isinstance(queries, list) and len(queries) > 1 else [QUERY] * len(DOCUMENTS)
        expected = [score.score for score in reranker.score(list(zip(firsts, DOCUMENTS, strict=True)))]
        _close([row["score"] for row in answer["data"]], expected)


def test_vllm_score_refuses_lists_that_do_not_match(served: Served) -> None:
    for body in ({"queries": ["a", "b"], "documents": ["c"] * 3}, {"text_1": "a"}, {}):
        refused = served.post("/vllm/score", body)
        assert refused.status == 400
        assert refused.json["error"]["type"] == "BadRequestError"


@pytest.mark.parametrize("name", ["use_activation", "activation", "softmax"])
def test_vllm_gives_logits_where_they_are_asked_for(
    served: Served, ranked: list[RankedDocument], name: str
) -> None:
    rows = served.post("/vllm/rerank", _request("vllm", **{name: False})).json["results"]
    _close([row["relevance_score"] for row in rows], [hit.logit for hit in ranked])
    pair = {"text_1": QUERY, "text_2": DOCUMENTS[ranked[0].index], name: False}
    _close([served.post("/vllm/score", pair).json["data"][0]["score"]], [ranked[0].logit])


@pytest.mark.parametrize(
    "body",
    [
        {"data_1": QUERY, "data_2": DOCUMENTS},
        {"queries": QUERY, "items": DOCUMENTS},
        {"queries": [QUERY], "documents": DOCUMENTS},
    ],
)
def test_vllms_other_names_of_a_score(served: Served, body: dict[str, Any]) -> None:
    found = served.post("/vllm/score", body)
    assert found.status == 200, found.body
    expected = served.post("/vllm/score", {"text_1": QUERY, "text_2": DOCUMENTS}).json["data"]
    assert found.json["data"] == expected


def test_vllm_takes_one_document_and_any_top_n_for_all(served: Served) -> None:
    rows = served.post("/vllm/rerank", _request("vllm", documents=DOCUMENTS[0])).json["results"]
    assert [row["document"]["text"] for row in rows] == [DOCUMENTS[0]]
    for top in (0, -1):
        rows = served.post("/vllm/rerank", _request("vllm", top_n=top)).json["results"]
        assert len(rows) == len(DOCUMENTS)
    assert served.post("/vllm/rerank", _request("vllm", truncation_side="left")).status == 400


def test_vllm_truncates_the_pair_to_the_tokens_asked_for(served: Served) -> None:
    whole = served.post("/vllm/rerank", _request("vllm")).json["usage"]["total_tokens"]
    cut = served.post("/vllm/rerank", _request("vllm", truncate_prompt_tokens=10)).json["usage"][
        "total_tokens"
    ]
    assert cut <= 10 * len(DOCUMENTS) < whole
    none_left = served.post("/vllm/rerank", _request("vllm", truncate_prompt_tokens=8))
    assert none_left.status == 400
    assert "leaves no room" in none_left.json["error"]["message"]


@pytest.mark.parametrize(
    ("style", "field"), [("jina", "truncation"), ("voyage", "truncation"), ("tei", "truncate")]
)
def test_a_text_that_would_be_cut_is_refused_where_the_request_says_so(
    served: Served, style: str, field: str
) -> None:
    texts = "texts" if style == "tei" else "documents"
    long = {texts: ["short", "word " * 200]}
    assert served.post(PATHS[style], _request(style, **long)).status == 200
    refused = served.post(PATHS[style], _request(style, **long, **{field: False}))
    assert refused.status == {"jina": 422, "voyage": 400, "tei": 422}[style]
    assert "document 1" in refused.body.decode()


def test_what_lies_beyond_the_characters_that_are_read_is_cut(served: Served) -> None:
    """Blanks are no text: the pair itself would be short enough."""
    far = " " * (48 * 64) + "open the file"
    refused = served.post(PATHS["jina"], _request("jina", documents=["short", far], truncation=False))
    assert (refused.status, "document 1" in refused.body.decode()) == (422, True)
    blank = served.post(PATHS["jina"], _request("jina", documents=[" " * 4000], truncation=False))
    assert blank.status == 200


def _message(style: str, body: dict[str, Any]) -> str:
    shapes = {
        "cohere": {"message"},
        "jina": {"detail", "errors"},
        "voyage": {"detail"},
        "tei": {"error", "error_type"},
        "infinity": {"error"},
        "vllm": {"error"},
    }
    assert set(body) == shapes[style]
    if style in ("infinity", "vllm"):
        assert set(body["error"]) == {"message", "type", "param", "code"}
        return str(body["error"]["message"])
    return str(body[{"cohere": "message", "tei": "error"}.get(style, "detail")])


@pytest.mark.parametrize("style", STYLES)
def test_errors_have_the_shape_of_the_format(served: Served, style: str) -> None:
    texts = "texts" if style == "tei" else "documents"
    invalid = {"jina": 422, "tei": 422, "infinity": 422}.get(style, 400)
    wrong = served.post(PATHS[style], _request(style, query=["no", "string"]))
    assert wrong.status == invalid
    assert "query" in _message(style, wrong.json)
    empty = served.post(PATHS[style], _request(style, **{texts: []}))
    assert empty.status == {"jina": 422, "infinity": 422}.get(style, 400)
    assert "no documents" in _message(style, empty.json)
    many = served.post(PATHS[style], _request(style, **{texts: ["x"] * 21}))
    assert many.status == {"jina": 422, "infinity": 422, "tei": 413}.get(style, 400)
    assert "at most 20" in _message(style, many.json)
    if style != "tei":
        unknown = served.post(PATHS[style], _request(style, model="../../etc/passwd"))
        assert unknown.status == (400 if style == "voyage" else 404)
        assert "tiny, other" in _message(style, unknown.json)


def test_a_model_is_chosen_by_its_name(served: Served) -> None:
    def order(model: str) -> list[float]:
        rows = served.post("/v1/rerank", _request("jina", model=model)).json["results"]
        return [row["relevance_score"] for row in rows]

    expected = [hit.score for hit in Reranker(tiny_export(1)).rank(QUERY, DOCUMENTS)]
    _close(order("other"), expected)
    assert not math.isclose(order("tiny")[0], expected[0], abs_tol=1e-4)


BARE = {"/v2/rerank": "cohere", "/v1/rerank": "jina", "/rerank": "tei"}


def _style_of(answer: Any) -> str:
    keys = {
        frozenset({"id", "results", "meta"}): "cohere",
        frozenset({"model", "object", "usage", "results"}): "jina",
        frozenset({"object", "data", "model", "usage"}): "voyage",
        frozenset({"object", "results", "model", "usage", "id", "created"}): "infinity",
        frozenset({"id", "model", "usage", "results"}): "vllm",
    }
    return "tei" if isinstance(answer, list) else keys[frozenset(answer)]


@pytest.mark.parametrize(("path", "style"), BARE.items())
def test_a_path_without_a_prefix(served: Served, path: str, style: str) -> None:
    assert _style_of(served.post(path, _request(style)).json) == style


def test_the_style_option_takes_the_paths_that_it_has() -> None:
    with serving(tiny_export(), "--style", "vllm") as served:
        for path in BARE:
            assert _style_of(served.post(path, _request("vllm")).json) == "vllm"
        assert _style_of(served.post("/tei/rerank", _request("tei")).json) == "tei"
    with serving(tiny_export(), "--style", "voyage") as served:
        assert _style_of(served.post("/v1/rerank", _request("voyage")).json) == "voyage"
        assert _style_of(served.post("/rerank", _request("tei")).json) == "tei"
