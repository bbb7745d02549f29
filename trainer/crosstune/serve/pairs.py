"""From a query and a passage to token ids: the one length rule of training, evaluation and serving.

The layout is the tokenizer's own pair template (BERT: `[CLS] query [SEP] passage [SEP]`, segments
0 and 1). The query is kept whole up to `max_query_tokens` wordpieces; the passage is what gets cut, or
read in windows (`crosstune.serve.windows`), so that the model reads at most `max_tokens` ids at once, special
tokens included.
"""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from crosstune.errors import InputError
from crosstune.parts import CHARACTERS_A_TOKEN, parts
from crosstune.serve.checked import whole
from crosstune.serve.layout import Extent, PairLayout, Words, span
from crosstune.serve.nogueira_cho import OriginalTokenizer
from crosstune.serve.windows import MOST_TOKENS, Windows

Ids = NDArray[np.int64]
SPECIAL = 3
"""Ids of BERT's pairs that are no text's; RoBERTa has one more."""

Style = Literal["standard", "nogueira_cho"]
STYLES: tuple[Style, ...] = get_args(Style)


@dataclass(frozen=True)
class LengthRule:
    """`max_tokens`: ids of a whole pair; `max_query_tokens`: wordpieces of the query alone.

    `style` `nogueira_cho` is the input of Nogueira & Cho 2019, where `max_query_tokens` counts the two
    special tokens of the query as well and one id of `max_tokens` is left unused: see
    `crosstune.serve.nogueira_cho`. `windows`: how a passage without room is read; `None` cuts it.
    """

    max_tokens: int
    max_query_tokens: int
    style: Style = "standard"
    windows: Windows | None = None

    def __post_init__(self) -> None:
        least = 3 if self.style == "nogueira_cho" else 1
        if not least <= self.max_query_tokens < self.max_tokens - SPECIAL:
            raise InputError(
                f"max_query_tokens is {self.max_query_tokens} and max_tokens {self.max_tokens}: "
                "the query must leave room for the special tokens and one token of the passage"
            )
        if self.windows is not None:
            if self.style != "standard":
                raise InputError(
                    f"windows are no part of the input of style {self.style}, which cuts passages"
                )
            self.windows.check(self.max_tokens - self.max_query_tokens - SPECIAL)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> LengthRule:
        """What `as_json` wrote. Raises `ValueError` and `TypeError` for values that it does not write, and
        `InputError` for those that do not go together."""
        for name in ("max_tokens", "max_query_tokens"):
            whole(name, values[name], 1, MOST_TOKENS)
        if values["style"] not in STYLES:
            raise ValueError(f"style is {values['style']!r:.40}; one of {', '.join(STYLES)} was expected")
        windows = values.get("windows")
        return cls(**{**values, "windows": None if windows is None else Windows.from_json(windows)})

    def as_json(self) -> dict[str, Any]:
        """Without windows it has no key for them: versions of crosstune that know none then read it."""
        values = asdict(self)
        if self.windows is None:
            del values["windows"]
        return values

    @property
    def reach(self) -> int:
        """No more wordpieces of a passage than this are read."""
        return self.max_tokens * (1 if self.windows is None else self.windows.most)

    @property
    def characters(self) -> int:
        """What of a text is tokenised at most."""
        return self.reach * CHARACTERS_A_TOKEN

    def read(self, text: str) -> str:
        """What of a text is tokenised."""
        return text[: self.characters]

    def leaves_unread(self, text: str) -> bool:
        """Whether more than blanks stand behind what is tokenised of a text."""
        return len(text) > self.characters and not text[self.characters :].isspace()

    def plan(self, passage: int, room: int) -> list[range]:
        """Which wordpieces of a passage of so many are read, `room` of them at once."""
        if self.windows is None:
            return [range(min(passage, room))]
        return self.windows.plan(passage, room)

    def ids(self, query: int, passage: int) -> int:
        """About how many ids the model reads of texts with so many wordpieces, all windows together."""
        beside = SPECIAL + min(query, self.max_query_tokens)
        return sum(beside + len(window) for window in self.plan(passage, self.max_tokens - beside))


