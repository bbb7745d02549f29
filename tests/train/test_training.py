"""Invariants of the loop, on a tiny random BERT that really trains."""

from __future__ import annotations

import dataclasses
import json
import random
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from sentence_transformers import SentenceTransformer
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from crosstune.errors import CheckFailed, InputError
from crosstune.evaluate import per_query
from crosstune.records import Group
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import load_cross_encoder, train
from crosstune.train.batching import GroupCollator, TokenizedGroups
from crosstune.train.dev import DevJudge
from crosstune.train.fusion import MEASURE
from crosstune.train.losses import LOSSES, Lists
from crosstune.train.precision import layers_in_bf16
from crosstune.train.scoring import score_pairs
from crosstune.train.start import begin
from crosstune.trec import read_run
from models import tiny_cross_encoder
from training import (
    assert_same_training,
    dev_of,
    headless_base,
    positives_last,
    random_groups,
    random_text,
    tiny_settings,
    train_tiny,
)

RULE = LengthRule(max_tokens=32, max_query_tokens=12)


def test_training_learns_and_writes_a_model_that_transformers_loads(tmp_path: Path) -> None:
    out, best = train_tiny(tmp_path, "out", count=64, epochs=8, evaluations=4, teacher="none")
    untrained, _ = train_tiny(tmp_path, "flat", epochs=1, learning_rate=1e-12, evaluations=1, teacher="none")
    log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in log if "loss" in row]
    flat = json.loads((untrained / "train.json").read_text())["best_dev_ndcg"]
    assert losses[-1] < losses[0]
    assert best > flat
    assert AutoModelForSequenceClassification.from_pretrained(out / "model").config.num_labels == 1
    assert not (out / "checkpoints").exists()


def test_the_best_evaluation_is_the_one_that_is_kept(tmp_path: Path) -> None:
    out, best = train_tiny(tmp_path, "out", epochs=6, evaluations=6)
    log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert best == max(row["eval_nDCG@10"] for row in log if "eval_nDCG@10" in row)


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_dev_is_scored_with_the_saved_model_and_told_by_system(tmp_path: Path, precision: str) -> None:
    """4 queries choose the checkpoint, 12 decide; the logits kept are those of the model that is saved, in
    fp32 whatever it was trained in."""
    out, best = train_tiny(
        tmp_path, "out", dev_queries=4, verdict_queries=12, epochs=3, evaluations=3, precision=precision
    )
    logits = read_run(out / "dev.tuned.trec")
    collection, candidates = dev_of(random_groups(24)[:12])
    assert logits.keys() == candidates.keys()
    model, encoder = load_cross_encoder(out / "model", RULE, 0), PairEncoder.from_folder(out / "model", RULE)
    for query_id, row in logits.items():
        pairs = [(collection.queries[query_id], collection.passages[doc_id]) for doc_id in row]
        assert score_pairs(model, encoder, pairs) == pytest.approx([*row.values()], abs=1e-4)
    summary = json.loads((out / "train.json").read_text())
    by_hand = per_query(collection.qrels["dev"], logits, ["nDCG@10"])["nDCG@10"]
    assert summary["dev"]["tuned"] == pytest.approx(sum(by_hand.values()) / 12)
    assert summary["dev"]["base"] is not None
    measured = {name: value for name, value in summary["dev"].items() if value is not None}
    assert measured[summary["best_on_dev"]] == max(measured.values())
    assert best == summary["best_dev_ndcg"]
    assert json.loads((out / "fusion.json").read_text())["queries"] == 12
    assert not (out / "dev").exists()


def test_a_base_without_a_ranking_head_is_scored_by_its_vectors(tmp_path: Path) -> None:
    base, groups = headless_base(tmp_path / "base"), random_groups(8)
    collection, _ = dev_of(groups)
    out = tmp_path / "out"
    out.mkdir()
    summary = train(groups, collection, positives_last(groups), str(base), tiny_settings(), 5, out)
    peer = SentenceTransformer(str(base), device="cpu")
    run = {}
    for group in groups:
        vectors = peer.encode([group.query, *group.docs], normalize_embeddings=True)
        run[group.query_id] = dict(zip(group.doc_ids, (vectors[1:] @ vectors[0]).tolist(), strict=True))
    by_hand = per_query(collection.qrels["dev"], run, ["nDCG@10"])["nDCG@10"]
    assert summary.dev["base"] == pytest.approx(sum(by_hand.values()) / 8)


