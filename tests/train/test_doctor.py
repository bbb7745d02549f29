"""Trainings that are really made to fail, each in one way, and what the doctor says of them."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import sys
from pathlib import Path

import pytest
from transformers import AutoModelForSequenceClassification, PreTrainedModel

from crosstune.errors import CheckFailed
from crosstune.train.loss_kinds import KINDS, LossName
from crosstune.train.model import load_cross_encoder
from doctor_cases import WORDS, diagnoses, group, marked_groups, relabelled, run, words
from models import tiny_cross_encoder


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(tmp_path_factory.mktemp("good"), marked_groups(64), learning_rate=3e-3)


def test_a_healthy_training_has_no_diagnosis(good: Path) -> None:
    assert diagnoses(good) == {}
    assert json.loads((good / "train.json").read_text())["diagnoses"] == []
    assert json.loads((good / "doctor.json").read_text())["healthy"] is True


@pytest.mark.parametrize("loss", KINDS)
def test_no_loss_has_a_diagnosis_when_it_learns(tmp_path: Path, loss: LossName) -> None:
    """The scale of a loss is its own: none is taken for a model that did not learn."""
    taught = [3.0, -1.0, 0.0, -2.0] if KINDS[loss].learns_from == "teacher" else [None] * 4
    groups = [dataclasses.replace(g, teacher_scores=[*taught]) for g in marked_groups(64)]
    assert diagnoses(run(tmp_path, groups, loss=loss, learning_rate=3e-3)) == {}


def test_a_rate_too_high_collapses_and_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match=r"(?s)constant and have no gradient.*learning_rate_too_high"):
        run(tmp_path, marked_groups(64), learning_rate=1.0)
    found = diagnoses(tmp_path / "train")
    assert list(found) == ["learning_rate_too_high"]
    evidence = found["learning_rate_too_high"].evidence
    assert evidence["spread_at_end"] < 0.001 < evidence["widest_spread"]
    assert evidence["loss_at_end"] == pytest.approx(evidence["loss_of_a_constant_scorer"], rel=1e-4)
    assert found["learning_rate_too_high"].change["train.learning_rate"] == 1e-4
    assert json.loads((tmp_path / "train" / "doctor.json").read_text())["state"] == "stopped"


@pytest.mark.parametrize("loss", ["lce", "bce", "ranknet"])
def test_a_rate_a_hundred_times_too_high_is_called_a_collapse(tmp_path: Path, loss: str) -> None:
    with contextlib.suppress(CheckFailed):  # where three entries in a row are without a gradient
        run(tmp_path, marked_groups(64), loss=loss, learning_rate=0.3)
    found = diagnoses(tmp_path / "train")
    assert list(found) == ["learning_rate_too_high"]
    assert found["learning_rate_too_high"].what.startswith("the model collapsed")


def test_a_collapse_after_a_good_checkpoint_ends_the_training_with_that(tmp_path: Path) -> None:
    """The rate rises slowly enough that the first evaluations see a model that learns; then it is high."""
    out = run(tmp_path, marked_groups(64), learning_rate=1.0, warmup=1 / 6, epochs=36, evaluations=36)
    summary = json.loads((out / "train.json").read_text())
    assert summary["steps"] < 36 * 8
    assert summary["best_step"] < summary["steps"]
    assert "learning_rate_too_high" in summary["diagnoses"]
    assert (out / "model" / "model.safetensors").is_file()


def test_a_rate_too_low_does_not_learn(tmp_path: Path) -> None:
    found = diagnoses(run(tmp_path, marked_groups(64), learning_rate=1e-7))
    assert list(found) == ["did_not_learn"]
    assert found["did_not_learn"].change == {"train.learning_rate": 1e-4}


def test_labels_without_any_rule_are_not_learned_in_one_epoch(tmp_path: Path) -> None:
    rng = random.Random(2)
    groups = [group(f"g{n}", "open", [" ".join(words(rng, 4, 8)) for _ in "abcd"]) for n in range(128)]
    found = diagnoses(run(tmp_path, groups, epochs=1, learning_rate=1e-4))
    assert list(found) == ["did_not_learn"]
    assert found["did_not_learn"].change == {"train.epochs": 2.0}


def test_reversed_labels(tmp_path: Path) -> None:
    groups = relabelled(marked_groups(64), lambda g: [1 - label for label in g.labels])
    found = diagnoses(run(tmp_path, groups))
    assert list(found) == ["labels_reversed"]
    assert found["labels_reversed"].evidence["train_pairs_right"] > 0.9
    assert found["labels_reversed"].evidence["dev_pairs_right"] < 0.1


@pytest.mark.parametrize(
    ("loss", "change"), [("lce", {"mine.distill_teacher": False}), ("kl", {"train.loss": "lce"})]
)
def test_a_teacher_that_says_the_opposite_of_the_labels(
    tmp_path: Path, loss: str, change: dict[str, object]
) -> None:
    groups = [dataclasses.replace(g, teacher_scores=[-3.0, 2.0, 1.0, 3.0]) for g in marked_groups(64)]
    found = diagnoses(run(tmp_path, groups, loss=loss))
    assert list(found) == ["labels_reversed"]
    assert found["labels_reversed"].change == change
    share = found["labels_reversed"].evidence["share_of_pairs_that_the_teacher_orders_as_the_labels"]
    assert share == 0


def test_positives_equal_to_negatives(tmp_path: Path) -> None:
    groups = [group(g.query_id, g.query, [g.docs[0], g.docs[0].upper()]) for g in marked_groups(64)]
    found = diagnoses(run(tmp_path, groups, epochs=1))
    assert list(found) == ["positives_equal_negatives"]
    assert found["positives_equal_negatives"].evidence["groups_with_equal_or_nearly_equal_texts"] == 64
    assert found["positives_equal_negatives"].change == {"mine.near_copy": 0.9}


def test_positives_that_differ_beyond_the_cut(tmp_path: Path) -> None:
    """The scores are constant all the while, and the data is named as the cause alone."""
    rng = random.Random(1)
    groups = []
    for number in range(64):
        start = " ".join(words(rng, 20, 20))
        docs = [f"{start} {' '.join(words(rng, 60, 60))}" for _ in "ab"]
        groups.append(group(f"g{number}", "open a file", docs))
    found = diagnoses(run(tmp_path, groups, epochs=1, max_tokens=24, max_query_tokens=12))
    assert list(found) == ["positives_equal_negatives"]
    assert found["positives_equal_negatives"].evidence["groups_with_the_same_tokens"] == 64
    assert found["positives_equal_negatives"].evidence["groups_with_equal_or_nearly_equal_texts"] == 0
    assert found["positives_equal_negatives"].change == {"train.max_tokens": 76}


@pytest.mark.parametrize(("loss", "label"), [("lce", 1), ("bce", 1), ("bce", 0)])
def test_one_class_only(tmp_path: Path, loss: str, label: int) -> None:
    groups = relabelled(marked_groups(64), lambda g: [label] * 4)
    assert list(diagnoses(run(tmp_path, groups, loss=loss, epochs=1))) == ["one_class"]


def test_everything_cut_to_the_query(tmp_path: Path) -> None:
    groups = [dataclasses.replace(g, query=" ".join(WORDS * 3)) for g in marked_groups(64)]
    found = diagnoses(run(tmp_path, groups, epochs=1, max_tokens=24, max_query_tokens=20))
    assert list(found) == ["cut_to_the_query"]
    assert found["cut_to_the_query"].change == {"train.max_tokens": 84, "train.max_query_tokens": 6}


def test_a_base_without_a_gradient(tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path / "saturated")
    network = AutoModelForSequenceClassification.from_pretrained(base)
    network.bert.pooler.dense.bias.data.fill_(1e4)
    network.save_pretrained(base)
    with pytest.raises(CheckFailed, match="no_gradient"):
        run(tmp_path, marked_groups(64), base)
    assert list(diagnoses(tmp_path / "train")) == ["no_gradient"]


def test_a_frozen_head(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No base can freeze its head by its files alone, so that the loaded model's is frozen."""

    def frozen(*arguments: object) -> PreTrainedModel:
        network = load_cross_encoder(*arguments)  # type: ignore[arg-type]
        network.classifier.requires_grad_(False)
        return network

    monkeypatch.setattr(sys.modules["crosstune.train.train"], "load_cross_encoder", frozen)
    assert list(diagnoses(run(tmp_path, marked_groups(64)))) == ["frozen_head"]


