"""The BM25 first stage, by bm25s."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crosstune.errors import InputError
from crosstune.files import write_json
from crosstune.progress import progress, say
from crosstune.records import Collection, Qrels, Run, ranking
from crosstune.trec import write_run

if TYPE_CHECKING:
    from crosstune.data.settings import Bm25Settings

RECALL_DEPTHS = (10, 20, 50, 100)
_QUERIES_AT_ONCE = 500
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@dataclass(frozen=True)
class RetrievalSummary:
    """What `retrieve.json` holds. `recall`: split -> depth -> R@depth over all judged queries."""

    recall: dict[str, dict[str, float]]
    queries: dict[str, int]
    queries_without_result: dict[str, int]
    queries_with_fewer_than_asked: dict[str, int]
    milliseconds_per_query: float


@cache
def languages() -> list[str]:
    """The languages that have both a stemmer and stop words."""
    import Stemmer

    return sorted(set(Stemmer.algorithms()) & set(_stop_words()))


def retrieve(collection: Collection, settings: Bm25Settings, folder: Path) -> RetrievalSummary:
    """Writes the best `depth` passages of each judged query as `{split}.trec`, and `retrieve.json`.

    A passage that shares no token with the query is no result. Raises `InputError` when no positive of
    the train split is found at all.
    """
    index = _Index(collection, settings)
    recall: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}
    empty: dict[str, int] = {}
    fewer: dict[str, int] = {}
    seconds = 0.0
    for split, qrels in collection.qrels.items():
        started = time.perf_counter()
        run = index.search({query_id: collection.queries[query_id] for query_id in qrels}, split)
        seconds += time.perf_counter() - started
        write_run(folder / f"{split}.trec", run, "bm25")
        sizes[split] = len(qrels)
        empty[split] = sum(not scores for scores in run.values())
        fewer[split] = sum(len(scores) < settings.depth for scores in run.values())
        recall[split] = {f"R@{k}": _recall(qrels, run, k) for k in RECALL_DEPTHS if k <= settings.depth}
        shown = ", ".join(f"{name} {value:.3f}" for name, value in recall[split].items())
        say(f"  {split}: {sizes[split]} queries, {shown}; {empty[split]} without a result")
        if split == "train":
            _check_recall(qrels, run, settings)
    summary = RetrievalSummary(recall, sizes, empty, fewer, 1000 * seconds / sum(sizes.values()))
    write_json(folder / "retrieve.json", asdict(summary))
    return summary


def search(collection: Collection, settings: Bm25Settings, query: str) -> dict[str, float]:
    """The best passages for one query: document id -> score, best first."""
    found = _Index(collection, settings).search({"query": query}, "query")["query"]
    return {doc_id: found[doc_id] for doc_id in ranking(found)}


class _Index:
    def __init__(self, collection: Collection, settings: Bm25Settings) -> None:
        import bm25s

        self._settings = settings
        self._ids = list(collection.passages)
        self._model = bm25s.BM25(method="lucene", k1=settings.k1, b=settings.b)
        tokens = self._tokens(list(collection.passages.values()))
        if not any(tokens):
            raise InputError(
                f"{collection.name}: no passage holds a token to index "
                f"(first_stage.tokens = {settings.tokens}, first_stage.language = {settings.language})"
            )
        self._model.index(tokens, show_progress=False)

    def search(self, queries: dict[str, str], label: str) -> Run:
        run: Run = {query_id: {} for query_id in queries}
        tokens = dict(zip(queries, self._tokens(list(queries.values())), strict=True))
        asked = [query_id for query_id in queries if tokens[query_id]]
        depth = min(self._settings.depth, len(self._ids))
        with progress(f"BM25, {label} queries", len(asked)) as advance:
            for part in _parts(asked):
                places, scores = self._model.retrieve(
                    [tokens[query_id] for query_id in part], k=depth, show_progress=False
                )
                for query_id, row, values in zip(part, places, scores, strict=True):
                    run[query_id] = {
                        self._ids[place]: float(np.float32(value))
                        for place, value in zip(row, values, strict=True)
                        if value > 0
                    }
                advance(len(part))
        return run

    def _tokens(self, texts: list[str]) -> list[list[str]]:
        import bm25s
        import Stemmer

        if self._settings.tokens == "code":
            texts = [split_identifiers(text) for text in texts]
        language = self._settings.language
        tokens: list[list[str]] = bm25s.tokenize(
            texts,
            stopwords=_stop_words()[language],
            stemmer=Stemmer.Stemmer(language),
            return_ids=False,
            show_progress=False,
        )
        return tokens


def split_identifiers(text: str) -> str:
    """Puts the parts of each snake_case or camelCase name behind it: `_readLine` -> `_readLine read Line`."""

    def with_parts(match: re.Match[str]) -> str:
        parts = _PART.findall(match.group())
        return " ".join([match.group(), *parts]) if parts not in ([], [match.group()]) else match.group()

    return _IDENTIFIER.sub(with_parts, text)


def _parts(query_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(query_ids), _QUERIES_AT_ONCE):
        yield query_ids[start : start + _QUERIES_AT_ONCE]


@cache
def _stop_words() -> dict[str, Any]:
    from bm25s import stopwords

    found = {
        name.removeprefix("STOPWORDS_").lower(): list(words)
        for name, words in vars(stopwords).items()
        if name.startswith("STOPWORDS_")
    }
    return {**found, "english": found["en"]}


def _recall(qrels: Qrels, run: Run, depth: int) -> float:
    """Mean over the queries with a positive of the share of positives among the best `depth`."""
    shares = []
    for query_id, judged in qrels.items():
        positives = {doc_id for doc_id, grade in judged.items() if grade > 0}
        if positives:
            shares.append(len(positives & set(ranking(run[query_id])[:depth])) / len(positives))
    return sum(shares) / len(shares) if shares else 0.0


def _check_recall(qrels: Qrels, run: Run, settings: Bm25Settings) -> None:
    if _recall(qrels, run, settings.depth) == 0.0:
        raise InputError(
            f"the first stage retrieves no positive of the train split among its best {settings.depth}: "
            f"nothing can be learned from it. Check first_stage.language ({settings.language}) and "
            f"first_stage.tokens ({settings.tokens}), and that queries and passages are not swapped"
        )