def test_a_start_that_training_does_not_beat_is_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base, groups = headless_base(tmp_path / "base"), random_groups(24)
    collection, _ = dev_of(groups)
    out = tmp_path / "out"
    out.mkdir()
    settings = tiny_settings(learning_rate=1e-12, teacher="base")
    summary = train(groups, collection, positives_last(groups), str(base), settings, 5, out)
    assert summary.best_step == 0
    assert "the start is kept" in capsys.readouterr().err
    log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    values = {row["step"]: row["eval_nDCG@10"] for row in log if "eval_nDCG@10" in row}
    assert summary.best_dev_ndcg == values[0] >= max(values.values())
    assert json.loads((out / "model" / "config.json").read_text())["num_hidden_layers"] == 3
    model, encoder = load_cross_encoder(out / "model", RULE, 0), PairEncoder.from_folder(out / "model", RULE)
    logits = read_run(out / "dev.tuned.trec")
    first = groups[0]
    expected = score_pairs(model, encoder, [(first.query, doc) for doc in first.docs])
    assert [logits[first.query_id][doc_id] for doc_id in first.doc_ids] == pytest.approx(expected, abs=1e-4)
    kept, start = (load_file(out / name / "model.safetensors") for name in ("model", "start"))
    assert all(kept[name].equal(start[name]) for name in start if name != "classifier.bias")


def test_weights_half_way_are_kept_where_dev_prefers_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, groups = headless_base(tmp_path / "base"), random_groups(24)
    collection, _ = dev_of(groups)
    judged = DevJudge.sample_ndcg

    def prefers_half(self: DevJudge, model: PreTrainedModel, name: str) -> float:
        judged(self, model, name)
        return 2.0 if name.endswith("x0.5") else 0.0

    monkeypatch.setattr(DevJudge, "sample_ndcg", prefers_half)
    out = tmp_path / "out"
    out.mkdir()
    settings = tiny_settings(teacher="base", dev_queries=12)
    summary = train(groups, collection, positives_last(groups), str(base), settings, 5, out)
    assert (summary.best_share, summary.best_dev_ndcg) == (0.5, 2.0)
    assert 0 < summary.best_step <= summary.steps
    model, encoder = load_cross_encoder(out / "model", RULE, 0), PairEncoder.from_folder(out / "model", RULE)
    logits = read_run(out / "dev.tuned.trec")
    assert len(logits) == 24, "those of the sample and the others are of the same weights"
    for group in groups:
        expected = score_pairs(model, encoder, [(group.query, doc) for doc in group.docs])
        assert [logits[group.query_id][d] for d in group.doc_ids] == pytest.approx(expected, abs=1e-4)


def test_scores_of_weights_half_way_do_not_disturb_a_training_that_goes_on(tmp_path: Path) -> None:
    groups = random_groups(8)
    collection, run = dev_of(groups)
    folder = tiny_cross_encoder(tmp_path / "base")
    encoder = PairEncoder.from_folder(folder, RULE)
    model = load_cross_encoder(folder, RULE, 0)
    (tmp_path / "dev").mkdir()

    def judge() -> DevJudge:
        return DevJudge(collection, run, tiny_settings(), encoder, 5, tmp_path / "dev")

    judge().evaluation(model, 3)
    judge().sample_ndcg(model, "3x0.5")
    assert judge().evaluation(model, 6)[MEASURE] == judge().sample_ndcg(model, "6x0.5")


