"""The adapters inside the frameworks that they are for, against the helper's own ranking."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from calibrated import calibrated
from crosstune.errors import InputError
from crosstune.serve import Reranker
from sealed import rewrite
from served import tiny_export

os.environ["HAYSTACK_TELEMETRY_ENABLED"] = "False"
os.environ["HAYSTACK_DESERIALIZATION_ALLOWLIST"] = "crosstune.integrations.haystack"

QUERY = "open the file"
TEXTS = ["close it", "sort the list", "open a file", "read a value", "parse a token"]
FIRST = [9.0, 7.5, 3.0, 2.0, 1.0]


@pytest.fixture(scope="module")
def order() -> list[int]:
    return [hit.index for hit in Reranker(tiny_export()).rank(QUERY, TEXTS)]


@pytest.fixture(scope="module")
def fusing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that keeps a fusion, in which the first stage weighs most."""
    folder = tmp_path_factory.mktemp("fusing") / "export"
    shutil.copytree(tiny_export(), folder)
    rewrite(folder, fusion={"weight": 1000.0})
    return folder


def test_langchain(order: list[int], fusing: Path) -> None:
    from langchain_core.documents import Document

    from crosstune.integrations.langchain import CrosstuneCompressor

    stale = {"relevance_score": 5.0}
    documents = [
        Document(text, metadata={"place": place, "bm25": score, **stale})
        for place, (text, score) in enumerate(zip(TEXTS, FIRST, strict=True))
    ]
    compressor = CrosstuneCompressor(export=str(tiny_export()), top_k=3)
    found = compressor.compress_documents(documents, QUERY)
    assert [document.metadata["place"] for document in found] == order[:3]
    scores = [document.metadata["relevance_score"] for document in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    assert documents[0].metadata["relevance_score"] == 5.0  # the caller's own stay as they are
    later = asyncio.run(compressor.acompress_documents(documents, QUERY))
    assert [document.metadata["place"] for document in later] == order[:3]
    hurried = CrosstuneCompressor(export=str(tiny_export()), budget_ms=1e-6)
    unscored = hurried.compress_documents(documents, QUERY)
    assert [document.metadata for document in unscored] == [
        {"place": place, "bm25": score} for place, score in enumerate(FIRST)
    ]
    fused = CrosstuneCompressor(export=str(fusing), first_stage_key="bm25").compress_documents(
        documents, QUERY
    )
    assert [document.metadata["place"] for document in fused] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"document 0: metadata\['dense'\] is None"):
        CrosstuneCompressor(export=str(fusing), first_stage_key="dense").compress_documents(documents, QUERY)


def _fused_by_langchain(export: str, scores: list[Any]) -> list[str]:
    from langchain_core.documents import Document

    from crosstune.integrations.langchain import CrosstuneCompressor

    documents = [Document(text, metadata={"bm25": s}) for text, s in zip(TEXTS, scores, strict=True)]
    found = CrosstuneCompressor(export=export, first_stage_key="bm25").compress_documents(documents, QUERY)
    return [document.page_content for document in found]


def _fused_by_llama_index(export: str, scores: list[Any]) -> list[str]:
    from llama_index.core.schema import NodeWithScore, TextNode

    from crosstune.integrations.llama_index import CrosstuneRerank

    nodes = [NodeWithScore(node=TextNode(text=t), score=s) for t, s in zip(TEXTS, scores, strict=True)]
    found = CrosstuneRerank(export=export, fuse=True).postprocess_nodes(nodes, query_str=QUERY)
    return [node.node.get_content() for node in found]


def _fused_by_haystack(export: str, scores: list[Any]) -> list[str]:
    from haystack import Document

    from crosstune.integrations.haystack import CrosstuneRanker

    documents = [Document(content=text, score=s) for text, s in zip(TEXTS, scores, strict=True)]
    return [
        document.content for document in CrosstuneRanker(export, fuse=True).run(QUERY, documents)["documents"]
    ]


def _fused_by_pyterrier(export: str, scores: list[Any]) -> list[str]:
    import pandas as pd

    from crosstune.integrations.pyterrier import CrosstuneTransformer

    rows = {"docno": TEXTS, "text": TEXTS, "score": scores, "rank": range(len(TEXTS))}
    frame = pd.DataFrame({"qid": "1", "query": QUERY, **rows})
    found = CrosstuneTransformer(export, fuse=True).transform(frame)
    return list(found.sort_values("rank")["text"])


@pytest.mark.parametrize(
    "ranked", [_fused_by_langchain, _fused_by_llama_index, _fused_by_haystack, _fused_by_pyterrier]
)
def test_scores_of_numpy_are_fused_and_an_export_without_a_fusion_is_said(
    order: list[int], fusing: Path, ranked: Callable[[str, list[Any]], list[str]]
) -> None:
    scores = [np.float32(score) for score in FIRST]
    assert ranked(str(fusing), scores) == TEXTS
    with pytest.warns(UserWarning, match="keeps no fusion, since it did not help on dev"):
        assert ranked(str(tiny_export()), scores) == [TEXTS[place] for place in order]


