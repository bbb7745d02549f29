"""`Reranker`: an export folder as a function, on onnxruntime (or OpenVINO) and tokenizers alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import overload

from crosstune.errors import InputError
from crosstune.machine import cores
from crosstune.serve.budget import deadline_after, score_until
from crosstune.serve.calibration import Kind, sigmoid
from crosstune.serve.engines import BATCH_TOKENS, Precision, choose, open_forward
from crosstune.serve.explain import WORDS, Explanation, explain
from crosstune.serve.fusion import Fusion, checked_scores, standardised
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import EncodedPair, PairEncoder
from crosstune.serve.ranked import (
    Document,
    RankedDocument,
    Ranking,
    Score,
    UnscoredDocument,
    best_first,
    text_of,
)
from crosstune.serve.windows import Best, best_windows

WHAT: dict[Kind, str] = {"logit": "logit", "fused": "fused score"}


class Reranker:
    """Scores and ranks with an export folder. Safe to call from several threads."""

    def __init__(self, folder: str | os.PathLike[str], backend: str = "auto") -> None:
        """`backend`: a format of the export, or `auto`, the fastest exact one here: where several can be
        run they are measured, once a machine and export (`crosstune.serve.engines.measure`).

        Raises `InputError` for a folder that is not what the export wrote and for a format that it lacks.
        """
        path = Path(folder)
        self._manifest = read_manifest(path)
        self._encoder = PairEncoder.from_folder(path, self._manifest.rule)
        threads = cores()
        self.backend = choose(self._manifest, backend, path, threads)
        self._forward = open_forward(self._manifest, self.backend, path, threads)

    @classmethod
    def load(cls, folder: str | os.PathLike[str], backend: str = "auto") -> Reranker:
        """The same by a name."""
        return cls(folder, backend)

    @property
    def precision(self) -> Precision:
        """Of the products: what `backend` computes in on this CPU."""
        return self._forward.runtime.precision

    @property
    def fusion(self) -> Fusion | None:
        """How the export wants first-stage scores used; `None` when they did not help on dev."""
        return self._manifest.fusion

    @overload
    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
        above_threshold: bool = False,
        budget_ms: None = None,
    ) -> list[RankedDocument]: ...

    @overload
    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
        above_threshold: bool = False,
        budget_ms: float,
    ) -> Ranking: ...

    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
        above_threshold: bool = False,
        budget_ms: float | None = None,
    ) -> list[RankedDocument] | Ranking:
        """The documents best first, at most `top_k`; equal scores keep the order given.

        A document is a string or a mapping with its text under `text_field`. With `first_stage_scores`, one
        a document and over all candidates of the query, the order is that of the fusion that the export
        kept; without them, or when it kept none, that of the logits.

        With `above_threshold` only documents whose probability reaches the export's threshold are returned;
        `InputError` when it has none for what is ranked by.

        With `budget_ms` documents are scored in the order given, which should be the first stage's, as long
        as the time suffices; the others follow below the scored ones in the order given (with
        `above_threshold` they are left out), and the `Ranking` says how many were scored. Raises
        `InputError` for anything else, with its index.
        """
        deadline = deadline_after(budget_ms)
        return self._rank(query, documents, top_k, text_field, first_stage_scores, above_threshold, deadline)

    @overload
    async def arank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
        above_threshold: bool = False,
        budget_ms: None = None,
    ) -> list[RankedDocument]: ...

    @overload
    async def arank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
        above_threshold: bool = False,
        budget_ms: float,
    ) -> Ranking: ...

    async def arank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
        above_threshold: bool = False,
        budget_ms: float | None = None,
    ) -> list[RankedDocument] | Ranking:
        """`rank` in a thread of the event loop's executor; a budget runs from the call on, so that waiting
        for a thread is part of it. A cancelled call is no longer waited for, but its thread ends its work."""
        deadline = deadline_after(budget_ms)
        return await asyncio.to_thread(
            self._rank, query, documents, top_k, text_field, first_stage_scores, above_threshold, deadline
        )

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """A score for each `(query, document)` pair, in the order given."""
        for index, pair in enumerate(pairs):
            if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise InputError(f"pair {index}: two strings were expected, found {pair!r:.80}")
        encoded = self._encode(pairs)
        return self._scores(encoded, self._best(encoded))

    async def ascore(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """`score` in a thread of the event loop's executor."""
        return await asyncio.to_thread(self.score, pairs)

    def explain(
        self, query: str, document: Document, max_words: int = WORDS, *, text_field: str = "text"
    ) -> Explanation:
        """The words of the document by how much the logit changes when each is left out alone.

        Costs one scoring and one more a word, of the first `max_words` words: with the default as much as
        ranking 101 documents of this length. Words that stand for each other change little each. Of a
        document that is read in windows, the words are those of the best one; a change is that of the whole.
        """
        text = text_of(document, 0, text_field)
        span = None
        if self._manifest.rule.windows is not None:
            span = self.score([(query, text)])[0].window
        return explain(
            query, text, max_words, lambda pairs: [score.logit for score in self.score(pairs)], span
        )

    def _rank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None,
        text_field: str,
        first_stage_scores: Sequence[float] | None,
        above_threshold: bool,
        deadline: float | None,
    ) -> list[RankedDocument] | Ranking:
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k is {top_k}; at least 1 was expected")
        texts = [text_of(document, index, text_field) for index, document in enumerate(documents)]
        first = None if first_stage_scores is None else checked_scores(first_stage_scores, len(texts))
        threshold = self._threshold(
            "fused" if self.fusion and first is not None else "logit", above_threshold
        )
        if deadline is None:
            scores = self.score([(query, text) for text in texts])
        else:
            scores = self._score_until(deadline, query, texts)
        fused, probabilities = None, [score.probability for score in scores]
        if self.fusion and first is not None:
            z = standardised(first)[: len(scores)]
            fused = self.fusion.add([score.logit for score in scores], z)
            probabilities = self._probabilities("fused", fused)
        ranked = best_first(documents, scores, fused, probabilities)
        if threshold is not None:
            ranked = [hit for hit in ranked if hit.probability is not None and hit.probability >= threshold]
        if deadline is None:
            return ranked[:top_k]
        rest: Iterable[UnscoredDocument] = ()
        if threshold is None:
            rest = (UnscoredDocument(index, documents[index]) for index in range(len(scores), len(texts)))
        return Ranking(islice(chain(ranked, rest), top_k), len(scores))

    def _threshold(self, kind: Kind, wanted: bool) -> float | None:
        if not wanted:
            return None
        scale = self._manifest.scales.get(kind)
        if scale is None or scale.threshold is None:
            raise InputError(
                f"above_threshold: this export has no threshold for the {WHAT[kind]}; set export.threshold "
                "in the recipe, as export.threshold.precision=0.9, and export again"
            )
        return scale.threshold

    def _probabilities(self, kind: Kind, values: Sequence[float]) -> list[float | None]:
        """By the calibration of this kind of values; `None` for each where the export has none."""
        scale = self._manifest.scales.get(kind)
        return [None] * len(values) if scale is None else [*scale.curve.probabilities(values)]

    def _score_until(self, deadline: float, query: str, texts: Sequence[str]) -> list[Score]:
        encoded, best = score_until(
            deadline,
            texts,
            lambda part: self._encode([(query, text) for text in part]),
            self._best,
            self._forward.threads,
            BATCH_TOKENS,
        )
        return self._scores(encoded, best)

    def _scores(self, encoded: Sequence[EncodedPair], best: Sequence[Best]) -> list[Score]:
        probabilities = self._probabilities("logit", [one.logit for one in best])
        return [
            Score(
                one.logit,
                sigmoid(one.logit),
                bool(pair.cut_query or pair.cut_passage),
                probability,
                pair.windows[one.window].span,
            )
            for one, pair, probability in zip(best, encoded, probabilities, strict=True)
        ]

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> list[EncodedPair]:
        longest = self._manifest.rule.characters
        return self._encoder.encode([(query[:longest], text[:longest]) for query, text in pairs])

    def _best(self, encoded: Sequence[EncodedPair]) -> list[Best]:
        """The logit of each pair, and which of its windows has it."""
        logits = self._forward.logits([window for pair in encoded for window in pair.windows])
        return list(best_windows(logits.tolist(), [len(pair.windows) for pair in encoded]))
