"""What of a pair of texts is read, and how a tokenizer joins it, from wordpieces that are there already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from crosstune.errors import InputError


class Words(Protocol):
    """The wordpieces of one text: an `Encoding`, or ids that were kept."""

    @property
    def ids(self) -> list[int]: ...

    def token_to_chars(self, place: int, /) -> tuple[int, int] | None:
        """Where a wordpiece stands in the text, where that is known."""


@dataclass(frozen=True)
class Extent:
    """What of a pair is read: so many wordpieces of the query, and the windows of the passage. The others are
    counted as cut."""

    query: int
    windows: list[range]
    cut_query: int
    cut_passage: int


@dataclass(frozen=True)
class PairLayout:
    """The special tokens before the query, between it and the passage, and after that, with their segments;
    `segments`: those of the query's and of the passage's own tokens."""

    before: list[int]
    between: list[int]
    after: list[int]
    types: tuple[list[int], list[int], list[int]]
    segments: tuple[int, int]

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> PairLayout:
        """Reads it off a pair of two words of one token each. Raises `InputError` for a template that is not
        query, then passage."""
        probe = Tokenizer(WordLevel({"a": 0}, unk_token="a"))
        if tokenizer.post_processor is not None:
            probe.post_processor = tokenizer.post_processor
        joined = probe.encode("a", "a")
        texts = [(place, text) for place, text in enumerate(joined.sequence_ids) if text is not None]
        if [text for _, text in texts] != [0, 1]:
            raise InputError("the tokenizer's pair template is not the query and then the passage, each once")
        ids, types = joined.ids, joined.type_ids
        (query, _), (passage, _) = texts
        return cls(
            ids[:query],
            ids[query + 1 : passage],
            ids[passage + 1 :],
            (types[:query], types[query + 1 : passage], types[passage + 1 :]),
            (types[query], types[passage]),
        )

    def join(self, query: Sequence[int], passage: Sequence[int]) -> tuple[list[int], list[int]]:
        """`input_ids` and `token_type_ids` of a pair of texts with these ids."""
        before, between, after = self.types
        first, second = self.segments
        return (
            [*self.before, *query, *self.between, *passage, *self.after],
            [*before, *[first] * len(query), *between, *[second] * len(passage), *after],
        )


def span(passage: Words, window: range) -> tuple[int, int] | None:
    """Characters from the first wordpiece of a window to its last."""
    first, last = passage.token_to_chars(window[0]), passage.token_to_chars(window[-1])
    return (first[0], last[1]) if first and last else None
