"""The model input of Nogueira & Cho 2019 (arXiv:1901.04085), as their TensorFlow code made it.

That code tokenizes with Google's Python of January 2019. The `tokenizers` library differs from it: words up
to 100 characters in place of 200, special tokens written out in a text are kept whole, capital sigma
ignores where it stands in its word, and its Unicode tables are its own. So the text is split into words
here, by the original's rule, and the library only cuts the words into pieces.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from weakref import WeakKeyDictionary

from tokenizers import Encoding, Tokenizer
from tokenizers.models import WordPiece

from crosstune.errors import InputError

LONGEST_WORD = 200
CLS, SEP, UNK = "[CLS]", "[SEP]", "[UNK]"
_CJK = (
    *((0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF), (0x2A700, 0x2B73F), (0x2B740, 0x2B81F)),
    *((0x2B820, 0x2CEAF), (0xF900, 0xFAFF), (0x2F800, 0x2FA1F)),
)


class _Clean(dict[int, str | None]):
    """For `str.translate`: control characters go, spaces become one, CJK characters stand alone."""

    def __missing__(self, code: int) -> str | None:
        self[code] = replacement = _cleaned(chr(code))
        return replacement


class _Split(dict[int, str | None]):
    """For `str.translate` after NFD: accents go, punctuation stands alone."""

    def __missing__(self, code: int) -> str | None:
        self[code] = replacement = _split(chr(code))
        return replacement


def _cleaned(char: str) -> str | None:
    category = unicodedata.category(char)
    if char in " \t\n\r" or category == "Zs":
        return " "
    # All of "C": unassigned, private and surrogates too. Later versions of Google's code keep those.
    if char == "\ufffd" or category.startswith("C"):
        return None
    return f" {char} " if any(first <= ord(char) <= last for first, last in _CJK) else char


def _split(char: str) -> str | None:
    category = unicodedata.category(char)
    if category == "Mn":
        return None
    # Every ASCII character that is no letter or digit counts as punctuation, `$` and `^` too.
    symbol = "!" <= char <= "~" and not char.isalnum()
    return f" {char} " if symbol or category.startswith("P") else char


_CLEAN, _SPLIT = _Clean(), _Split()


def basic_words(text: str) -> list[str]:
    """The words of Google's `BasicTokenizer`, in lower case and without accents."""
    lower = text.translate(_CLEAN).lower()
    return unicodedata.normalize("NFD", lower).translate(_SPLIT).split()


class OriginalTokenizer:
    """Google's `FullTokenizer` over the vocabulary of `tokenizer`, joined as the original joins a pair.

    `tokenizer`: a `tokenizers.Tokenizer`, or a fast or slow BERT tokenizer of transformers. Only its
    vocabulary is used. Raises `InputError` when that is no WordPiece vocabulary of BERT's.
    """

    def __init__(self, tokenizer: Any) -> None:
        vocabulary = _vocabulary(tokenizer)
        if missing := [token for token in (CLS, SEP, UNK) if token not in vocabulary]:
            raise InputError(
                f"the tokenizer's vocabulary of {len(vocabulary)} pieces has no {', '.join(missing)}; "
                "the input of Nogueira & Cho 2019 needs a BERT vocabulary"
            )
        self._cls, self._sep = vocabulary[CLS], vocabulary[SEP]
        self._pieces = Tokenizer(
            WordPiece(dict(vocabulary), unk_token=UNK, max_input_chars_per_word=LONGEST_WORD)
        )

    def words(self, texts: Sequence[str]) -> list[Encoding]:
        """Wordpieces of each text, without special tokens and uncut."""
        words = [basic_words(text) for text in texts]
        encodings: list[Encoding] = self._pieces.encode_batch(
            words, is_pretokenized=True, add_special_tokens=False
        )
        return encodings

    def first_ids(self, text: str, count: int) -> list[int]:
        """The ids of the first `count` wordpieces of a text; the rest of a long text is not looked at."""
        words = basic_words(text)[:count]
        ids: list[int] = self._pieces.encode(words, is_pretokenized=True, add_special_tokens=False).ids
        return ids[:count]

    def cut(self, text: str, encoding: Encoding, count: int) -> str:
        """The words of the first `count` wordpieces; `encoding` is what `words` gave for the text. Its
        offsets count within a word."""
        last = encoding.word_ids[count - 1]
        assert last is not None  # that is of special tokens
        words = basic_words(text)
        return " ".join([*words[:last], words[last][: encoding.offsets[count - 1][1]]])

    def join(
        self, query: Sequence[int], passage: Sequence[int], max_query_tokens: int, max_tokens: int
    ) -> tuple[list[int], list[int]]:
        """`input_ids` and `token_type_ids` of a pair.

        The query has at most `max_query_tokens` ids with its two special tokens. The passage is cut as if
        it had a `[CLS]` as well, so that a pair has at most `max_tokens` - 1 ids.
        """
        first = [self._cls, *query[: max_query_tokens - 2], self._sep]
        second = [*passage[: max_tokens - len(first) - 2], self._sep]
        return first + second, [0] * len(first) + [1] * len(second)


_MADE: WeakKeyDictionary[Any, OriginalTokenizer] = WeakKeyDictionary()


def pair_input(
    query: str,
    passage: str,
    tokenizer: Any,
    max_query_tokens: int = 64,
    max_tokens: int = 512,
    style: Literal["nogueira_cho"] = "nogueira_cho",
) -> dict[str, list[int]]:
    """`input_ids` and `token_type_ids` of one pair, equal to those of the original code.

    `[CLS] query [SEP]` has at most `max_query_tokens` ids and segment 0; `passage [SEP]` has segment 1 and
    is cut so that the pair has at most `max_tokens` - 1 ids: the original leaves one slot unused.
    `tokenizer` gives the vocabulary; see `OriginalTokenizer`. Raises `InputError` for another style, for
    lengths that leave no room, and for a vocabulary that is not BERT's.
    """
    if style != "nogueira_cho":
        raise InputError(f"style {style!r} is not known; nogueira_cho was expected")
    if not 3 <= max_query_tokens <= max_tokens - 3:
        raise InputError(
            f"max_query_tokens is {max_query_tokens} and max_tokens {max_tokens}: 3 to max_tokens - 3 "
            "was expected, so that the special tokens and one piece of query and passage fit in"
        )
    original = _original(tokenizer)
    first, second = (original.first_ids(text, max_tokens) for text in (query, passage))
    input_ids, types = original.join(first, second, max_query_tokens, max_tokens)
    return {"input_ids": input_ids, "token_type_ids": types}


def _original(tokenizer: Any) -> OriginalTokenizer:
    """Made once for a tokenizer: reading the vocabulary out of it takes longer than a pair."""
    try:
        found = _MADE.get(tokenizer)
    except TypeError:  # what cannot be a key is no tokenizer, which the next line says
        found = None
    if found is None:
        found = OriginalTokenizer(tokenizer)
        _MADE[tokenizer] = found
    return found


def _vocabulary(tokenizer: Any) -> Mapping[str, int]:
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if isinstance(backend, Tokenizer):
        vocabulary: Mapping[str, int] = backend.get_vocab(with_added_tokens=False)
        return vocabulary
    found = getattr(tokenizer, "vocab", None)
    if not isinstance(found, Mapping):
        raise InputError(
            f"{type(tokenizer).__name__} is no BERT tokenizer: a tokenizers.Tokenizer or a BERT tokenizer of "
            "transformers was expected"
        )
    return found
