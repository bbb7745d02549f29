"""Training on long documents: the loss sees the best window's logit, and its gradient is exact."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from crosstune.records import Collection, Group, Run
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.serve.windows import Windows
from crosstune.train import TrainSettings, load_cross_encoder, train
from crosstune.train.batching import GroupCollator, TokenizedGroups, model_inputs
from crosstune.train.doctor.data_checks import check
from crosstune.train.doctor.facts import DataSigns, Plan, look_at
from crosstune.train.loop import GroupTrainer
from crosstune.train.losses import LOSSES, Lists
from crosstune.train.scoring import score_pairs
from crosstune.train.windows import take_best_windows, words_of
from crosstune.trec import read_run
from models import tiny_cross_encoder
from training import assert_same_training, dev_of, long_groups, random_text, tiny_settings

RULE = LengthRule(32, 12, windows=Windows(4, 5))
NAMES = ["input_ids", "attention_mask", "token_type_ids"]
MAX = {"aggregate": "max", "overlap": 4, "most": 5}


@pytest.mark.parametrize("loss", ["lce", "lambda", "bce", "listmle"])
@pytest.mark.parametrize("budget", [64, 100_000])
def test_the_gradient_is_that_of_the_maximum_over_all_windows(tmp_path: Path, loss: str, budget: int) -> None:
    folder = tiny_cross_encoder(tmp_path / "base")
    data = TokenizedGroups(long_groups(4), PairEncoder.from_folder(folder, RULE), tmp_path)
    rows = [data[index] for index in range(4)]
    torch.manual_seed(0)
    teacher = torch.rand(4, 4, dtype=torch.float64)
    mask = torch.ones(4, 4, dtype=torch.bool)
    labels = torch.tensor([[1.0, 0.0, 0.0, 0.0]] * 4, dtype=torch.float64)

    def gradient(model: torch.nn.Module, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        torch.manual_seed(1)  # listmle breaks ties by a draw
        LOSSES[loss](Lists(logits.view(4, 4), labels, teacher, mask)).backward()
        return {name: p.grad for name, p in model.named_parameters() if p.grad is not None}

    padded = load_cross_encoder(folder, RULE, seed=0).double()
    pairs = [pair for row in rows for pair in row["pairs"]]
    windows = [window for pair in pairs for window in pair.windows]
    owner = torch.tensor([number for number, pair in enumerate(pairs) for _ in pair.windows])
    every = padded(**model_inputs(windows, 0, NAMES)).logits[:, 0]
    expected = gradient(
        padded, torch.full((16,), -torch.inf, dtype=torch.float64).scatter_reduce(0, owner, every, "amax")
    )

    model = load_cross_encoder(folder, RULE, seed=0).double()
    batch = GroupCollator(0, budget, NAMES)(rows)
    take_best_windows(model, batch["micro_batches"], batch["windowed"])
    logits = torch.cat([model(**part).logits[:, 0] for part in batch["micro_batches"]])
    found = gradient(model, torch.zeros(16, dtype=torch.float64).scatter(0, batch["slots"], logits))
    later = [every[owner == number].argmax() for number in range(16)]
    assert max(later) > 0, "some document's best window is not its first"
    assert found.keys() == expected.keys()
    for name, wanted in expected.items():
        assert torch.allclose(found[name], wanted, atol=1e-9), name
    assert batch["lengths"].flatten().tolist() == [sum(pair.lengths) for pair in pairs]


def _trained(tmp_path: Path, name: str, **changes: object) -> Path:
    base = tiny_cross_encoder(tmp_path / "base")
    groups = long_groups(16)
    collection, run = dev_of(groups[:6])
    out = tmp_path / name
    out.mkdir()
    settings = {"windows": MAX, "teacher": "none", "evaluations": 1, "epochs": 1, "learning_rate": 1e-4}
    train(groups, collection, run, str(base), tiny_settings(**{**settings, **changes}), 5, out)
    return out


def test_micro_batches_and_accumulation_leave_the_training_as_it_is(tmp_path: Path) -> None:
    whole = _trained(tmp_path, "whole", micro_batch_tokens=100_000)
    parts = _trained(tmp_path, "parts", micro_batch_tokens=64, accumulate=4)
    assert_same_training(parts, whole, atol=1e-6, rtol=1e-5)
    other = _trained(tmp_path, "first", windows={"aggregate": "first"})
    with pytest.raises(AssertionError):
        assert_same_training(other, whole, atol=1e-6, rtol=1e-5)


def test_windows_are_chosen_by_words_that_are_up_to_date(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On a CPU the word embeddings that a step does not touch wait for their updates."""
    trainers: list[GroupTrainer] = []
    begin = GroupTrainer.settle

    def settle(self: GroupTrainer, rows: torch.Tensor | None = None) -> None:
        trainers.append(self)
        begin(self, rows)

    stale = []

    def choose(
        model: torch.nn.Module, batches: list[dict[str, torch.Tensor]], windowed: list[object]
    ) -> None:
        words, rows = model.get_input_embeddings().weight, words_of(windowed)  # type: ignore[operator,arg-type]
        before = words.detach().clone()
        begin(trainers[-1])
        assert torch.equal(words[rows], before[rows])
        stale.append(not torch.equal(words, before))
        take_best_windows(model, batches, windowed)  # type: ignore[arg-type]

    monkeypatch.setattr(GroupTrainer, "settle", settle)
    monkeypatch.setattr("crosstune.train.loop.take_best_windows", choose)
    _trained(tmp_path, "out", groups_per_step=1, learning_rate=1e-2)
    assert any(stale), "other words waited"


