"""Google's tokenization and dl4marco-bert's pair, written anew as their 2019 TensorFlow code describes them:
character by character, without any library. The tests hold `pair_input` to it."""

from __future__ import annotations

import unicodedata

LONGEST_WORD = 200
CJK = [
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
]


def is_space(char: str) -> bool:
    return char in (" ", "\t", "\n", "\r") or unicodedata.category(char) == "Zs"


def is_control(char: str) -> bool:
    return char not in ("\t", "\n", "\r") and unicodedata.category(char)[0] == "C"


def is_punctuation(char: str) -> bool:
    code = ord(char)
    if 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126:
        return True
    return unicodedata.category(char)[0] == "P"


def is_cjk(char: str) -> bool:
    return any(low <= ord(char) <= high for low, high in CJK)


def basic(text: str) -> list[str]:
    kept = []
    for char in text:
        if ord(char) in (0, 0xFFFD) or is_control(char):
            continue
        kept.append(" " if is_space(char) else char)
    spaced = "".join(f" {char} " if is_cjk(char) else char for char in kept)
    parts: list[str] = []
    for token in spaced.strip().split():
        bare = [c for c in unicodedata.normalize("NFD", token.lower()) if unicodedata.category(c) != "Mn"]
        word: list[str] = []
        for char in bare:
            if is_punctuation(char):
                parts.append("".join(word))
                parts.append(char)
                word = []
            else:
                word.append(char)
        parts.append("".join(word))
    return " ".join(parts).split()


def wordpieces(word: str, vocabulary: dict[str, int]) -> list[str]:
    if len(word) > LONGEST_WORD:
        return ["[UNK]"]
    pieces = []
    start = 0
    while start < len(word):
        for end in range(len(word), start, -1):
            piece = ("##" if start else "") + word[start:end]
            if piece in vocabulary:
                pieces.append(piece)
                start = end
                break
        else:
            return ["[UNK]"]
    return pieces


def convert_to_bert_input(text: str, longest: int, vocabulary: dict[str, int], add_cls: bool) -> list[int]:
    tokens = [piece for word in basic(text) for piece in wordpieces(word, vocabulary)]
    if len(tokens) > longest - 2:
        tokens = tokens[: longest - 2]
    if add_cls:
        tokens = ["[CLS]", *tokens]
    return [vocabulary[token] for token in [*tokens, "[SEP]"]]


def pair(
    query: str, passage: str, vocabulary: dict[str, int], max_query: int = 64, longest: int = 512
) -> tuple[list[int], list[int]]:
    first = convert_to_bert_input(query, max_query, vocabulary, add_cls=True)
    second = convert_to_bert_input(passage, longest - len(first), vocabulary, add_cls=False)
    return first + second, [0] * len(first) + [1] * len(second)
