"""Layers of a base that are kept, frozen, or trained at a rate of their own."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file

from crosstune.errors import InputError
from crosstune.models import has_ranking_head
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder
from crosstune.train.layers import chosen_layers, depths, layers_of, with_layers
from crosstune.train.lora import ADAPTER, add_adapters
from crosstune.train.rates import rate_groups
from crosstune.train.scoring import score_pairs
from encoders import tiny_encoder
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder
from training import assert_same_training, tiny_settings, train_tiny

RULE = LengthRule(max_tokens=32, max_query_tokens=12)
PAIRS = [("open file", "read the file"), ("sort list", "a list of numbers"), ("path", "close")]


def test_half_of_bert_are_the_layers_that_distilbert_began_with() -> None:
    """Sanh et al.'s own script takes 0, 2, 4, 7, 9 and 11."""
    assert chosen_layers(6, 12) == [0, 2, 4, 7, 9, 11]


@given(total=st.integers(1, 48), data=st.data())
def test_any_number_of_layers(total: int, data: st.DataObject) -> None:
    wanted = data.draw(st.integers(1, total))
    found = chosen_layers(wanted, total)
    assert len(set(found)) == wanted
    assert found == sorted(found)
    assert found[0] == 0
    assert wanted == 1 or found[-1] == total - 1


@pytest.mark.parametrize("wanted", [7, [0, 6]])
def test_layers_that_do_not_exist_are_told(wanted: int | list[int]) -> None:
    with pytest.raises(InputError, match=r"train\.layers .* the base has 6 layers"):
        chosen_layers(wanted, 6)


