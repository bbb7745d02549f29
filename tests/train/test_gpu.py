"""What differs on a GPU; skipped where there is none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from crosstune.first_token import FAMILIES
from crosstune.serve.pairs import LengthRule
from crosstune.train import load_scorer, ragged
from crosstune.train.packed import packed
from encoders import LENGTHS, padded_batch, tiny_encoder
from models import tiny_cross_encoder
from training import assert_same_training, train_tiny

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch sees no GPU")


def _bf16_run(family: str, *, whole: bool) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Logits and gradients, computed in bf16 without padding or (`whole`) by the model's own code."""
    model = tiny_encoder(family).cuda()
    batch = {name: tensor.cuda() for name, tensor in padded_batch(LENGTHS).items()}
    with torch.autocast("cuda", dtype=torch.bfloat16):
        if whole:
            logits = model(**batch).logits.float()
        else:
            with packed(model) as smaller:
                assert smaller
                logits = model(**batch).logits.float()
    logits.square().sum().backward()
    return logits.detach(), [p.grad for p in model.parameters() if p.grad is not None]


@pytest.mark.skipif(not ragged.VARIABLE_LENGTH, reason="this torch has no attention without padding")
@pytest.mark.parametrize("family", FAMILIES)
def test_attention_without_padding_is_as_exact_as_the_padded_one(
    family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact_model = tiny_encoder(family).double()
    exact = exact_model(**padded_batch(LENGTHS)).logits
    exact.square().sum().backward()
    gradients = [p.grad for p in exact_model.parameters() if p.grad is not None]
    calls = []
    attend = ragged.Ragged._without_padding

    def counted(self: ragged.Ragged, *arguments: object) -> torch.Tensor:
        calls.append(1)
        return attend(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(ragged.Ragged, "_without_padding", counted)
    theirs, their_gradients = _bf16_run(family, whole=True)
    assert not calls
    ours, our_gradients = _bf16_run(family, whole=False)
    assert len(calls) == 3, "each layer"

    def off(found: list[torch.Tensor], right: list[torch.Tensor]) -> float:
        pairs = list(zip(found, right, strict=True))
        wrong = sum(float((f.double().cpu() - r).square().sum()) for f, r in pairs)
        return (wrong / sum(float(r.square().sum()) for r in right)) ** 0.5

    assert off([ours], [exact.detach()]) < max(0.02, 1.5 * off([theirs], [exact.detach()]))
    assert off(our_gradients, gradients) < max(0.02, 1.5 * off(their_gradients, gradients))


def test_heads_of_a_width_that_the_kernel_refuses_are_padded() -> None:
    """Flash attention takes multiples of 8."""
    model = tiny_encoder("bert", hidden_size=40).cuda()
    batch = {name: tensor.cuda() for name, tensor in padded_batch(LENGTHS).items()}
    with torch.inference_mode(), torch.autocast("cuda", dtype=torch.bfloat16):
        expected = model(**batch).logits
        with packed(model) as smaller:
            assert smaller
            torch.testing.assert_close(model(**batch).logits, expected, atol=0.1, rtol=0.05)


def test_fp32_on_a_gpu_is_fp32_on_a_cpu() -> None:
    model = tiny_encoder("bert")
    batch = padded_batch(LENGTHS)
    with torch.inference_mode(), packed(model):
        expected = model(**batch).logits
        model.cuda()
        found = model(**{name: tensor.cuda() for name, tensor in batch.items()}).logits.cpu()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


def test_what_scores_is_on_the_gpu(tmp_path: Path) -> None:
    assert load_scorer(tiny_cross_encoder(tmp_path), LengthRule(32, 12), 0).device.type == "cuda"


@pytest.fixture
def little_memory() -> Iterator[None]:
    """Room for the tiny model and for a part of a step's pairs only."""
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 64 * 2**20) / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)
    torch.cuda.empty_cache()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_full_gpu_trains_the_same_weights(tmp_path: Path, accumulate: int, request: pytest.FixtureRequest,
                                            capsys: pytest.CaptureFixture[str]) -> None:  # fmt: skip
    changes = {
        "teacher": "none", "count": 256, "groups_per_step": 256, "epochs": 2, "evaluations": 1,
        "accumulate": accumulate, "base": {"hidden_size": 128, "intermediate_size": 1024},
    }  # fmt: skip
    plain, _ = train_tiny(tmp_path, "plain", **changes)  # type: ignore[arg-type]
    assert "out of memory" not in capsys.readouterr().err
    request.getfixturevalue("little_memory")
    little, _ = train_tiny(tmp_path, "little", **changes)  # type: ignore[arg-type]
    assert "out of memory" in capsys.readouterr().err
    assert_same_training(little, plain, atol=2e-3, rtol=1e-2)


def test_auto_takes_bf16_where_it_pays(tmp_path: Path) -> None:
    out, _ = train_tiny(tmp_path, "auto", teacher="none", precision="auto", evaluations=1)
    measured = json.loads((out / "precision.json").read_text())
    assert measured["bf16"] == (measured["bf16_over_fp32"] >= 1.5)
    if torch.cuda.get_device_capability() >= (8, 0):
        assert measured["bf16"], measured