def test_a_loss_that_is_no_number(tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path / "huge")
    network = AutoModelForSequenceClassification.from_pretrained(base)
    network.classifier.weight.data.fill_(3e38)
    network.save_pretrained(base)
    with pytest.raises(CheckFailed, match=r"Lower train\.learning_rate"):
        run(tmp_path, marked_groups(16), base)
    found = diagnoses(tmp_path / "train")
    assert list(found) == ["loss_is_no_number"]
    assert found["loss_is_no_number"].change["train.precision"] == "fp32"


@pytest.mark.parametrize("loss", ["lce", "bce"])
def test_a_gradient_that_overflowed_ends_no_training(tmp_path: Path, loss: str) -> None:
    """Its norm is infinite while the loss is a number; clipping then leaves the head no gradient either."""
    base = tiny_cross_encoder(tmp_path / "steep")
    network = AutoModelForSequenceClassification.from_pretrained(base)
    network.classifier.weight.data *= 1e20
    network.save_pretrained(base)
    out = run(tmp_path, marked_groups(64), base, loss=loss, epochs=1)
    norms = [json.loads(line).get("grad_norm") for line in (out / "train_log.jsonl").read_text().splitlines()]
    assert float("inf") in norms
    found = diagnoses(out)
    assert "frozen_head" not in found
    assert json.loads((out / "train.json").read_text())["diagnoses"] == [*found]
    kept = json.loads((out / "doctor.json").read_text(), parse_constant=pytest.fail)
    assert None in [diagnosis["evidence"].get("grad_norm_at_end", 0) for diagnosis in kept["diagnoses"]]


