"""`Reranker`: an export folder as a function, on onnxruntime (or OpenVINO) and tokenizers alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain, islice
from pathlib import Path
from typing import overload

from crosstune.errors import InputError
from crosstune.serve.budget import deadline_after
from crosstune.serve.engines import Precision
from crosstune.serve.explain import WORDS, Explanation
from crosstune.serve.fusion import Fusion
from crosstune.serve.given import (
    Candidates,
    check_is_many,
    checked_candidates,
    checked_count,
    checked_pairs,
)
from crosstune.serve.pickled import Pickled
from crosstune.serve.ranked import Document, RankedDocument, RankedQuery, Ranking, Score, UnscoredDocument
from crosstune.serve.scorer import Scorer
from crosstune.serve.stream import Query, Window, answered, answered_in_threads, unpacked


class Reranker(Pickled):
    """Scores and ranks with an export folder. Safe to call from several threads.

    Lists may be any iterables: one that can be gone through once is. A call takes at most 1,000,000 documents
    or pairs, and a text has at most 100,000,000 characters; `InputError` beyond, before anything is scored.
    """

    def __init__(self, folder: str | os.PathLike[str], backend: str = "auto") -> None:
        """`backend`: a format of the export, or `auto`, the fastest exact one here: where several can be
        run they are measured, once a machine and export (`crosstune.serve.engines.measure`).

        Raises `InputError` for a folder that is not what the export wrote and for a format that it lacks.
        """
        self._scorer = Scorer(Path(folder), backend)
        self.backend = self._scorer.backend

    @classmethod
    def load(cls, folder: str | os.PathLike[str], backend: str = "auto") -> Reranker:
        """The same by a name."""
        return cls(folder, backend)

    @property
    def precision(self) -> Precision:
        """Of the products: what `backend` computes in on this CPU."""
        return self._scorer.forward.runtime.precision

    @property
    def fusion(self) -> Fusion | None:
        """How the export wants first-stage scores used; `None` when they did not help on dev."""
        return self._scorer.manifest.fusion

    @overload
    def rank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Iterable[float] | None = None,
        above_threshold: bool = False,
        explain: bool = False,
        budget_ms: None = None,
    ) -> list[RankedDocument]: ...

    @overload
    def rank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Iterable[float] | None = None,
        above_threshold: bool = False,
        budget_ms: float,
    ) -> Ranking: ...

    def rank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Iterable[float] | None = None,
        above_threshold: bool = False,
        explain: bool = False,
        budget_ms: float | None = None,
    ) -> list[RankedDocument] | Ranking:
        """The documents best first, at most `top_k`; equal scores keep the order given.

        A document is a string or a mapping with its text under `text_field`. With `first_stage_scores`, one
        a document and over all candidates of the query, the order is that of the fusion that the export
        kept; without them, or when it kept none, that of the logits.

        With `above_threshold` only documents whose probability reaches the export's threshold are returned;
        `InputError` when it has none for what is ranked by.

        With `explain` each document that is returned has its `explanation`, as `explain` gives it for 100
        words: each costs as much as scoring it 102 times, so name a small `top_k`. Not with a budget.

        With `budget_ms` documents are scored in the order given, which should be the first stage's, as long
        as the time suffices; the others follow below the scored ones in the order given (with
        `above_threshold` they are left out), and the `Ranking` says how many were scored. Raises
        `InputError` for anything else, with its index.
        """
        deadline = deadline_after(budget_ms)
        given = self._checked(query, documents, top_k, text_field, first_stage_scores, above_threshold)
        return self._rank(given, top_k, above_threshold, explain, deadline)

    @overload
    async def arank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Iterable[float] | None = None,
        above_threshold: bool = False,
        explain: bool = False,
        budget_ms: None = None,
    ) -> list[RankedDocument]: ...

    @overload
    async def arank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Iterable[float] | None = None,
        above_threshold: bool = False,
        budget_ms: float,
    ) -> Ranking: ...

    async def arank(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Iterable[float] | None = None,
        above_threshold: bool = False,
        explain: bool = False,
        budget_ms: float | None = None,
    ) -> list[RankedDocument] | Ranking:
        """`rank` in a thread of the event loop's executor; a budget runs from the call on, so that waiting
        for a thread is part of it. What is given is gone through and checked in the event loop. A cancelled
        call is no longer waited for, but its thread ends its work."""
        deadline = deadline_after(budget_ms)
        given = self._checked(query, documents, top_k, text_field, first_stage_scores, above_threshold)
        return await asyncio.to_thread(self._rank, given, top_k, above_threshold, explain, deadline)

    def rank_many(
        self,
        queries: Iterable[Query],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        above_threshold: bool = False,
    ) -> Iterator[RankedQuery]:
        """Each query's hits as `rank` gives them, in the order of the queries, while later ones are not read.

        A query is `(query, documents)`, or a mapping with `query`, `documents` and, for the fusion,
        `first_stage_scores`; further fields are passed over and come back with `given`. Queries are read
        until they have 512 documents (or 4,000,000 characters) and scored together, so that small ones fill
        every core; no more is read ahead. Logits are those of `rank` but for rounding.

        Raises `InputError` with the query's index for anything else; the queries before it are answered
        first.
        """
        return answered(queries, self._window(queries, top_k, text_field, above_threshold))

    def arank_many(
        self,
        queries: Iterable[Query] | AsyncIterable[Query],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        above_threshold: bool = False,
    ) -> AsyncIterator[RankedQuery]:
        """`rank_many` for `async for`: scores in a thread of the event loop's executor. The queries may come
        asynchronously; they are read in the event loop."""
        return answered_in_threads(queries, self._window(queries, top_k, text_field, above_threshold))

    def score(self, pairs: Iterable[Sequence[str]]) -> list[Score]:
        """A score for each `(query, document)` pair, in the order given. Raises `InputError` for anything
        else, with its index."""
        return self._scorer.scores(checked_pairs(pairs))

    async def ascore(self, pairs: Iterable[Sequence[str]]) -> list[Score]:
        """`score` in a thread of the event loop's executor; the pairs are checked in the event loop."""
        return await asyncio.to_thread(self._scorer.scores, checked_pairs(pairs))

    def order(
        self,
        documents: Sequence[Document],
        scores: Sequence[Score],
        first_stage_scores: Iterable[float] | None = None,
    ) -> list[RankedDocument]:
        """What `rank` answers for the documents of a query whose `scores` are known: what `score` gave, one a
        document."""
        return self._scorer.hits(checked_candidates("", documents, "text", first_stage_scores), scores)

    def explain(
        self, query: str, document: Document, max_words: int = WORDS, *, text_field: str = "text"
    ) -> Explanation:
        """The words of the document by how much the logit changes when each is left out alone.

        Costs one scoring and one more a word, of the first `max_words` words: with the default as much as
        ranking 101 documents of this length. Words that stand for each other change little each. Of a
        document that is read in windows, the words are those of the best one; a change is that of the whole.
        """
        given = checked_candidates(query, [document], text_field, None)
        most = checked_count(max_words, "max_words")
        span = None
        if self._scorer.manifest.rule.windows is not None:
            span = self._scorer.scores(given.pairs())[0].window
        return self._scorer.explanation(query, given.texts[0], most, span)

    def _checked(
        self,
        query: str,
        documents: Iterable[Document],
        top_k: int | None,
        text_field: str,
        first_stage_scores: Iterable[float] | None,
        above_threshold: bool,
    ) -> Candidates:
        given = checked_candidates(query, documents, text_field, first_stage_scores)
        if top_k is not None:
            checked_count(top_k, "top_k")
        if above_threshold:
            self._scorer.threshold(self._scorer.kind(given))
        return given

    def _rank(
        self,
        given: Candidates,
        top_k: int | None,
        above_threshold: bool,
        explained: bool,
        deadline: float | None,
    ) -> list[RankedDocument] | Ranking:
        if deadline is None:
            ranked = self._scorer.hits(given, self._scorer.scores(given.pairs()), above_threshold)[:top_k]
            return [self._with_explanation(given, hit) for hit in ranked] if explained else ranked
        if explained:
            raise InputError(
                "explain and budget_ms: explanations would not end within it; call explain for the hits"
            )
        scores = self._scorer.scores_until(deadline, given.query, given.texts)
        scored = self._scorer.hits(given, scores, above_threshold)
        rest: Iterable[UnscoredDocument] = ()
        most = len(given.texts)
        if not above_threshold:
            rest = (UnscoredDocument(index, given.documents[index]) for index in range(len(scores), most))
        return Ranking(islice(chain(scored, rest), min(top_k or most, most)), len(scores))

    def _with_explanation(self, given: Candidates, hit: RankedDocument) -> RankedDocument:
        text = given.texts[hit.index]
        return replace(hit, explanation=self._scorer.explanation(given.query, text, WORDS, hit.window))

    def _window(self, queries: object, top_k: int | None, text_field: str, above_threshold: bool) -> Window:
        """Raises `InputError` for what is wrong whatever the queries are."""
        if not isinstance(queries, AsyncIterable):
            check_is_many(queries, "queries", "(query, documents) or mappings")
        if top_k is not None:
            checked_count(top_k, "top_k")

        def read(index: int, given: Query) -> Candidates:
            try:
                query, documents, first = unpacked(given)
                return self._checked(query, documents, top_k, text_field, first, above_threshold)
            except InputError as error:
                raise InputError(f"query {index}: {error}") from None

        def rank(together: list[Candidates]) -> list[list[RankedDocument]]:
            scores = iter(self._scorer.scores([pair for given in together for pair in given.pairs()]))
            own = (list(islice(scores, len(given.texts))) for given in together)
            return [
                self._scorer.hits(given, mine, above_threshold)[:top_k]
                for given, mine in zip(together, own, strict=True)
            ]

        return Window(read, rank)