@pytest.mark.parametrize("headed", [True, False])
def test_the_kept_layers_compute_what_they_did(headed: bool, tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path / "base", num_hidden_layers=5)
    whole = load_cross_encoder(base, RULE, 3)
    if not headed:
        whole.base_model.save_pretrained(base)
        whole = load_cross_encoder(base, RULE, 3)
    smaller = with_layers(base, [0, 1, 4], RULE, 3, tmp_path)
    assert has_ranking_head(smaller) == headed
    encoder = PairEncoder.from_folder(smaller, RULE)
    layers = whole.bert.encoder.layer
    whole.bert.encoder.layer = torch.nn.ModuleList([layers[0], layers[1], layers[4]])
    model = load_cross_encoder(smaller, RULE, 3)
    assert model.config.num_hidden_layers == len(model.bert.encoder.layer) == 3
    assert score_pairs(model, encoder, PAIRS) == pytest.approx(score_pairs(whole, encoder, PAIRS), abs=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_each_family_is_cut_and_frozen_by_its_own_names(family: str, tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base", family)
    whole = load_cross_encoder(base, RULE, 3)
    count = whole.config.num_hidden_layers
    model = load_cross_encoder(with_layers(base, count - 1, RULE, 3, tmp_path), RULE, 3)
    assert len(layers_of(model)[1]) == model.config.num_hidden_layers == count - 1
    encoder = PairEncoder.from_folder(base, RULE)
    assert len(set(score_pairs(model, encoder, PAIRS))) == len(PAIRS)
    depth = depths(whole)
    assert set(depth.values()) == set(range(count + 2))
    assert (
        depth[
            next(name for name in depth if name.endswith(("word_embeddings.weight", "tok_embeddings.weight")))
        ]
        == 0
    )
    assert all(depth[name] == count + 1 for name in depth if "classifier" in name or "pooler" in name)


def test_layers_of_one_kind_each_cannot_stand_first(tmp_path: Path) -> None:
    """ModernBERT's layer 0 alone has no norm before its attention."""
    base = tiny_base(tmp_path / "base", "modernbert")
    with pytest.raises(InputError, match=r"\[1, 2\] .* cannot stand alone.*keep layer 0"):
        with_layers(base, [1, 2], RULE, 3, tmp_path)
    kept = load_cross_encoder(with_layers(base, [0, 3], RULE, 3, tmp_path), RULE, 3)
    types = load_cross_encoder(base, RULE, 3).config.layer_types
    assert kept.config.layer_types == [types[0], types[3]]


@pytest.mark.parametrize("frozen", [0, 1, 2])
def test_frozen_layers_stay_as_they_are(frozen: int, tmp_path: Path) -> None:
    out, _ = train_tiny(tmp_path, "out", teacher="none", freeze_layers=frozen, epochs=1, evaluations=1)
    before = load_file(tmp_path / "base" / "model.safetensors")
    after = load_file(out / "model" / "model.safetensors")
    same = {name for name, tensor in before.items() if torch.equal(tensor, after[name])}
    assert same >= {n for n in before if "embeddings" in n or any(f".layer.{i}." in n for i in range(frozen))}
    trained = ["classifier.weight", "bert.pooler.dense.weight"]
    trained += [f"bert.encoder.layer.{i}.output.dense.weight" for i in range(frozen, 2)]
    assert not same & set(trained)


def test_more_frozen_layers_than_there_are_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"freeze_layers is 3, and the base has 2 layers; 2 or less"):
        train_tiny(tmp_path, "out", teacher="none", freeze_layers=3)


def test_a_training_with_fewer_layers_leaves_nothing_of_the_base_behind(tmp_path: Path) -> None:
    out, _ = train_tiny(tmp_path, "out", base={"num_hidden_layers": 4}, teacher="none", layers=2)
    assert load_cross_encoder(out / "model", RULE, 0).config.num_hidden_layers == 2
    assert not (out / "reduced").exists()


def test_each_weight_has_one_rate_and_lower_layers_a_lower_one() -> None:
    model = tiny_encoder("bert", layers=2)
    settings = tiny_settings(layer_decay=0.5, weight_decay=0.1)
    names = {id(p): name for name, p in model.named_parameters()}
    decaying = {name for name in names.values() if name.endswith(".weight") and "LayerNorm" not in name}
    groups = rate_groups(model, decaying, settings=settings, rate=0.08)
    found = {names[id(p)]: (g["lr"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert sum(len(group["params"]) for group in groups) == len(found) == len(names)
    assert groups[0]["lr"] == 0.08, "the log shows the rate of the first"
    assert found["classifier.weight"] == found["bert.pooler.dense.weight"] == (0.08, 0.1)
    assert found["bert.encoder.layer.1.output.dense.bias"] == (0.04, 0.0)
    assert found["bert.encoder.layer.0.output.dense.weight"] == (0.02, 0.1)
    assert found["bert.embeddings.word_embeddings.weight"] == (0.01, 0.1)
    assert found["bert.embeddings.LayerNorm.weight"] == (0.01, 0.0)


@pytest.mark.parametrize(("own", "expected"), [(None, 2e-4), (5e-4, 5e-4)])
def test_adapters_have_a_rate_of_their_own(own: float | None, expected: float) -> None:
    model = tiny_encoder("bert", layers=2)
    settings = tiny_settings(lora={"rank": 2, "learning_rate": own})
    add_adapters(model, settings.lora, 0, 2, seed=1)
    names = {id(p): name for name, p in model.named_parameters()}
    groups = rate_groups(model, [], settings=settings, rate=2e-5)
    rates = {names[id(p)]: group["lr"] for group in groups for p in group["params"]}
    assert {rate for name, rate in rates.items() if ADAPTER in name} == {expected}
    assert {rate for name, rate in rates.items() if ADAPTER not in name} == {2e-5}


def test_a_lower_rate_below_changes_the_lower_layers_less(tmp_path: Path) -> None:
    changes = {}
    for name, decay in (("plain", 1.0), ("decayed", 0.01)):
        out, _ = train_tiny(tmp_path, name, teacher="none", layer_decay=decay, epochs=1, evaluations=1)
        before = load_file(tmp_path / "base" / "model.safetensors")
        after = load_file(out / "model" / "model.safetensors")
        changes[name] = {n: float((after[n] - before[n]).abs().max()) for n in before}
    word, head = "bert.embeddings.word_embeddings.weight", "classifier.weight"
    assert changes["decayed"][word] < 1e-4 * changes["plain"][word]
    assert changes["decayed"][head] > 0.3 * changes["plain"][head]


def test_gradient_checkpointing_trains_the_same_weights(tmp_path: Path) -> None:
    plain, _ = train_tiny(tmp_path, "plain", teacher="none", dropout=0.1)
    again, _ = train_tiny(tmp_path, "again", teacher="none", dropout=0.1, gradient_checkpointing=True)
    assert_same_training(again, plain, atol=1e-7, rtol=1e-6)
