"""The candidates of a TREC run with the texts of a BEIR folder, and the run that they become."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from crosstune.errors import InputError
from crosstune.records import ranking
from crosstune.serve.bulk.pairs import Pair
from crosstune.serve.bulk.texts import Texts
from crosstune.serve.ranked import Score
from crosstune.trec import read_run_lines

TAG = "crosstune"


class RunPairs:
    """The lines of a run whose queries stand together; the output has the same queries in the same order, the
    documents of each best first, and is whole after each query.

    Raises `InputError` with file and line for what is no run, a query whose lines do not stand together, a
    document listed twice for one query, and an id whose text is missing.
    """

    def __init__(self, path: Path, queries: Path, corpus: Path, texts: Texts) -> None:
        self._path, self._texts = path, texts
        self.total = 0
        self._check()
        texts.read("queries", queries, path)
        texts.read("documents", corpus, path)

    def _check(self) -> None:
        seen: set[str] = set()
        for query_id, group in self._groups():
            documents: set[str] = set()
            for number, doc_id in group:
                at = f"{self._path}:{number}"
                if not documents and query_id in seen:
                    raise InputError(
                        f"{at}: the lines of query {query_id!r} do not stand together; sort the run: "
                        "sort -s -k1,1 RUN"
                    )
                if doc_id in documents:
                    raise InputError(f"{at}: document {doc_id!r} is listed twice for query {query_id!r}")
                documents.add(doc_id)
                self._texts.want("documents", doc_id, number)
                if len(documents) == 1:
                    self._texts.want("queries", query_id, number)
            seen.add(query_id)
            self.total += len(documents)

    def _groups(self) -> Iterator[tuple[str, Iterator[tuple[int, str]]]]:
        """`(query id, (line number, document id) ...)`."""
        for query_id, lines in groupby(read_run_lines(self._path), key=lambda line: line[1]):
            yield query_id, ((number, doc_id) for number, _, doc_id, _ in lines)

    def whole(self, lines: int) -> int:
        end = 0
        for _, group in self._groups():
            size = sum(1 for _ in group)
            if end + size > lines:
                break
            end += size
        return end

    def pairs(self, start: int) -> Iterator[Pair]:
        place = 0
        for query_id, group in self._groups():
            documents = [doc_id for _, doc_id in group]
            place += len(documents)
            if place <= start:
                continue
            query = self._texts.get("queries", query_id)
            for number, doc_id in enumerate(documents, start=1):
                kept = {"query_id": query_id, "doc_id": doc_id}
                document = self._texts.get("documents", doc_id)
                yield Pair(query, document, kept, last=number == len(documents))

    def lines(self, start: int, pairs: Sequence[Pair], scores: Sequence[Score]) -> str:
        del start  # a run has no places of pairs
        out: list[str] = []
        scored = zip(pairs, scores, strict=True)
        for query_id, group in groupby(scored, key=lambda item: item[0].kept["query_id"]):
            logits = {pair.kept["doc_id"]: score.logit for pair, score in group}
            for rank, doc_id in enumerate(ranking(logits), start=1):
                logit = np.format_float_positional(np.float32(logits[doc_id]), unique=True, trim="0")
                out.append(f"{query_id} Q0 {doc_id} {rank} {logit} {TAG}\n")
        return "".join(out)