def test_layers_in_bf16_keep_the_head_in_fp32(tmp_path: Path) -> None:
    """Logits that bf16 would make equal stay apart; the model is as it was afterwards."""
    folder = tiny_cross_encoder(tmp_path / "base")
    encoder, model = PairEncoder.from_folder(folder, RULE), load_cross_encoder(folder, RULE, 0).eval()
    pairs = [(group.query, doc) for group in random_groups(24) for doc in group.docs]
    exact = score_pairs(model, encoder, pairs)
    with torch.no_grad():
        model.classifier.bias += 100.0  # where bf16 tells numbers half a unit apart
    with layers_in_bf16(model):
        rounded = score_pairs(model, encoder, pairs)
    assert len(set(rounded)) > 0.9 * len(set(exact))
    differences = [abs(a + 100 - b) for a, b in zip(exact, rounded, strict=True)]
    assert 1e-5 < max(differences) < 0.1
    with torch.no_grad():
        model.classifier.bias -= 100.0
    assert score_pairs(model, encoder, pairs) == exact


def test_an_interrupted_training_finds_its_start_again(tmp_path: Path) -> None:
    """The second call could not build one: the base's weights are other ones."""
    groups, rule = random_groups(24), RULE
    collection, run = dev_of(groups)[0], positives_last(groups)

    def start(base: Path) -> dict[str, torch.Tensor]:
        encoder = PairEncoder.from_folder(base, rule)
        network, taught = begin(
            load_cross_encoder(base, rule, 5), base, groups, collection, run, encoder,
            tiny_settings(teacher="base"), bf16=False, seed=5, folder=tmp_path,
        )  # fmt: skip
        assert None not in taught[0].teacher_scores
        return network.state_dict()

    first = start(headless_base(tmp_path / "base"))
    again = start(tiny_cross_encoder(tmp_path / "other", seed=3))
    assert first.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())


def test_eight_groups_at_once_equal_eight_times_one(tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "base")
    groups = random_groups(16)
    collection, run = dev_of(groups[:4])
    outs = [tmp_path / f"out{accumulate}" for accumulate in (1, 8)]
    for accumulate, out in zip((1, 8), outs, strict=True):
        out.mkdir()
        settings = tiny_settings(accumulate=accumulate, epochs=1, evaluations=1, learning_rate=1e-4)
        train(groups, collection, run, str(model), settings, 5, out)
    assert_same_training(outs[0], outs[1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("loss", ["lce", "bce"])
def test_the_parts_of_a_step_count_by_what_they_hold(tmp_path: Path, loss: str) -> None:
    """21 groups of unequal size, 8 a step: the last step of an epoch has parts of 4 and 1."""
    model = tiny_cross_encoder(tmp_path / "base")
    groups = [
        dataclasses.replace(
            g, doc_ids=g.doc_ids[:size], docs=g.docs[:size], labels=g.labels[:size],
            first_stage_scores=[None] * size, teacher_scores=[None] * size,
        )
        for g, size in zip(random_groups(21), [4, 2, 3] * 7, strict=True)
    ]  # fmt: skip
    collection, run = dev_of(random_groups(4))
    outs = [tmp_path / f"out{accumulate}" for accumulate in (1, 2)]
    for accumulate, out in zip((1, 2), outs, strict=True):
        out.mkdir()
        settings = tiny_settings(accumulate=accumulate, loss=loss, teacher="none", learning_rate=1e-4)
        train(groups, collection, run, str(model), settings, 5, out)
    assert_same_training(outs[0], outs[1], atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    ("evaluations", "steps"), [(2, [3, 6]), (4, [2, 4, 6]), (5, [2, 4, 6]), (50, [1, 2, 3, 4, 5, 6])]
)
def test_a_training_is_as_long_as_its_epochs_and_evaluated_at_its_end(
    tmp_path: Path, evaluations: int, steps: list[int]
) -> None:
    """20 groups, 8 a step: an epoch has 3 steps, and there are 2."""
    out, _ = train_tiny(tmp_path, "out", count=20, teacher="none", evaluations=evaluations, patience=50)
    rows = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "eval_nDCG@10" in row] == steps
    assert json.loads((out / "train.json").read_text())["steps"] == 6


def test_the_last_step_is_evaluated_where_it_ends_no_interval(tmp_path: Path) -> None:
    out, _ = train_tiny(tmp_path, "out", count=20, teacher="none", epochs=2.5, evaluations=4, patience=50)
    rows = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "eval_nDCG@10" in row] == [2, 4, 6, 8]
    out, _ = train_tiny(tmp_path, "odd", count=24, teacher="none", epochs=2.2, evaluations=2, patience=50)
    rows = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if "eval_nDCG@10" in row] == [4, 7]


