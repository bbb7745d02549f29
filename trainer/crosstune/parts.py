"""Texts for a tokenizer in parts: what it says of a text takes twenty to thirty times the text's memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

CHARACTERS_A_TOKEN = 64
"""A text is cut to the tokens that can be read times this many characters before it is tokenised, so that a
huge one costs no more than a long one. Text whose tokens are longer on average is not text."""
ENCODED_CHARACTERS = 2_000_000
"""Tokenised at once."""


def parts(sizes: Iterable[int]) -> Iterator[slice]:
    """Slices of texts, of which `sizes` are the characters, that are tokenised at once: up to about
    `ENCODED_CHARACTERS`, and one text at least."""
    start = end = size = 0
    for end, more in enumerate(sizes, start=1):
        size += more
        if size >= ENCODED_CHARACTERS:
            yield slice(start, end)
            start, size = end, 0
    if end > start:
        yield slice(start, end)