def test_a_bias_of_length(tmp_path: Path) -> None:
    """The positive is always the longest of its group, by one word, whatever it says."""
    rng = random.Random(3)
    groups = []
    for number in range(96):
        longest = rng.randint(4, 12)
        sizes = [longest, *(rng.randint(1, longest - 1) for _ in "abc")]
        groups.append(group(f"g{number}", "open", [" ".join(rng.choices(WORDS, k=size)) for size in sizes]))
    found = diagnoses(run(tmp_path, groups, epochs=10, learning_rate=2e-3))
    assert list(found) == ["length_bias"]
    assert found["length_bias"].evidence["share_of_pairs_with_the_better_document_longer"] == 1
    assert found["length_bias"].evidence["tau_of_logit_and_length"] >= 0.7


def test_over_fitting(tmp_path: Path, good: Path) -> None:
    """A base that has learned the rule, and groups that can only be learned by heart."""
    rng = random.Random(3)
    groups = relabelled(marked_groups(48, seed=5), lambda g: rng.sample([1, 0, 0, 0], 4))
    out = run(tmp_path, groups, good / "model", epochs=30, evaluations=15)
    found = diagnoses(out)
    assert list(found) == ["over_fitting"]
    evidence = found["over_fitting"].evidence
    assert evidence["last_dev_ndcg"] < evidence["best_dev_ndcg"] - 0.02
    assert evidence["gain_over_a_constant_scorer_at_end"] > evidence["gain_over_a_constant_scorer_at_best"]
    assert json.loads((out / "train.json").read_text())["best_step"] == evidence["best_step"]
