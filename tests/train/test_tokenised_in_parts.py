"""Many and long texts take little memory where they are tokenised, and their ids are what they were."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.parts import CHARACTERS_A_TOKEN, parts
from crosstune.records import Group
from crosstune.serve.pairs import SPACE, LengthRule, PairEncoder
from crosstune.serve.windows import Windows
from crosstune.train.batching import TokenizedGroups
from crosstune.train.bi_encoder import BiEncoder, _Pairs
from crosstune.train.masked import load_masker, pieces_of
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder
from training import random_text

AT_ONCE = 3000
LONGEST = 32
RULES = [
    LengthRule(LONGEST, 8),
    LengthRule(LONGEST, 8, style="nogueira_cho"),
    LengthRule(LONGEST, 8, windows=Windows(4, 3)),
]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_cross_encoder(tmp_path_factory.mktemp("m") / "base")


@pytest.fixture
def texts() -> list[str]:
    rng = random.Random(4)
    return [random_text(rng, length) for length in (1, 5000, 7, 30, 31, 400, *[20] * 200)]


class _Watched:
    """A tokenizer, and the most characters that one call gave it."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self.calls: list[int] = []

    def __call__(self, texts: Sequence[str], **options: Any) -> Any:
        self.calls.append(sum(map(len, texts)))
        return self._tokenizer(texts, **options)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._tokenizer, name)


@pytest.fixture
def watched(base: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[BiEncoder, _Watched]:
    monkeypatch.setattr("crosstune.parts.ENCODED_CHARACTERS", AT_ONCE)
    encoder = BiEncoder(base, LONGEST)
    watched = _Watched(encoder._tokenizer)
    encoder._tokenizer = watched
    return encoder, watched


@given(st.lists(st.integers(0, 2_500_000)))
def test_parts_hold_every_text_once_and_no_more_than_asked(sizes: list[int]) -> None:
    found = [sizes[part] for part in parts(sizes)]
    assert [size for part in found for size in part] == sizes
    assert all(sum(part[:-1]) < 2_000_000 for part in found)
    assert all(sum(part) >= 2_000_000 for part in found[:-1])


@pytest.mark.parametrize("most", [None, 8])
def test_ids_are_those_of_one_call_with_whole_texts(
    watched: tuple[BiEncoder, _Watched], texts: list[str], most: int | None
) -> None:
    encoder, tokenizer = watched
    whole = tokenizer._tokenizer(texts, truncation=True, max_length=most or LONGEST)["input_ids"]
    assert encoder.ids(texts, most) == whole
    assert len(tokenizer.calls) > 3
    assert max(tokenizer.calls) < AT_ONCE + LONGEST * CHARACTERS_A_TOKEN < len(texts[1])


def test_vectors_are_those_of_each_text_alone(watched: tuple[BiEncoder, _Watched], texts: list[str]) -> None:
    encoder, tokenizer = watched
    alone = torch.cat([encoder.embed([text], "text") for text in texts])
    tokenizer.calls.clear()
    assert torch.allclose(encoder.embed(texts, "texts"), alone, atol=1e-5)
    assert max(tokenizer.calls) < AT_ONCE + LONGEST * CHARACTERS_A_TOKEN


def test_pairs_of_the_adaptation_are_tokenised_when_they_are_drawn(
    watched: tuple[BiEncoder, _Watched], texts: list[str]
) -> None:
    encoder, tokenizer = watched
    ids = [str(number) for number in range(len(texts))]
    nothing: list[float | None] = [None] * len(ids)
    pairs = _Pairs(encoder, [Group("q", texts[2], ids, texts, [1] * len(ids), nothing, nothing)])
    assert not tokenizer.calls
    assert pairs[1]["passage"] == encoder.ids([texts[1]])[0]
    assert pairs[1]["query"] == encoder.ids([texts[2]])[0]


def test_pieces_are_those_of_one_call(base: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = _Watched(load_masker(base, 0.15).tokenizer)
    whole = pieces_of(tokenizer, texts, LONGEST)
    monkeypatch.setattr("crosstune.parts.ENCODED_CHARACTERS", AT_ONCE)
    tokenizer.calls.clear()
    assert pieces_of(tokenizer, texts, LONGEST) == whole
    assert len(tokenizer.calls) > 3


@pytest.mark.parametrize("rule", RULES, ids=["cut", "nogueira_cho", "windows"])
def test_groups_hold_what_is_read_and_count_the_rest(
    base: Path, texts: list[str], rule: LengthRule, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = PairEncoder.from_folder(base, rule)
    queries = [texts[2], texts[5]]
    whole = encoder.words(texts)
    expected = [[encoder.join(query, passage) for passage in whole] for query in encoder.words(queries)]
    calls: list[int] = []
    words = encoder.words

    def counted(given: Sequence[str]) -> Any:
        calls.append(sum(map(len, given)))
        return words(given)

    monkeypatch.setattr(encoder, "words", counted)
    monkeypatch.setattr("crosstune.parts.ENCODED_CHARACTERS", AT_ONCE)
    ids = [str(number) for number in range(len(texts))]
    nothing: list[float | None] = [None] * len(ids)
    groups = [Group(query, query, ids, texts, [1] * len(ids), nothing, nothing) for query in queries]
    data = TokenizedGroups(groups, encoder)
    for number, pairs in enumerate(expected):
        assert data[number]["pairs"] == pairs
    assert [data.tokens(text) for text in texts] == [len(words.ids) for words in whole]
    assert data.cuts().queries_cut == 1
    assert max(len(kept.ids) for kept in data._words.values()) <= rule.reach + SPACE
    assert sorted(calls)[-2] < 2 * AT_ONCE, "but for the one long text"


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=20, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), min_size=100, max_size=200), reach=st.integers(20, 40))
def test_what_is_kept_of_any_text_begins_as_the_text_does(
    bases: Callable[[str], Path], family: str, text: str, reach: int
) -> None:
    encoder = PairEncoder.from_folder(bases(family), LengthRule(reach, 8))
    (whole,) = encoder.words([text])
    ((kept, more),) = encoder.readable([text])
    assert kept.ids[:reach] == whole.ids[:reach]
    assert len(kept.ids) + more == len(whole.ids)


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def base(family: str) -> Path:
        if family not in made:
            made[family] = tiny_base(tmp_path_factory.mktemp(family) / "base", family)
        return made[family]

    return base
