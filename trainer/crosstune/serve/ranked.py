"""What `Reranker` answers with, and what it is given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.errors import InputError
from crosstune.serve.explain import Explanation

Document = str | Mapping[str, Any]


@dataclass(frozen=True)
class Score:
    """`logit`: what the model says, fp32; `score`: its sigmoid, 0 to 1; `cut`: whether the length rule
    left out a part of the query or the passage; `probability`: that the passage is relevant, `None` where the
    export has no calibration; `window`: the characters `passage[start:end]` whose logit it is, `None` for a
    passage that was read at once."""

    logit: float
    score: float
    cut: bool
    probability: float | None = None
    window: tuple[int, int] | None = None

    @property
    def shown(self) -> float:
        """The one number from 0 to 1 to show: the probability where there is one, else `score`."""
        return self.score if self.probability is None else self.probability


@dataclass(frozen=True)
class RankedDocument:
    """`index`: place in the list that was given; `document`: the caller's own object; `fused`: the logit
    together with the first stage's score, `None` where the two were not fused; `probability`: that the
    document is relevant, by what it was ranked by, `None` where the export has no calibration of it;
    `window`: the characters of the text whose logit it is, `None` where the text was read at once;
    `explanation`: where `explain=True` asked for it."""

    index: int
    logit: float
    score: float
    document: Document
    cut: bool
    fused: float | None = None
    probability: float | None = None
    window: tuple[int, int] | None = None
    explanation: Explanation | None = None

    @property
    def shown(self) -> float:
        """The one number from 0 to 1 to show: the probability where there is one, else `score`."""
        return self.score if self.probability is None else self.probability


@dataclass(frozen=True)
class UnscoredDocument:
    """A document that a budget did not reach: the fields of `RankedDocument`, without figures."""

    index: int
    document: Document
    logit: None = None
    score: None = None
    cut: None = None
    fused: None = None
    probability: None = None
    window: None = None
    explanation: None = None


class Ranking(list[RankedDocument | UnscoredDocument]):
    """The documents of a `rank` with a budget: the scored ones best first, then the others in the order
    given. `scored`: how many of the documents given were scored, from the first on."""

    def __init__(self, documents: Iterable[RankedDocument | UnscoredDocument], scored: int) -> None:
        super().__init__(documents)
        self.scored = scored


@dataclass(frozen=True)
class RankedQuery:
    """One answer of `rank_many`. `index`: place of the query; `given`: the caller's own object for it;
    `hits`: its documents best first."""

    index: int
    given: Any
    hits: list[RankedDocument]


def best_first(
    documents: Sequence[Document],
    scores: Sequence[Score],
    fused: Sequence[float] | None,
    probabilities: Sequence[float | None],
) -> list[RankedDocument]:
    """The documents that have a score, by `fused` where it is given and else by the logit; equal values keep
    the order given. `probabilities`: of what is sorted by, one a score."""
    by = fused if fused is not None else [score.logit for score in scores]
    return [
        RankedDocument(
            index,
            scores[index].logit,
            scores[index].score,
            documents[index],
            scores[index].cut,
            fused[index] if fused is not None else None,
            probabilities[index],
            scores[index].window,
        )
        for index in sorted(range(len(scores)), key=lambda index: -by[index])
    ]


def text_of(document: Document, index: int, text_field: str) -> str:
    """Raises `InputError` with the index for a document that is neither text nor a mapping with text."""
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
