"""Adapters: beside the layers of every family, trained with the head, and merged into a plain model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from peft.tuners.lora import Linear
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from crosstune.errors import CheckFailed, InputError
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder, train
from crosstune.train.comparison.segments import Markers
from crosstune.train.lora import ADAPTER, add_adapters, merge_adapters
from crosstune.train.packed import packed
from crosstune.train.scoring import score_pairs
from crosstune.train.start import begin
from crosstune.train.tuning_config import LoraSettings
from crosstune.trec import read_run
from doctor_cases import diagnoses, marked_groups, run
from encoders import gradients, padded_batch, tiny_encoder
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder
from training import (
    dev_of,
    headless_base,
    positives_last,
    random_groups,
    tiny_settings,
    train_tiny,
)

RULE = LengthRule(max_tokens=32, max_query_tokens=12)
PAIRS = [("open file", "read the file"), ("sort list", "a list of numbers"), ("path", "close")]


def _disturbed(model: PreTrainedModel) -> PreTrainedModel:
    """With adapters that change something, as after training."""
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.copy_(0.1 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_merged_weights_of_a_family_are_a_plain_model_with_the_adapters_logits(
    family: str, tmp_path: Path
) -> None:
    base = tiny_base(tmp_path / "base", family)
    plain = load_cross_encoder(base, RULE, 3)
    encoder = PairEncoder.from_folder(base, RULE)
    before = score_pairs(plain, encoder, PAIRS)
    model = load_cross_encoder(base, RULE, 3)
    add_adapters(model, LoraSettings(rank=4), 0, model.config.num_hidden_layers, seed=1)
    assert score_pairs(model, encoder, PAIRS) == pytest.approx(before, abs=1e-6), "they begin at nothing"
    head = {n for n, p in model.named_parameters() if p.requires_grad and ADAPTER not in n}
    assert head
    assert {n for n, _ in model.named_parameters() if not n.startswith(f"{model.base_model_prefix}.")} <= head
    with_adapters = score_pairs(_disturbed(model), encoder, PAIRS)
    assert with_adapters != pytest.approx(before, abs=1e-2)
    merge_adapters(model, encoder, PAIRS, base, tmp_path)
    assert model.state_dict().keys() == plain.state_dict().keys()
    model.save_pretrained(tmp_path / "merged")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path / "merged").eval()
    assert score_pairs(again, encoder, PAIRS) == pytest.approx(with_adapters, abs=1e-4)
    assert not (tmp_path / "merged.partial").exists()


def test_training_changes_each_layer_by_the_rank_the_head_and_nothing_else(tmp_path: Path) -> None:
    out, _ = train_tiny(tmp_path, "out", teacher="none", lora={"rank": 2})
    before = load_file(tmp_path / "base" / "model.safetensors")
    after = load_file(out / "model" / "model.safetensors")
    assert after.keys() == before.keys()
    for name, tensor in before.items():
        change = after[name] - tensor
        if name == "classifier.bias":
            continue  # of the zero of the logits
        if name.startswith(("classifier", "bert.pooler")):
            assert change.abs().max() > 1e-5, name
        elif "encoder.layer" in name and tensor.dim() == 2:
            # In fp32 a change of rank 2 has singular values beyond it of its rounding alone.
            values = torch.linalg.svdvals(change.double())
            assert values[1] > 1e-5 > values[2], name
        else:
            assert torch.equal(after[name], tensor), name


def test_adapters_learn_in_bf16_and_the_doctor_finds_nothing(tmp_path: Path) -> None:
    out = run(tmp_path, marked_groups(64), precision="bf16", lora={"rank": 4}, learning_rate=3e-3)
    dev = json.loads((out / "train.json").read_text())["dev"]
    assert dev["tuned"] > max(dev["base"], dev["first_stage"]) + 0.1
    assert diagnoses(out) == {}


def test_adapters_work_without_padding() -> None:
    model = tiny_encoder("bert").double()
    add_adapters(model, LoraSettings(rank=4), 0, 3, seed=1)
    _disturbed(model)
    with torch.inference_mode():
        expected = model(**padded_batch()).logits
    padded = gradients(model)
    with packed(model) as smaller:
        assert smaller
        with torch.inference_mode():
            torch.testing.assert_close(model(**padded_batch()).logits, expected, atol=1e-9, rtol=0)
        torch.testing.assert_close(gradients(model), padded, atol=1e-10, rtol=1e-8)


def test_adapters_drop_their_inputs_in_training_alone() -> None:
    model = _disturbed(_adapted(LoraSettings(rank=4, dropout=0.5)))
    with torch.no_grad():
        first, second = (model.train()(**padded_batch()).logits for _ in range(2))
        third, fourth = (model.eval()(**padded_batch()).logits for _ in range(2))
    assert not torch.equal(first, second)
    assert torch.equal(third, fourth)


def _adapted(settings: LoraSettings) -> PreTrainedModel:
    model = tiny_encoder("bert")
    add_adapters(model, settings, 0, 3, seed=1)
    return model


def test_alpha_says_how_much_an_adapter_counts() -> None:
    for alpha, scale in ((None, 2.0), (2.0, 0.5)):
        adapters = [m for m in _adapted(LoraSettings(rank=4, alpha=alpha)).modules() if isinstance(m, Linear)]
        assert {adapter.scaling["default"] for adapter in adapters} == {scale}


def test_targets_are_found_by_the_end_of_their_name() -> None:
    model = _adapted(LoraSettings(rank=2, targets=["query", "attention.output.dense"]))
    adapted = {name.split("layer.")[1][2:] for name, m in model.named_modules() if isinstance(m, Linear)}
    assert adapted == {"attention.self.query", "attention.output.dense"}


def test_a_target_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    with pytest.raises(
        InputError, match=r"called 'q_proj'; there are .*attention\.self\.query.*output\.dense"
    ):
        train_tiny(tmp_path, "out", teacher="none", lora={"rank": 2, "targets": ["query", "q_proj"]})


def test_no_layer_left_for_adapters_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"freeze_layers is 2, which leaves no layer of 2 .* 1 or less"):
        train_tiny(tmp_path, "out", teacher="none", freeze_layers=2, lora={"rank": 2})


def test_frozen_layers_get_no_adapters(tmp_path: Path) -> None:
    out, _ = train_tiny(tmp_path, "out", teacher="none", freeze_layers=1, lora={"rank": 2})
    before = load_file(tmp_path / "base" / "model.safetensors")
    after = load_file(out / "model" / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(".layer.0." in name or "embeddings" in name for name in changed)
    assert any(".layer.1." in name for name in changed)


def test_a_merge_that_loses_the_adapters_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As by a package that takes them away without adding them."""
    monkeypatch.setattr(Linear, "merge", lambda self, safe_merge=False: None)
    base = tiny_cross_encoder(tmp_path / "base")
    model = load_cross_encoder(base, RULE, 3)
    add_adapters(model, LoraSettings(rank=4), 0, 2, seed=1)
    with pytest.raises(CheckFailed, match=r"adapters cannot be merged: a logit differs by \d"):
        merge_adapters(_disturbed(model), PairEncoder.from_folder(base, RULE), PAIRS, base, tmp_path)


