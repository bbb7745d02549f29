"""A reranker's answers, kept by the content of the request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from crosstune.endpoints.kept import Kept, content_digest


@dataclass(frozen=True)
class Answer:
    """One request's answer: `scores` in the order of the documents; `milliseconds` of the attempt that was
    answered; `failures`: attempts before it; `tokens` and `units` as billed; `kept`: from an earlier call."""

    scores: tuple[float, ...]
    milliseconds: float
    failures: int = 0
    tokens: int | None = None
    units: int | None = None
    kept: bool = False


def request_key(url: str, style: str, model: str | None, query: str, texts: Sequence[str]) -> bytes:
    """A digest of all that decides an answer. No key of an API is part of it."""
    return content_digest(url, style, model or "", query, *texts)


class AnswerStore:
    """Digest -> answer. Texts and API keys are not in the file."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept

    def find(self, key: bytes, count: int) -> Answer | None:
        """Raises `InputError` for an entry that is not one score for each of `count` documents."""
        found = self._kept.find(key)
        if found is None:
            return None
        try:
            answer = Answer(**found)
            scores = tuple(map(float, answer.scores))
        except (ValueError, TypeError):
            scores = ()
        if len(scores) != count:
            raise self._kept.damaged(key)
        return replace(answer, scores=scores, kept=True)

    def keep(self, key: bytes, answer: Answer) -> None:
        self._kept.keep(key, asdict(answer))
