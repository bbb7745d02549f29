"""From a text to the tokens that BM25 counts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache
from typing import TYPE_CHECKING, Any

from crosstune.data.first_stages.without_jax import bm25s

if TYPE_CHECKING:
    from crosstune.data.first_stages.settings import Bm25Settings

_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@cache
def languages() -> list[str]:
    """The languages that have both a stemmer and stop words."""
    import Stemmer

    return sorted(set(Stemmer.algorithms()) & set(_stop_words()))


def tokenize(texts: Sequence[str], settings: Bm25Settings) -> list[list[str]]:
    """The stems of each text without its stop words."""
    import Stemmer

    if settings.tokens == "code":
        texts = [split_identifiers(text) for text in texts]
    tokens: list[list[str]] = bm25s().tokenize(
        list(texts),
        stopwords=_stop_words()[settings.language],
        stemmer=Stemmer.Stemmer(settings.language),
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


@cache
def _stop_words() -> dict[str, Any]:
    found = {
        name.removeprefix("STOPWORDS_").lower(): list(words)
        for name, words in vars(bm25s().stopwords).items()
        if name.startswith("STOPWORDS_")
    }
    return {**found, "english": found["en"]}