@pytest.mark.parametrize("loss", sorted(LOSSES))
def test_micro_batches_give_the_gradient_of_one_padded_batch(tmp_path: Path, loss: str) -> None:
    folder = tiny_cross_encoder(tmp_path / "base")
    data = TokenizedGroups(random_groups(4), PairEncoder.from_folder(folder, RULE), tmp_path)
    rows = [data[index] for index in range(4)]
    gradients = []
    for budget in (64, 100_000):
        model = load_cross_encoder(folder, RULE, seed=0).double()
        batch = GroupCollator(0, budget, ["input_ids", "attention_mask", "token_type_ids"])(rows)
        logits = torch.cat([model(**part).logits[:, 0] for part in batch["micro_batches"]])
        mask = batch["mask"]
        table = torch.zeros(mask.numel(), dtype=torch.float64).scatter(0, batch["slots"], logits)
        teacher = torch.arange(mask.numel(), dtype=torch.float64).view_as(mask)
        LOSSES[loss](Lists(table.view_as(mask), batch["labels"].double(), teacher, mask)).backward()
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        assert torch.allclose(gradient, gradients[1][name], atol=1e-6), name


def test_groups_of_unequal_size_train(tmp_path: Path) -> None:
    groups = [
        dataclasses.replace(
            g, doc_ids=g.doc_ids[:n], docs=g.docs[:n], labels=g.labels[:n], teacher_scores=[None] * n
        )
        for g, n in zip(random_groups(8), [2, 3, 4, 2, 3, 4, 2, 4], strict=True)
    ]
    collection, run = dev_of(random_groups(4))
    model = tiny_cross_encoder(tmp_path / "base")
    out = tmp_path / "out"
    out.mkdir()
    summary = train(groups, collection, run, str(model), tiny_settings(), 5, out)
    assert summary.pairs == 24


def test_sorted_batches_score_like_pairs_one_by_one(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "base")
    model = load_cross_encoder(folder, RULE, seed=0)
    encoder = PairEncoder.from_folder(folder, RULE)
    pairs = [(group.query, doc) for group in random_groups(10) for doc in group.docs]
    together = score_pairs(model, encoder, pairs)
    alone = [score_pairs(model, encoder, [pair])[0] for pair in pairs]
    assert together == pytest.approx(alone, abs=1e-5)


def test_cuts_are_counted(tmp_path: Path) -> None:
    folder = tiny_cross_encoder(tmp_path / "base")
    long_query = Group(
        "q", random_text(random.Random(1), 40), ["a", "b"], ["open", "x " * 99], [1, 0], [], []
    )
    cuts = TokenizedGroups([long_query], PairEncoder.from_folder(folder, RULE), tmp_path).cuts()
    assert (cuts.pairs, cuts.passages_cut, cuts.queries, cuts.queries_cut) == (2, 1, 1, 1)


def test_a_loss_that_is_no_number_stops_the_training_with_advice(tmp_path: Path) -> None:
    model = tiny_cross_encoder(tmp_path / "base")
    network = AutoModelForSequenceClassification.from_pretrained(model)
    network.classifier.weight.data.fill_(3e38)
    network.save_pretrained(model)
    groups = random_groups(8)
    collection, run = dev_of(groups)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CheckFailed, match=r"the loss is (nan|inf) at step 1 .*Lower train\.learning_rate"):
        train(groups, collection, run, str(model), tiny_settings(), 5, out)


def test_a_collection_without_dev_is_refused(tmp_path: Path) -> None:
    groups = random_groups(4)
    collection, run = dev_of(groups)
    bare = dataclasses.replace(collection, qrels={})
    with pytest.raises(InputError, match=r"no dev split \(qrels/dev\.tsv\)"):
        train(groups, bare, run, "unused", tiny_settings(), 5, tmp_path)


def test_no_groups_are_refused(tmp_path: Path) -> None:
    collection, run = dev_of(random_groups(2))
    with pytest.raises(InputError, match="no training groups"):
        train([], collection, run, "unused", tiny_settings(), 5, tmp_path)
