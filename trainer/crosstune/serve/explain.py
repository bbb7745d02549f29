"""Which words of a document its logit hangs on: each is left out in turn (Zeiler & Fergus 2014, Li, Monroe &
Jurafsky 2016, "Understanding neural networks through representation erasure")."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain, islice

# Chinese and Japanese write without spaces; BERT's tokenizers take each such character for a word.
_ALONE = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_ALONE}]|[^\W{_ALONE}]+(?:['\u2019][^\W{_ALONE}]+)*")
WORDS = 100


@dataclass(frozen=True)
class WordChange:
    """`word` stands at `document[start:end]`; `change`: of the logit when it is left out, so that a word that
    speaks for the document has a negative one."""

    word: str
    start: int
    end: int
    change: float


@dataclass(frozen=True)
class Explanation:
    """`words`: those that were left out in turn, the largest change first; `untried`: how many words more the
    document has."""

    logit: float
    words: tuple[WordChange, ...]
    untried: int


def explain(
    document: str,
    read: int,
    max_words: int,
    logits: Callable[[Iterable[str]], Sequence[float]],
    span: tuple[int, int] | None = None,
) -> Explanation:
    """Scores the document once, and once without each of its first `max_words` words, or those of its
    characters `span`. No more than its first `read` characters are looked at."""
    text = document[:read]
    start, end = span or (0, len(text))
    inside = (word for word in _WORD.finditer(text) if word.end() > start and word.start() < end)
    tried = list(islice(inside, min(max_words, len(text))))
    without = (f"{text[: word.start()]} {text[word.end() :]}" for word in tried)
    whole, *rest = logits(chain([text], without))
    changes = [
        WordChange(word.group(), word.start(), word.end(), logit - whole)
        for word, logit in zip(tried, rest, strict=True)
    ]
    changes.sort(key=lambda change: -abs(change.change))
    words = sum(1 for _ in _WORD.finditer(document))
    return Explanation(whole, tuple(changes), words - len(tried))
