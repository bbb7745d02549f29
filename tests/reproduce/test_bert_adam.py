"""BERT's optimizer against a NumPy writing of Google's update, and its learning rate."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForSequenceClassification, BertConfig, BertForSequenceClassification

from crosstune.train.bert_adam import BertAdam, rate_share

PEAK, WARMUP, STEPS = 1e-3, 20, 200
SETTINGS = {"betas": (0.9, 0.999), "epsilon": 1e-6, "weight_decay": 0.01, "max_grad_norm": 1.0}


def _tiny() -> BertForSequenceClassification:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=50,
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=16,
        num_labels=2,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return BertForSequenceClassification(config)


class _Numpy:
    """`create_optimizer` of google-research/bert, on arrays of the model's own precision."""

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        self.weights = weights
        self.m = {name: np.zeros_like(weight) for name, weight in self.weights.items()}
        self.v = {name: np.zeros_like(weight) for name, weight in self.weights.items()}

    def apply(self, gradients: dict[str, np.ndarray], step: int) -> float:
        rate = PEAK * (1 - min(step, STEPS) / STEPS)
        if step < WARMUP:
            rate = PEAK * (step / WARMUP)
        norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients.values()))
        for name, gradient in gradients.items():
            clipped = gradient * (1.0 / max(float(norm), 1.0))
            self.m[name] = 0.9 * self.m[name] + 0.1 * clipped
            self.v[name] = 0.999 * self.v[name] + 0.001 * clipped**2
            update = self.m[name] / (np.sqrt(self.v[name]) + 1e-6)
            if "LayerNorm" not in name and "bias" not in name:
                update += 0.01 * self.weights[name]
            self.weights[name] = self.weights[name] - rate * update
        return float(norm)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-6)])
def test_two_hundred_steps_equal_the_original_update(dtype: torch.dtype, tolerance: float) -> None:
    model = _tiny().to(dtype)
    optimizer = BertAdam(model.named_parameters(), learning_rate=PEAK, **SETTINGS)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: rate_share(step, WARMUP, STEPS))
    reference = _Numpy({name: p.detach().numpy().copy() for name, p in model.named_parameters()})
    draw = torch.Generator().manual_seed(1)
    norms = []
    for step in range(STEPS):
        ids = torch.randint(0, 50, (8, 12), generator=draw)
        labels = torch.randint(0, 2, (8,), generator=draw)
        (5 * model(input_ids=ids, labels=labels).loss).backward()
        gradients = {name: p.grad.numpy().copy() for name, p in model.named_parameters()}
        norms.append(reference.apply(gradients, step))
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
        if dtype == torch.float32:
            # Both go on from the same weights: what is compared is the update, not chaos over 200 steps.
            worst = max(
                float(np.abs(reference.weights[n] - p.detach().numpy()).max())
                for n, p in model.named_parameters()
            )
            assert worst < tolerance
    assert min(norms) < 1 < max(norms), "the clipping was not tried on both sides"
    for name, parameter in model.named_parameters():
        assert np.abs(reference.weights[name] - parameter.detach().numpy()).max() < tolerance, name


def test_the_first_step_is_not_bias_corrected() -> None:
    weight = torch.nn.Parameter(torch.tensor([1.0, -2.0], dtype=torch.float64))
    optimizer = BertAdam([("weight", weight)], learning_rate=0.1, **SETTINGS)
    weight.grad = torch.tensor([0.3, 0.4], dtype=torch.float64)
    optimizer.step()
    # m / (sqrt v + eps) = .1 g / (sqrt(.001) |g| + 1e-6) = 3.1622... in size, where torch's Adam makes 1.
    moved = 0.03 / (np.sqrt(0.001) * 0.3 + 1e-6) + 0.01
    assert weight[0].item() == pytest.approx(1 - 0.1 * moved, abs=1e-12)


@pytest.mark.parametrize("name", ["bert.encoder.layer.0.output.LayerNorm.weight", "classifier.bias"])
def test_layer_norms_and_biases_are_not_decayed(name: str) -> None:
    kept = torch.nn.Parameter(torch.ones(2))
    decayed = torch.nn.Parameter(torch.ones(2))
    optimizer = BertAdam([(name, kept), ("classifier.weight", decayed)], learning_rate=0.1, **SETTINGS)
    kept.grad, decayed.grad = torch.zeros(2), torch.zeros(2)
    optimizer.step()
    assert kept.tolist() == [1.0, 1.0]
    assert decayed.tolist() == pytest.approx([0.999, 0.999])


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (1, 3e-10),
        (9_999, 2.9997e-6),
        (10_000, 2.7e-6),
        (10_001, 2.69997e-6),
        (55_000, 1.35e-6),
        (100_000, 0.0),
    ],
)
def test_the_rate_of_the_paper(step: int, rate: float) -> None:
    assert 3e-6 * rate_share(step, 10_000, 100_000) == pytest.approx(rate, rel=1e-9, abs=1e-18)


def test_the_state_is_saved_and_loaded(tmp_path: Path) -> None:
    model = _tiny()
    optimizer = BertAdam(model.named_parameters(), learning_rate=PEAK, **SETTINGS)
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    model.save_pretrained(tmp_path)
    torch.save(optimizer.state_dict(), tmp_path / "optimizer.pt")
    again = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    other = BertAdam(again.named_parameters(), learning_rate=PEAK, **SETTINGS)
    other.load_state_dict(torch.load(tmp_path / "optimizer.pt"))
    for number, (one, two) in enumerate(zip(model.parameters(), again.parameters(), strict=True)):
        one.grad, two.grad = torch.full_like(one, number), torch.full_like(two, number)
    optimizer.step()
    other.step()
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