def test_a_calibrated_export_gives_probabilities(order: list[int], tmp_path: Path) -> None:
    from langchain_core.documents import Document

    from crosstune.integrations.langchain import CrosstuneCompressor

    curve = {"method": "platt", "slope": 2.0, "intercept": -3.0}
    export = calibrated(tmp_path / "export", calibration={"logit": curve, "fused": None})
    compressor = CrosstuneCompressor(export=str(export))
    found = compressor.compress_documents([Document(text) for text in TEXTS], QUERY)
    expected = Reranker(export).rank(QUERY, TEXTS)
    assert [hit.index for hit in expected] == order
    assert [document.metadata["relevance_score"] for document in found] == pytest.approx(
        [hit.probability for hit in expected], abs=1e-5
    )


def test_langchain_in_a_chain(order: list[int]) -> None:
    from langchain_core.documents import Document
    from langchain_core.runnables import RunnableLambda

    from crosstune.integrations.langchain import CrosstuneCompressor

    compressor = CrosstuneCompressor(export=str(tiny_export()))
    retriever = RunnableLambda(lambda query: (query, [Document(text) for text in TEXTS]))
    chain = retriever | RunnableLambda(lambda found: compressor.compress_documents(found[1], found[0]))
    assert [document.page_content for document in chain.invoke(QUERY)] == [TEXTS[index] for index in order]


def test_llama_index(order: list[int], fusing: Path) -> None:
    from llama_index.core.schema import MetadataMode, NodeWithScore, TextNode

    from crosstune.integrations.llama_index import CrosstuneRerank

    nodes = [
        NodeWithScore(node=TextNode(text=text, id_=str(place), metadata={"author": "token"}), score=score)
        for place, (text, score) in enumerate(zip(TEXTS, FIRST, strict=True))
    ]
    rerank = CrosstuneRerank(export=str(tiny_export()), top_k=3)
    found = rerank.postprocess_nodes(nodes, query_str=QUERY)
    assert [int(node.node.node_id) for node in found] == order[:3]
    expected = [hit.score for hit in Reranker(tiny_export()).rank(QUERY, TEXTS, 3)]
    assert [node.score for node in found] == pytest.approx(expected, abs=1e-5)
    assert nodes[0].score == FIRST[0]
    later = asyncio.run(rerank.apostprocess_nodes(nodes, query_str=QUERY))
    assert [int(node.node.node_id) for node in later] == order[:3]
    with_author = CrosstuneRerank(export=str(tiny_export()), metadata_mode=MetadataMode.ALL)
    logits = [
        hit.score for hit in Reranker(tiny_export()).rank(QUERY, [f"author: token\n\n{t}" for t in TEXTS])
    ]
    assert [node.score for node in with_author.postprocess_nodes(nodes, query_str=QUERY)] == pytest.approx(
        logits, abs=1e-5
    )
    hurried = CrosstuneRerank(export=str(tiny_export()), budget_ms=1e-6)
    assert [node.score for node in hurried.postprocess_nodes(nodes, query_str=QUERY)] == [None] * 5
    fused = CrosstuneRerank(export=str(fusing), fuse=True).postprocess_nodes(nodes, query_str=QUERY)
    assert [int(node.node.node_id) for node in fused] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="no query was given"):
        rerank.postprocess_nodes(nodes)
    nodes[2].score = None
    with pytest.raises(InputError, match="document 2: the node's score is None"):
        CrosstuneRerank(export=str(fusing), fuse=True).postprocess_nodes(nodes, query_str=QUERY)


def test_llama_index_in_a_query_engine(order: list[int]) -> None:
    from llama_index.core import Settings
    from llama_index.core.base.base_retriever import BaseRetriever
    from llama_index.core.llms import MockLLM
    from llama_index.core.query_engine import RetrieverQueryEngine
    from llama_index.core.response_synthesizers import ResponseMode, get_response_synthesizer
    from llama_index.core.schema import NodeWithScore, QueryBundle, TextNode

    from crosstune.integrations.llama_index import CrosstuneRerank

    class AllOfThem(BaseRetriever):
        def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
            return [NodeWithScore(node=TextNode(text=text), score=0.5) for text in TEXTS]

    Settings.llm = MockLLM()  # the engine asks for one even where it does not use it
    engine = RetrieverQueryEngine(
        AllOfThem(),
        get_response_synthesizer(response_mode=ResponseMode.NO_TEXT, llm=MockLLM()),
        node_postprocessors=[CrosstuneRerank(export=str(tiny_export()), top_k=2)],
    )
    answer = engine.query(QUERY)
    assert [node.node.get_content() for node in answer.source_nodes] == [TEXTS[index] for index in order[:2]]