def test_a_start_as_comparison_keeps_its_marks_and_trains_its_own_layer_whole(tmp_path: Path) -> None:
    groups = random_groups(24)
    settings = tiny_settings(teacher="base", lora={"rank": 2})
    base = headless_base(tmp_path / "base")
    encoder = PairEncoder.from_folder(base, RULE)
    network, _ = begin(
        load_cross_encoder(base, RULE, 5), base, groups, dev_of(groups)[0], positives_last(groups), encoder,
        settings, bf16=False, seed=5, folder=tmp_path,
    )  # fmt: skip
    own = "bert.encoder.layer.2."
    trained = {name for name, p in network.named_parameters() if p.requires_grad}
    assert {n for n, _ in network.named_parameters() if n.startswith((own, "classifier", "bert.pooler"))} == {
        name for name in trained if ADAPTER not in name
    }
    markers = Markers(**json.loads((tmp_path / "start" / "markers.json").read_text())).all
    optimizer = torch.optim.AdamW([p for p in network.parameters() if p.requires_grad], lr=1e-2)
    batch = padded_batch([12, 9, 5])
    for _ in range(3):
        network(**batch).logits.square().sum().backward()
        optimizer.step()
    after = dict(network.named_parameters())
    for part in ("attention.output.dense", "output.dense"):
        written = after[f"bert.encoder.layer.0.{part}.lora_B.default.weight"]
        assert written.abs().max() > 1e-3
        assert not written[markers].any(), "nothing is written where the marks are"
        assert not after[f"{own}{part}.weight"].isnan().any()


def test_a_start_as_comparison_is_blended_with_merged_weights(tmp_path: Path) -> None:
    groups = random_groups(24)
    out = tmp_path / "out"
    out.mkdir()
    base = headless_base(tmp_path / "base")
    settings = tiny_settings(teacher="base", dev_queries=12, lora={"rank": 2})
    summary = train(groups, dev_of(groups)[0], positives_last(groups), str(base), settings, 5, out)
    assert summary.best_step == 0 or summary.best_share in (0.25, 0.5, 0.75, 1.0)
    model, encoder = load_cross_encoder(out / "model", RULE, 0), PairEncoder.from_folder(out / "model", RULE)
    assert model.config.num_hidden_layers == 3
    logits = read_run(out / "dev.tuned.trec")
    for group in groups[:6]:
        expected = score_pairs(model, encoder, [(group.query, doc) for doc in group.docs])
        assert [logits[group.query_id][d] for d in group.doc_ids] == pytest.approx(expected, abs=1e-4)
