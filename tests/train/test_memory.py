"""A device that runs out of memory: the step is tried again with less, and nothing of it is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from crosstune.errors import CheckFailed
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder
from crosstune.train.batching import halves
from crosstune.train.scoring import score_pairs
from encoders import padded_batch
from models import tiny_cross_encoder
from training import assert_same_training, train_tiny


def _room_for(tokens: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on an embedding of more ids than that raises what a full GPU raises."""
    look_up = torch.nn.Embedding.forward

    def limited(self: torch.nn.Embedding, ids: torch.Tensor) -> torch.Tensor:
        if ids.numel() > tokens:
            raise torch.OutOfMemoryError(f"no room for {ids.numel()} tokens")
        return look_up(self, ids)

    monkeypatch.setattr(torch.nn.Embedding, "forward", limited)


def test_training_goes_on_with_smaller_passes_and_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plain, _ = train_tiny(tmp_path, "plain", teacher="none")
    assert "out of memory" not in capsys.readouterr().err
    _room_for(100, monkeypatch)
    little, _ = train_tiny(tmp_path, "little", teacher="none")
    told = capsys.readouterr().err
    assert "out of memory at step 1: each forward pass is now done again" in told
    assert "out of memory at step 1: forward passes of" in told
    assert "out of memory at step 2" not in told, "what was learned holds for the rest"
    assert_same_training(little, plain, atol=1e-4, rtol=1e-3)


def test_a_pair_without_room_stops_the_training_with_advice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _room_for(3, monkeypatch)
    with pytest.raises(CheckFailed, match=r"no room for a single pair of \d+ tokens.*train\.max_tokens"):
        train_tiny(tmp_path, "none", teacher="none", evaluations=1)


def test_scoring_goes_on_in_halves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, rule = tiny_cross_encoder(tmp_path / "base"), LengthRule(32, 12)
    model, encoder = load_cross_encoder(folder, rule, 0), PairEncoder.from_folder(folder, rule)
    pairs = [("open file", "read " * length) for length in range(1, 20)]
    expected = score_pairs(model, encoder, pairs)
    _room_for(60, monkeypatch)
    assert score_pairs(model, encoder, pairs) == pytest.approx(expected, abs=1e-6)
    _room_for(3, monkeypatch)
    with pytest.raises(CheckFailed, match="single pair of 24 tokens"):
        score_pairs(model, encoder, pairs)


def test_halves_hold_every_row_once_and_no_padding_of_the_other() -> None:
    batch = padded_batch([12, 9, 5, 2, 4])
    first, second = halves(batch)
    assert first["input_ids"].shape == (2, 12)
    assert second["input_ids"].shape == (3, 5)
    for name, tensor in batch.items():
        assert torch.equal(first[name], tensor[:2])
        assert torch.equal(second[name], tensor[2:, :5])


def test_freed_memory_goes_back_to_the_system() -> None:
    """Blocks of a size that the C library keeps, with one in use above them."""
    program = """
import resource
from pathlib import Path
from crosstune.heap import give_back
def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20
blocks = [bytes([1]) * 60_000 for _ in range(5_000)]
del blocks[:-1]
kept = resident()
give_back()
print(kept - resident())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert float(done.stdout) > 200, "MiB of the 286 that were freed"
