"""The stream of pairs, and training on it: order, resuming, accumulation, the head."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from transformers import AutoModelForSequenceClassification

from crosstune.errors import CheckFailed, InputError
from crosstune.records import Example
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train import PointwiseSettings, load_cross_encoder
from crosstune.train.model import load_two_labels
from crosstune.train.pointwise import train_pointwise
from crosstune.train.rerank import log_sigmoid
from crosstune.train.scoring import score_pairs
from crosstune.train.stream import PairStream, repeated, shuffled
from models import WORDS, tiny_cross_encoder

RULE = LengthRule(32, 12, "nogueira_cho")


def _examples() -> Iterator[Example]:
    """Relevant passages hold a word of the query, the others do not."""
    rng = random.Random(3)
    for _ in range(40):
        word, other = rng.sample(WORDS, 2)
        yield Example(f"{word} please", f"{word} {rng.choice(WORDS)}", 1)
        yield Example(f"{word} please", f"{other} of the day", 0)


def _base(folder: Path) -> Path:
    """A tiny BERT without a head, as a pre-trained one is."""
    tiny_cross_encoder(folder)
    AutoModelForSequenceClassification.from_pretrained(folder).bert.save_pretrained(folder)
    return folder


def _settings(**changes: object) -> PointwiseSettings:
    base = {"max_tokens": 32, "max_query_tokens": 12, "batch_pairs": 8, "steps": 6, "warmup_steps": 2}
    small = {"learning_rate": 1e-3, "shuffle_buffer": 16, "checkpoint_steps": 3, "dropout": 0.0}
    return PointwiseSettings.model_validate({**base, **small, **changes})


def _train(tmp_path: Path, name: str, **changes: object) -> Path:
    out = tmp_path / name
    out.mkdir(exist_ok=True)
    train_pointwise(_examples, str(_base(tmp_path / "base")), _settings(**changes), 5, out)
    return out


def _weights(out: Path) -> dict[str, torch.Tensor]:
    return load_file(out / "two_labels" / "model.safetensors")


def test_the_buffer_loses_and_doubles_nothing_and_depends_on_the_seed() -> None:
    source = [Example(str(n), "p", n % 2) for n in range(100)]
    drawn = [list(shuffled(iter(source), 10, random.Random(seed))) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]
    assert sorted(drawn[0]) == sorted(source)
    places = [int(example.query) for example in drawn[0]]
    assert all(value <= place + 10 for place, value in enumerate(places)), "read further than the buffer"
    assert places != sorted(places)


def test_the_source_is_read_again_when_it_ends_and_an_empty_one_is_refused() -> None:
    assert [e.query for e in islice(repeated(lambda: iter([Example("a", "b", 1)])), 3)] == ["a"] * 3
    with pytest.raises(InputError, match="holds no example"):
        next(repeated(lambda: iter([])))


def test_skipping_gives_what_would_have_come_next(tmp_path: Path) -> None:
    encoder = PairEncoder.from_folder(_base(tmp_path / "base"), RULE)
    whole = PairStream(_examples, encoder, buffer=16, seed=5)
    later = PairStream(_examples, encoder, buffer=16, seed=5, skip=70)
    assert list(islice(whole, 70, 120)) == list(islice(later, 50))
    assert later.counts["pairs"] == 50


def test_one_batch_equals_eight_accumulated_parts(tmp_path: Path) -> None:
    once, parts = (_weights(_train(tmp_path, f"out{n}", accumulate=n)) for n in (1, 8))
    for name, tensor in once.items():
        if not name.endswith("key.bias"):  # the softmax cancels it: its gradient is rounding noise
            assert torch.allclose(tensor, parts[name], atol=2e-6), name


def test_going_on_after_a_kill_equals_an_uninterrupted_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crosstune.train.stream.AT_ONCE", 8)  # the stream must not be read to its end at once
    whole = _train(tmp_path, "whole", dropout=0.1)
    killed = tmp_path / "killed"
    killed.mkdir()

    def cut() -> Iterator[Example]:
        """The stream breaks off after the checkpoint of step 3: 3 x 8 drawn, 16 in the
        buffer, and a batch that the loader reads ahead."""
        yield from islice(_examples(), 3 * 8 + 16 + 8 + 4)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_pointwise(cut, str(tmp_path / "base"), _settings(dropout=0.1), 5, killed)
    assert (killed / "checkpoints" / "checkpoint-3" / "complete").is_file()
    train_pointwise(_examples, str(tmp_path / "base"), _settings(dropout=0.1), 5, killed)
    assert json.loads((killed / "train.json").read_text())["first_step"] == 3
    for name, tensor in _weights(whole).items():
        assert torch.equal(tensor, _weights(killed)[name]), name


def test_the_rate_that_is_logged_is_the_papers(tmp_path: Path) -> None:
    out = _train(tmp_path, "out", steps=10, warmup_steps=4)
    log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    rates = {row["step"]: row["learning_rate"] for row in log if "learning_rate" in row}
    shares = [0.0, 0.25, 0.5, 0.75, 0.6, 0.5, 0.4, 0.3, 0.2, 0.1]
    assert [rates[step] for step in range(1, 11)] == pytest.approx([1e-3 * share for share in shares])


def test_it_is_reported_to_a_tracker(tmp_path: Path) -> None:
    out = _train(tmp_path, "out", report_to=["tensorboard"])
    log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    seen = EventAccumulator(str(out / "tensorboard"))
    seen.Reload()
    expected = [row["loss"] for row in log if "loss" in row]
    assert [event.value for event in seen.Scalars("train/loss")] == pytest.approx(expected)


def test_training_learns_and_both_folders_rank_alike(tmp_path: Path) -> None:
    out = _train(tmp_path, "out", steps=150, warmup_steps=10, learning_rate=3e-3)
    log = [json.loads(line) for line in (out / "train_log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in log if "loss" in row]
    assert losses[-1] < 0.9 * losses[0]
    two = AutoModelForSequenceClassification.from_pretrained(out / "two_labels").eval()
    one = load_cross_encoder(out / "model", RULE, seed=0)
    assert (two.config.num_labels, one.config.num_labels) == (2, 1)
    encoder = PairEncoder.from_folder(out / "model", RULE)
    pairs = [(example.query, example.passage) for example in islice(_examples(), 20)]
    log_odds = score_pairs(one, encoder, pairs)
    for (pair,), logit in zip(([p] for p in encoder.encode(pairs)), log_odds, strict=True):
        ids, types = torch.tensor([pair.input_ids]), torch.tensor([pair.token_type_ids])
        with torch.inference_mode():
            probability = two(input_ids=ids, token_type_ids=types).logits.double().log_softmax(1)[0, 1]
        assert log_sigmoid(logit) == pytest.approx(probability.item(), abs=1e-5)


def test_a_sure_score_does_not_round_to_a_tie() -> None:
    assert log_sigmoid(30.0) < log_sigmoid(31.0) < 0
    assert log_sigmoid(-800.0) == -800.0


def test_the_fresh_head_is_a_truncated_normal_and_dropout_is_the_settings(tmp_path: Path) -> None:
    base = _base(tmp_path / "base")
    models = [load_two_labels(base, RULE, seed, dropout=0.1, head_std=0.02) for seed in range(40)]
    heads = torch.stack([model.classifier.weight.detach() for model in models])
    assert heads.abs().max() <= 0.04
    # A normal that is cut at two standard deviations keeps .88 of its own.
    assert heads.std().item() == pytest.approx(0.88 * 0.02, rel=0.05)
    assert all(not model.classifier.bias.any() for model in models)
    shares = {m.p for m in models[0].modules() if isinstance(m, torch.nn.Dropout)}
    assert shares == {0.1}


def test_a_trained_head_with_two_labels_is_kept_and_one_with_one_label_refused(tmp_path: Path) -> None:
    out = _train(tmp_path, "out")
    again = load_two_labels(out / "two_labels", RULE, 9, dropout=0.1, head_std=0.02)
    assert torch.equal(again.classifier.weight, _weights(out)["classifier.weight"])
    with pytest.raises(InputError, match="a head with one label"):
        load_two_labels(out / "model", RULE, 9, dropout=0.1, head_std=0.02)


def test_a_base_that_is_no_bert_is_refused(tmp_path: Path) -> None:
    base = _base(tmp_path / "base")
    config = json.loads((base / "config.json").read_text()) | {"model_type": "electra"}
    (base / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="of type 'electra'; this procedure is defined for BERT"):
        load_two_labels(base, RULE, 9, dropout=0.1, head_std=0.02)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    base = _base(tmp_path / "base")
    network = AutoModelForSequenceClassification.from_pretrained(base, num_labels=2)
    network.classifier.weight.data.fill_(3e38)
    network.save_pretrained(base)
    out = tmp_path / "out"
    out.mkdir()
    with pytest.raises(CheckFailed, match=r"the loss is (nan|inf) at step 1"):
        train_pointwise(_examples, str(base), _settings(), 5, out)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_pairs": 10, "accumulate": 3}, "cannot be cut into accumulate = 3"),
        ({"warmup_steps": 7}, "warmup_steps = 7 is above steps = 6"),
        ({"max_query_tokens": 29}, "leaves no room"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(changes: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _settings(**changes)
