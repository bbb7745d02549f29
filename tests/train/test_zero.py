"""The zero of the logits: the sigmoid that other readers apply tells documents apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sentence_transformers import CrossEncoder
from transformers import AutoModelForSequenceClassification

from crosstune.train.zero import offset_to_share, shift_head
from crosstune.trec import read_run
from doctor_cases import dev_split, marked_groups, run
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder

LOGITS = st.lists(st.floats(-100, 100), min_size=1, max_size=20)


@given(logits=LOGITS, relevant=st.integers(0, 20))
def test_the_mean_sigmoid_becomes_the_share(logits: list[float], relevant: int) -> None:
    relevant = min(relevant, len(logits))
    run = {"q": {str(place): logit for place, logit in enumerate(logits)}}
    qrels = {"q": {str(place): int(place < relevant) for place in range(len(logits))}}
    offset = offset_to_share(run, qrels)
    mean = float((1 / (1 + np.exp(-(np.array(logits) + offset)))).mean())
    assert mean == pytest.approx((relevant + 1) / (len(logits) + 2), abs=1e-6)


def test_without_documents_nothing_moves() -> None:
    assert offset_to_share({"q": {}}, {"q": {"d": 1}}) == 0


@pytest.mark.parametrize("family", FAMILIES)
def test_the_head_of_a_family_is_found(family: str, tmp_path: Path) -> None:
    base = tiny_base(tmp_path, family)
    model = AutoModelForSequenceClassification.from_pretrained(base, num_labels=1).eval()
    ids = torch.tensor([[5, 6, 7, 8]])
    with torch.inference_mode():
        before = model(input_ids=ids).logits
        assert shift_head(model, -7.5)
        torch.testing.assert_close(model(input_ids=ids).logits, before - 7.5)


def _far_base(folder: Path) -> Path:
    """A base whose logits are all about 60, as a loss over lists may leave them."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_cross_encoder(folder))
    with torch.no_grad():
        model.classifier.bias.fill_(60)
    model.save_pretrained(folder)
    return folder


def _sigmoids(out: Path) -> np.ndarray:
    """What sentence-transformers says of the first dev query's documents."""
    collection, candidates = dev_split(marked_groups(40, seed=99))
    query_id = next(iter(candidates))
    pairs = [(collection.queries[query_id], collection.passages[doc]) for doc in candidates[query_id]]
    peer = CrossEncoder(str(out / "model"), device="cpu", activation_fn=torch.nn.Sigmoid())
    return np.asarray(peer.predict(pairs, show_progress_bar=False))


def test_a_loss_over_lists_leaves_sigmoids_that_differ(tmp_path: Path) -> None:
    base = _far_base(tmp_path / "base")
    out = run(tmp_path, marked_groups(64), base=base, learning_rate=3e-3)
    assert len(set(_sigmoids(out))) == 4
    logits = [logit for scores in read_run(out / "dev.tuned.trec").values() for logit in scores.values()]
    share = (40 + 1) / (160 + 2)
    assert float((1 / (1 + np.exp(-np.array(logits)))).mean()) == pytest.approx(share, abs=1e-3)


def test_a_loss_over_documents_keeps_its_zero(tmp_path: Path) -> None:
    base = _far_base(tmp_path / "base")
    out = run(tmp_path, marked_groups(8), base=base, learning_rate=1e-6, loss="bce", epochs=1)
    assert list(_sigmoids(out)) == [1, 1, 1, 1], "what binary cross-entropy learned is not moved"
    assert json.loads((out / "train.json").read_text())["steps"] == 1