def test_haystack_in_a_pipeline(order: list[int], fusing: Path) -> None:
    from haystack import Document, Pipeline
    from haystack.components.retrievers.in_memory import InMemoryBM25Retriever
    from haystack.document_stores.in_memory import InMemoryDocumentStore

    from crosstune.integrations.haystack import CrosstuneRanker

    store = InMemoryDocumentStore()
    store.write_documents([Document(id=str(place), content=text) for place, text in enumerate(TEXTS)])
    pipeline = Pipeline()
    pipeline.add_component("retriever", InMemoryBM25Retriever(store, top_k=10))
    pipeline.add_component("ranker", CrosstuneRanker(str(tiny_export()), top_k=3))
    pipeline.connect("retriever.documents", "ranker.documents")
    again = Pipeline.loads(pipeline.dumps())
    again.get_component("retriever").document_store = store
    for made in (pipeline, again):
        answer = made.run({"retriever": {"query": QUERY}, "ranker": {"query": QUERY}})["ranker"]
        candidates = pipeline.get_component("retriever").run(query=QUERY)["documents"]
        expected = Reranker(tiny_export()).rank(QUERY, [document.content for document in candidates], 3)
        assert [document.content for document in answer["documents"]] == [hit.document for hit in expected]
        assert [d.score for d in answer["documents"]] == pytest.approx([h.score for h in expected], abs=1e-5)

    documents = [
        Document(id=str(n), content=t, score=s) for n, (t, s) in enumerate(zip(TEXTS, FIRST, strict=True))
    ]
    ranker = CrosstuneRanker(str(tiny_export()), top_k=3)
    assert [int(d.id) for d in ranker.run(QUERY, documents)["documents"]] == order[:3]
    assert [int(d.id) for d in ranker.run(QUERY, documents, top_k=5)["documents"]] == order
    assert [int(d.id) for d in asyncio.run(ranker.run_async(QUERY, documents))["documents"]] == order[:3]
    assert documents[0].score == FIRST[0]
    hurried = CrosstuneRanker(str(tiny_export()), budget_ms=1e-6).run(QUERY, documents)["documents"]
    assert [(int(d.id), d.score) for d in hurried] == [(n, None) for n in range(5)]
    fused = CrosstuneRanker(str(fusing), fuse=True).run(QUERY, documents)["documents"]
    assert [int(d.id) for d in fused] == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match=r"document 1 \(b\): has no content"):
        ranker.run(QUERY, [documents[0], Document(id="b")])
    with pytest.raises(InputError, match="document 0: its score is None"):
        CrosstuneRanker(str(fusing), fuse=True).run(QUERY, [Document(content="file")])


def test_pyterrier_in_a_pipeline(order: list[int], fusing: Path) -> None:
    import pandas as pd
    import pyterrier as pt

    from crosstune.integrations.pyterrier import CrosstuneTransformer

    rows = [
        {"qid": qid, "query": query, "docno": f"d{place}", "score": score, "rank": place, "text": text}
        for qid, query in (("2", QUERY), ("1", "sort a list"))
        for place, (text, score) in enumerate(zip(TEXTS, FIRST, strict=True))
    ]
    first_stage = pt.Transformer.from_df(pd.DataFrame(rows))
    queries = pd.DataFrame([{"qid": "2", "query": QUERY}, {"qid": "1", "query": "sort a list"}])
    pipeline = first_stage % 4 >> CrosstuneTransformer(str(tiny_export()))
    found = pipeline(queries)
    for qid, query in (("2", QUERY), ("1", "sort a list")):
        expected = Reranker(tiny_export()).rank(query, TEXTS[:4])
        mine = found[found.qid == qid].sort_values("rank")
        assert mine.docno.tolist() == [f"d{hit.index}" for hit in expected]
        assert mine.score.tolist() == pytest.approx([hit.logit for hit in expected], abs=1e-5)
    qrels = pd.DataFrame([{"qid": "2", "docno": f"d{order[0]}", "label": 1}])
    whole = first_stage >> CrosstuneTransformer(str(tiny_export()))
    measured = pt.Experiment([whole], queries[:1], qrels, ["recip_rank"])
    assert measured.recip_rank.tolist() == [1.0]
    fused = (first_stage >> CrosstuneTransformer(str(fusing), fuse=True))(queries)
    assert fused[fused.qid == "2"].sort_values("rank").docno.tolist() == ["d0", "d1", "d2", "d3", "d4"]
    with pytest.raises(Exception, match="text"):
        CrosstuneTransformer(str(tiny_export()))(pd.DataFrame(rows).drop(columns="text"))
    assert not pt.java.started()


@pytest.mark.parametrize(
    ("module", "imported", "package"),
    [
        ("langchain", "langchain_core", "langchain-core"),
        ("llama_index", "llama_index", "llama-index-core"),
        ("haystack", "haystack", "haystack-ai"),
        ("pyterrier", "pyterrier", "pyterrier"),
    ],
)
def test_a_missing_framework_is_named(tmp_path: Path, module: str, imported: str, package: str) -> None:
    """`sys.modules[name] = None` is how Python itself says that a module cannot be imported."""
    code = f"import sys; sys.modules[{imported!r}] = None; import crosstune.integrations.{module}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    last = done.stderr.strip().splitlines()[-1]
    assert last == (
        f"ImportError: crosstune.integrations.{module} needs {package}: pip install {package} "
        "(or 'crosstune[integrations]' for all adapters)"
    )
