"""Other people's clients, pointed at the service as their users would."""

from __future__ import annotations

from collections.abc import Iterator

import cohere
import pytest
import voyageai
from cohere.errors import NotFoundError, UnauthorizedError
from langchain_core.documents import Document
from langchain_voyageai import VoyageAIRerank
from llama_index.core.schema import NodeWithScore, TextNode
from llama_index.postprocessor.tei_rerank import TextEmbeddingInference
from rerankers.models.api_rankers import APIRanker

from crosstune.serve import Reranker
from served import Served, serving, tiny_export

KEY = "a-key-of-the-tests-0123456789"
QUERY = "open the file"
DOCUMENTS = ["close it", "sort the list", "open a file", "read a value"]


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(f"# of the tests\n\ntester {KEY}\n")
    with serving(tiny_export(), "--keys", keys) as running:
        yield running


@pytest.fixture(scope="module")
def order() -> list[int]:
    return [hit.index for hit in Reranker(tiny_export()).rank(QUERY, DOCUMENTS)]


def test_cohere(served: Served, order: list[int]) -> None:
    client = cohere.ClientV2(api_key=KEY, base_url=f"{served.url}/cohere")
    answer = client.rerank(model="tiny", query=QUERY, documents=DOCUMENTS, top_n=3)
    assert [result.index for result in answer.results] == order[:3]
    assert all(0 <= result.relevance_score <= 1 for result in answer.results)
    assert answer.meta is not None and answer.meta.billed_units is not None
    assert answer.meta.billed_units.search_units == 1
    with pytest.raises(NotFoundError):
        client.rerank(model="none", query=QUERY, documents=DOCUMENTS)
    stranger = cohere.ClientV2(api_key="x" * 20, base_url=f"{served.url}/cohere")
    with pytest.raises(UnauthorizedError):
        stranger.rerank(model="tiny", query=QUERY, documents=DOCUMENTS)


def test_voyage(served: Served, order: list[int]) -> None:
    client = voyageai.Client(api_key=KEY, base_url=f"{served.url}/voyage/v1")
    answer = client.rerank(QUERY, DOCUMENTS, model="tiny", top_k=2)
    assert [result.index for result in answer.results] == order[:2]
    assert [result.document for result in answer.results] == [DOCUMENTS[index] for index in order[:2]]
    assert answer.total_tokens > 0
    with pytest.raises(voyageai.error.InvalidRequestError, match="no such model"):
        client.rerank(QUERY, DOCUMENTS, model="none")
    stranger = voyageai.Client(api_key="x" * 20, base_url=f"{served.url}/voyage/v1")
    with pytest.raises(voyageai.error.AuthenticationError, match="no valid API key"):
        stranger.rerank(QUERY, DOCUMENTS, model="tiny")


def test_langchain(served: Served, order: list[int]) -> None:
    compressor = VoyageAIRerank(model="tiny", api_key=KEY, base_url=f"{served.url}/voyage/v1", top_k=3)
    documents = [Document(text, metadata={"place": place}) for place, text in enumerate(DOCUMENTS)]
    found = compressor.compress_documents(documents, QUERY)
    assert [document.metadata["place"] for document in found] == order[:3]


def test_tei(served: Served, order: list[int]) -> None:
    client = TextEmbeddingInference(base_url=f"{served.url}/tei", top_n=3, auth_token=f"Bearer {KEY}")
    nodes = [NodeWithScore(node=TextNode(text=text)) for text in DOCUMENTS]
    found = client.postprocess_nodes(nodes, query_str=QUERY)
    assert [node.text for node in found] == [DOCUMENTS[index] for index in order[:3]]
    scores = [score.score for score in Reranker(tiny_export()).score([(QUERY, node.text) for node in found])]
    assert [node.score for node in found] == pytest.approx(scores, abs=1e-5)
    stranger = TextEmbeddingInference(base_url=f"{served.url}/tei", auth_token="Bearer " + "x" * 20)
    with pytest.raises(AssertionError):  # the client counts the answers, and an error is none
        stranger.postprocess_nodes(nodes, query_str=QUERY)


def test_rerankers_for_tei(served: Served, order: list[int]) -> None:
    provider = "text-embeddings-inference"
    client = APIRanker("tiny", KEY, provider, url=f"{served.url}/tei/rerank")
    found = client.rank(QUERY, DOCUMENTS)
    assert [result.document.doc_id for result in found.results] == order
    scores = Reranker(tiny_export()).score([(QUERY, text) for text in DOCUMENTS])
    assert [result.score for result in found.results] == pytest.approx(
        [scores[index].score for index in order], abs=1e-5
    )
