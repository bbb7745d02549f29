"""Many and long texts take little memory where they are tokenised, and their ids are what they were."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crosstune.parts import CHARACTERS_A_TOKEN, parts
from crosstune.records import Group
from crosstune.train.bi_encoder import BiEncoder, _Pairs
from crosstune.train.masked import load_masker, pieces_of
from models import tiny_cross_encoder
from training import random_text

AT_ONCE = 3000
LONGEST = 32


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
