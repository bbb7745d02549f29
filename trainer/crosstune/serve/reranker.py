"""`Reranker`: an export folder as a function, on onnxruntime (or OpenVINO) and tokenizers alone."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crosstune.errors import InputError
from crosstune.serve.engines import choose, open_runtime
from crosstune.serve.fusion import Fusion, checked_scores
from crosstune.serve.manifest import read_manifest
from crosstune.serve.pairs import EncodedPair, PairEncoder, pad, token_budget_batches

Document = str | Mapping[str, Any]
BATCH_TOKENS = 512
"""Of one batch on one core: larger ones are no faster, and leave cores idle at the end."""
CHARACTERS_A_TOKEN = 64
"""A passage is cut to `max_tokens` times this many characters before it is tokenised, so that a huge one
costs no more than a long one. Text whose tokens are longer on average is not text."""


@dataclass(frozen=True)
class Score:
    """`logit`: what the model says, fp32; `score`: its sigmoid, 0 to 1; `cut`: whether the length rule
    left out a part of the query or the passage."""

    logit: float
    score: float
    cut: bool


@dataclass(frozen=True)
class RankedDocument:
    """`index`: place in the list that was given; `document`: the caller's own object; `fused`: the logit
    together with the first stage's score, `None` where the two were not fused."""

    index: int
    logit: float
    score: float
    document: Document
    cut: bool
    fused: float | None = None


class Reranker:
    """Scores and ranks with an export folder. Safe to call from several threads."""

    def __init__(self, folder: str | os.PathLike[str], backend: str = "auto") -> None:
        """`backend`: a format of the export, or `auto`, the fastest exact one that can be run here.

        Raises `InputError` for a folder that is not what the export wrote and for a format that it lacks.
        """
        path = Path(folder)
        self._manifest = read_manifest(path)
        self._encoder = PairEncoder.from_folder(path, self._manifest.rule)
        self._threads = _cores()
        self.backend = choose(self._manifest.formats, backend, path)
        self._runtime = open_runtime(self.backend, path / self._manifest.formats[self.backend], self._threads)

    @property
    def fusion(self) -> Fusion | None:
        """How the export wants first-stage scores used; `None` when they did not help on dev."""
        return self._manifest.fusion

    def rank(
        self,
        query: str,
        documents: Sequence[Document],
        top_k: int | None = None,
        *,
        text_field: str = "text",
        first_stage_scores: Sequence[float] | None = None,
    ) -> list[RankedDocument]:
        """The documents best first, at most `top_k`; equal scores keep the order given.

        A document is a string or a mapping with its text under `text_field`. With `first_stage_scores`, one
        a document and over all candidates of the query, the order is that of the fusion that the export
        kept; without them, or when it kept none, that of the logits. Raises `InputError` for anything else,
        with its index.
        """
        if top_k is not None and top_k < 1:
            raise InputError(f"top_k is {top_k}; at least 1 was expected")
        texts = [_text(document, index, text_field) for index, document in enumerate(documents)]
        first = None if first_stage_scores is None else checked_scores(first_stage_scores, len(texts))
        scores = self.score([(query, text) for text in texts])
        logits = [score.logit for score in scores]
        fused = self.fusion.fuse(logits, first) if self.fusion and first is not None else None
        by = fused or logits
        order = sorted(range(len(scores)), key=lambda index: -by[index])
        return [
            RankedDocument(
                index,
                scores[index].logit,
                scores[index].score,
                documents[index],
                scores[index].cut,
                fused[index] if fused else None,
            )
            for index in order[:top_k]
        ]

    def score(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """A score for each `(query, document)` pair, in the order given."""
        for index, pair in enumerate(pairs):
            if len(pair) != 2 or not all(isinstance(text, str) for text in pair):
                raise InputError(f"pair {index}: two strings were expected, found {pair!r:.80}")
        longest = self._manifest.rule.max_tokens * CHARACTERS_A_TOKEN
        encoded = self._encoder.encode([(query[:longest], text[:longest]) for query, text in pairs])
        logits = self._logits(encoded)
        return [
            Score(logit, _sigmoid(logit), bool(pair.cut_query or pair.cut_passage))
            for logit, pair in zip(logits.tolist(), encoded, strict=True)
        ]

    def _logits(self, encoded: Sequence[EncodedPair]) -> NDArray[np.float32]:
        logits = np.empty(len(encoded), dtype=np.float32)
        multiple = self._runtime.multiple
        widths = [len(pair) + -len(pair) % multiple for pair in encoded]
        batches = list(token_budget_batches(widths, BATCH_TOKENS))

        def run(batch: list[int]) -> None:
            logits[batch] = self._run([encoded[index] for index in batch])

        if len(batches) <= 1 or self._threads == 1:
            for batch in batches:
                run(batch)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(run, batches))
        return logits

    def _run(self, pairs: Sequence[EncodedPair]) -> NDArray[np.float32]:
        input_ids, mask, types = pad(pairs, self._manifest.pad_id, self._runtime.multiple)
        every = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": types}
        return self._runtime.run({name: every[name] for name in self._manifest.inputs})


def _text(document: Document, index: int, text_field: str) -> str:
    if isinstance(document, str):
        return document
    if not isinstance(document, Mapping):
        raise InputError(
            f"document {index}: a string or a mapping was expected, found {type(document).__name__}"
        )
    text = document.get(text_field)
    if not isinstance(text, str):
        raise InputError(
            f"document {index}: {text_field!r} is no string; its fields are {', '.join(map(str, document))}. "
            "Name the one that holds the text with text_field"
        )
    return text


def _sigmoid(logit: float) -> float:
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else 1 - 1 / (1 + math.exp(logit))


def _cores() -> int:
    return len(os.sched_getaffinity(0))