def test_dev_and_the_logged_loss_are_by_the_best_window(tmp_path: Path) -> None:
    out = _trained(tmp_path, "out", groups_per_step=16, learning_rate=1e-12, dropout=0.2)
    model, encoder = load_cross_encoder(out / "model", RULE, 0), PairEncoder.from_folder(out / "model", RULE)
    groups = long_groups(16)
    for query_id, row in read_run(out / "dev.tuned.trec").items():
        docs = dict(zip(groups[int(query_id[1:])].doc_ids, groups[int(query_id[1:])].docs, strict=True))
        pairs = [(groups[int(query_id[1:])].query, docs[doc_id]) for doc_id in row]
        assert score_pairs(model, encoder, pairs) == pytest.approx([*row.values()], abs=1e-4)
    summary = json.loads((out / "train.json").read_text())
    cuts = TokenizedGroups(groups, encoder, tmp_path).cuts()
    assert summary["passages_windowed"] == cuts.passages_windowed > cuts.passages_cut > 0
    assert summary["passages_cut"] == cuts.passages_cut


def test_windows_are_counted_and_the_doctor_looks_at_all_of_them(tmp_path: Path) -> None:
    encoder = PairEncoder.from_folder(tiny_cross_encoder(tmp_path / "base"), RULE)
    same = random_text(random.Random(2), 40)
    docs = [f"{same} open", f"{same} close", "file " * 200, "list"]
    group = Group("q", "sort", ["a", "b", "c", "d"], docs, [1, 0, 0, 0], [None] * 4, [None] * 4)
    cuts = TokenizedGroups([group], encoder, tmp_path).cuts()
    assert (cuts.pairs, cuts.passages_windowed, cuts.passages_cut) == (4, 3, 1)
    first = PairEncoder.from_folder(tmp_path / "base", LengthRule(32, 12))
    without_dev = (Collection("", {}, {}, {}), Run())
    assert look_at([group], TokenizedGroups([group], first, tmp_path), *without_dev).equal_inputs == 1
    assert look_at([group], TokenizedGroups([group], encoder, tmp_path), *without_dev).equal_inputs == 0


@pytest.mark.parametrize(
    ("tokens", "change"), [(48, {"train.max_tokens": 96}), (512, {"train.windows.aggregate": "max"})]
)
def test_the_doctor_proposes_windows_where_the_base_takes_no_more_tokens(
    tokens: int, change: dict[str, object]
) -> None:
    plan = Plan("lce", "none", 1e-4, 1.0, 4, tokens, 12, 100, 10)
    (found,) = check(
        plan, DataSigns(10, 10, 40, 0, 0, equal_inputs=10, starved=0, longer=None, teacher_agrees=None)
    )
    assert (found.name, found.change) == ("positives_equal_negatives", change)


@pytest.mark.parametrize(
    ("windows", "problem"),
    [
        ({"aggregate": "max", "most": 0}, "greater than or equal to 1"),
        ({"aggregate": "max", "overlap": 17}, "windows.overlap is 17, and beside a query .* has 17 tokens"),
        ({"aggregate": "max", "overlap": -1}, "greater than or equal to 0"),
        ({"aggregate": "first", "most": 4}, "most belongs to aggregate = max, and aggregate is first"),
        ({"overlap": 4}, "overlap belongs to aggregate = max"),
        ({"aggregate": "mean"}, "'first' or 'max'"),
        ({"aggregate": "max", "stride": 4}, "Extra inputs are not permitted"),
    ],
)
def test_bad_settings_are_refused(windows: dict[str, object], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        tiny_settings(windows=windows)


def test_windows_are_off_by_default() -> None:
    assert TrainSettings().length_rule == LengthRule(256, 64)
    rule = tiny_settings(windows={"aggregate": "max"}).length_rule
    assert rule == LengthRule(32, 12, windows=Windows(None, 8))