@dataclass(frozen=True)
class EncodedPair:
    """One pair as ids; `cut_query` and `cut_passage` count the wordpieces that were left out.

    `further`: the query with each later window of the passage, where it has several; then `span` of each is
    its window's place in the passage's text, in characters.
    """

    input_ids: list[int]
    token_type_ids: list[int]
    cut_query: int
    cut_passage: int
    further: tuple[EncodedPair, ...] = ()
    span: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.input_ids)

    @property
    def windows(self) -> tuple[EncodedPair, ...]:
        """All that the model reads of it, each a row of a batch."""
        return (self, *self.further)

    @property
    def lengths(self) -> list[int]:
        """Ids of each window."""
        return [len(window) for window in self.windows]


@cache
def _survive_forks() -> None:
    """The threads that tokenise are not in a child of a fork, which would wait for them for ever where
    TOKENIZERS_PARALLELISM is true, as the command line has it; unset, tokenizers does this itself."""
    if hasattr(os, "register_at_fork"):  # where processes can be forked
        os.register_at_fork(after_in_child=lambda: os.environ.update(TOKENIZERS_PARALLELISM="false"))


def read_tokenizer(folder: Path) -> Tokenizer:
    """That of a model's `tokenizer.json`. Raises `InputError` when it is missing or damaged."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; a model folder with a fast tokenizer was expected")
    try:
        return Tokenizer.from_file(str(path))
    except Exception as error:
        raise InputError(f"{path}: cannot be read as a tokenizer ({error})") from None


class PairEncoder:
    """Encodes pairs by a `LengthRule`. Holds no state between calls."""

    def __init__(self, tokenizer: Tokenizer, rule: LengthRule) -> None:
        _survive_forks()
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self.rule = rule
        self._tokenizer = tokenizer
        self._special = tokenizer.num_special_tokens_to_add(True)
        if rule.windows is not None:
            rule.windows.check(rule.max_tokens - rule.max_query_tokens - self._special)
        self._original = OriginalTokenizer(tokenizer) if rule.style == "nogueira_cho" else None
        self._layout = None if self._original else PairLayout.of(tokenizer)

    @classmethod
    def from_folder(cls, folder: Path, rule: LengthRule) -> PairEncoder:
        """Reads `tokenizer.json`. Raises `InputError` when it is missing or damaged."""
        return cls(read_tokenizer(folder), rule)

    def words(self, texts: Sequence[str]) -> list[Encoding]:
        """Wordpieces of each text, without special tokens and uncut. Runs in parallel."""
        if self._original:
            return self._original.words(texts)
        # A lone surrogate is no Unicode text and the tokenizer would raise on it.
        clean = [text.encode("utf-8", "replace").decode("utf-8") for text in texts]
        encodings: list[Encoding] = self._tokenizer.encode_batch(clean, add_special_tokens=False)
        return encodings

    def cut(self, text: str, encoding: Encoding, count: int) -> str:
        """The text up to its first `count` wordpieces; `encoding` is what `words` gave for it, of more."""
        if self._original:
            return self._original.cut(text, encoding, count)
        return text[: encoding.offsets[count - 1][1]]

    def decides_words(self) -> list[object]:
        """All beside the text that `words` of what is read of it depends on."""
        versions = [tokenizers.__version__, unicodedata.unidata_version]
        return [self._tokenizer.to_str(), self.rule.style, self.rule.characters, versions]

    def extent(self, query: int, passage: int, unread: tuple[bool, bool] = (False, False)) -> Extent:
        """Of a pair of texts with so many wordpieces; `unread`: whether more of them was not tokenised, which
        counts as one wordpiece."""
        if self._original:
            # The original's two special tokens of the query, and the one that it leaves room for.
            first = min(query, self.rule.max_query_tokens - 2)
            windows = [range(min(passage, self.rule.max_tokens - first - 4))]
        else:
            first = min(query, self.rule.max_query_tokens)
            windows = self.rule.plan(passage, self.rule.max_tokens - self._special - first)
        return Extent(first, windows, query - first + unread[0], passage - windows[-1].stop + unread[1])

    def join(self, query: Words, passage: Words, unread: tuple[bool, bool] = (False, False)) -> EncodedPair:
        """Cuts and joins two results of `words`; `unread` as in `extent`."""
        first, second = query.ids, passage.ids
        extent = self.extent(len(first), len(second), unread)
        cut = extent.cut_query, extent.cut_passage
        if self._layout is None:
            assert self._original is not None
            longest = self.rule.max_query_tokens, self.rule.max_tokens
            return EncodedPair(*self._original.join(first, second, *longest), *cut)
        first = first[: extent.query]
        joined = [self._layout.join(first, second[own.start : own.stop]) for own in extent.windows]
        if len(joined) == 1:
            return EncodedPair(*joined[0], *cut)
        spans = [span(passage, own) for own in extent.windows]
        further = tuple(
            EncodedPair(*one, 0, 0, (), place) for one, place in zip(joined[1:], spans[1:], strict=True)
        )
        return EncodedPair(*joined[0], *cut, further, spans[0])

    def encode(self, pairs: Sequence[tuple[str, str]]) -> list[EncodedPair]:
        """Encodes `(query, passage)` pairs. What a text has beyond `rule.characters` is not read, and counts
        as a wordpiece that was cut where it is more than blanks."""
        sizes = (sum(len(self.rule.read(text)) for text in pair) for pair in pairs)
        return [pair for part in parts(sizes) for pair in self._encode(pairs[part])]

    def _encode(self, pairs: Sequence[tuple[str, str]]) -> Iterator[EncodedPair]:
        """A text that occurs often is tokenised once."""
        texts = list(dict.fromkeys(text for pair in pairs for text in pair))
        encoded = dict(zip(texts, self.words([self.rule.read(text) for text in texts]), strict=True))
        unread = {text for text in texts if self.rule.leaves_unread(text)}
        for query, passage in pairs:
            yield self.join(encoded[query], encoded[passage], (query in unread, passage in unread))


def token_budget_batches(lengths: Sequence[int], max_batch_tokens: int) -> Iterator[list[int]]:
    """Yields index lists, longest pairs first, so that rows x longest row <= `max_batch_tokens`.

    Sorting by length leaves almost no padding. A pair longer than the budget gets a batch of its own.
    """
    batch: list[int] = []
    width = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        if batch and (len(batch) + 1) * width > max_batch_tokens:
            yield batch
            batch = []
        if not batch:
            width = max(1, lengths[index])
        batch.append(index)
    if batch:
        yield batch


INPUTS = (["input_ids", "attention_mask"], ["input_ids", "attention_mask", "token_type_ids"])
"""What models are called with: those without segments, and those with them."""


def model_input_names(config: Any) -> list[str]:
    """What a model of this configuration is called with; some families have no segments."""
    segments = getattr(config, "type_vocab_size", 0) > 0 and config.model_type != "distilbert"
    return list(INPUTS[1 if segments else 0])


def pad(pairs: Sequence[EncodedPair], pad_id: int, multiple: int = 1) -> tuple[Ids, Ids, Ids]:
    """Returns `input_ids`, `attention_mask`, `token_type_ids`, each `[batch, longest pair]`, int64; the
    width is rounded up to a `multiple`."""
    longest = max(len(pair) for pair in pairs)
    shape = (len(pairs), longest + -longest % multiple)
    input_ids = np.full(shape, pad_id, dtype=np.int64)
    mask, types = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.int64)
    for row, pair in enumerate(pairs):
        input_ids[row, : len(pair)] = pair.input_ids
        mask[row, : len(pair)] = 1
        types[row, : len(pair)] = pair.token_type_ids
    return input_ids, mask, types
