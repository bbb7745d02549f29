"""The adaptation to a corpus: it learns, keeps the base's form, goes on exactly after a kill, and says no."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModel, AutoModelForSequenceClassification, Trainer

from crosstune.errors import CheckFailed, InputError
from crosstune.models import has_ranking_head
from crosstune.records import Collection, Run
from crosstune.serve.pairs import LengthRule
from crosstune.train import AdaptSettings, load_cross_encoder
from crosstune.train.adaptation import AdaptSummary, adapt_to_corpus
from crosstune.train.masked import UNMASKED, MaskedTexts, load_masked_model, load_masker, pieces_of
from families import FAMILIES, tiny_base
from models import tiny_cross_encoder
from resumed import assert_equal_trainings
from training import WORDS, dev_of, random_groups, tiny_settings


def _corpus() -> tuple[Collection, Run]:
    """Passages in which every word is followed by the one after it, so that there is something to learn."""
    rng = random.Random(1)
    collection, run = dev_of(random_groups(6))
    for number in range(80):
        start = rng.randrange(len(WORDS))
        words = [WORDS[(start + place) % len(WORDS)] for place in range(rng.randint(3, 12))]
        collection.passages[f"more-{number}"] = " ".join(words)
    return collection, run


def _settings(**changes: Any) -> AdaptSettings:
    usual = {"steps": 12, "texts_per_step": 8, "max_tokens": 32, "precision": "fp32", "evaluations": 2}
    return AdaptSettings(**{**usual, "learning_rate": 1e-3, **changes})


def _adapt(base: Path, out: Path, **changes: Any) -> AdaptSummary:
    out.mkdir(exist_ok=True)
    collection, run = _corpus()
    return adapt_to_corpus(collection, run, str(base), _settings(**changes), tiny_settings(), 5, out)


def test_it_learns_the_corpus_and_keeps_the_form_of_the_base(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    # A rate with a margin: the base's wordpieces are learned anew, and not to the same numbers each time.
    summary = _adapt(base, tmp_path / "out", steps=60, learning_rate=3e-3)
    assert summary == AdaptSummary(**json.loads((tmp_path / "out/adapt.json").read_text()))
    assert summary.loss["after"] < 0.8 * summary.loss["before"]
    assert summary.fresh_head > 0 and "is made fresh" in capsys.readouterr().err
    assert set(summary.dev) == {"before", "after"}
    before, after = (load_file(folder / "model.safetensors") for folder in (base, tmp_path / "out/model"))
    assert before.keys() == after.keys()
    same = [name for name in before if before[name].equal(after[name])]
    assert same == [name for name in before if name.startswith("pooler")], "the rest has learned"
    assert (tmp_path / "out/model/tokenizer.json").read_bytes() == (base / "tokenizer.json").read_bytes()
    assert not has_ranking_head(tmp_path / "out/model")
    log = [json.loads(line) for line in (tmp_path / "out/adapt_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "eval_loss" in row] == [0, 30, 60]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "adapt.json", "adapt_log.jsonl", "model",
    ]  # fmt: skip


def test_a_ranking_head_stays(tmp_path: Path) -> None:
    base = tiny_cross_encoder(tmp_path / "base")
    _adapt(base, tmp_path / "out")
    assert has_ranking_head(tmp_path / "out/model")
    heads = [
        AutoModelForSequenceClassification.from_pretrained(folder).classifier.weight
        for folder in (base, tmp_path / "out/model")
    ]
    assert heads[0].equal(heads[1])


def test_a_head_that_guesses_words_is_taken_where_the_base_has_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    model, missing = load_masked_model(base, 32, 3)
    assert missing
    model.save_pretrained(base)
    assert load_masked_model(base, 32, 3)[1] == []
    assert _adapt(base, tmp_path / "out").fresh_head == 0
    assert "is the base's own" in capsys.readouterr().err
    assert AutoModel.from_pretrained(tmp_path / "out/model").config.model_type == "bert"


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_is_adapted_and_can_be_trained_from(tmp_path: Path, family: str) -> None:
    summary = _adapt(tiny_base(tmp_path / "base", family), tmp_path / "out", steps=30)
    assert summary.loss["after"] < summary.loss["before"]
    model = load_cross_encoder(tmp_path / "out/model", LengthRule(32, 12), 0)
    assert model.config.num_labels == 1


@pytest.mark.parametrize("step", [1, 10])
def test_a_kill_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    _adapt(base, tmp_path / "whole")
    whole = Trainer.training_step

    def killed(self: Trainer, *given: Any, **named: Any) -> torch.Tensor:
        if self.state.global_step == step:
            raise KeyboardInterrupt
        return whole(self, *given, **named)

    monkeypatch.setattr(Trainer, "training_step", killed)
    with pytest.raises(KeyboardInterrupt):
        _adapt(base, tmp_path / "killed")
    monkeypatch.undo()
    monkeypatch.setenv("CROSSTUNE_CACHE", str(tmp_path / "cache"))
    _adapt(base, tmp_path / "killed")
    assert_equal_trainings(tmp_path / "killed", tmp_path / "whole", "adapt.json")


def test_a_kill_when_all_is_written_costs_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    base = tiny_base(tmp_path / "base", "bert")
    with monkeypatch.context() as at, pytest.raises(KeyboardInterrupt):
        at.setattr("crosstune.train.adaptation._tidied", killed)
        _adapt(base, tmp_path / "out")
    weights = (tmp_path / "out/model/model.safetensors").read_bytes()
    monkeypatch.setattr(Trainer, "training_step", killed)
    summary = _adapt(base, tmp_path / "out")
    assert summary == AdaptSummary(**json.loads((tmp_path / "out/adapt.json").read_text()))
    assert (tmp_path / "out/model/model.safetensors").read_bytes() == weights
    assert not {"checkpoints", "dev"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_masked_texts_are_bert_s_masking_and_depend_on_the_seed_alone(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    masker = load_masker(base, 0.15)
    pieces = pieces_of(masker.tokenizer, ["open the file and read it " * 4, "", "x"], 16)
    assert max(map(len, pieces)) == 16 and len(pieces) > 2, "a long passage is several, an empty one none"
    texts = MaskedTexts(pieces, 3000, masker, 5)
    again = MaskedTexts(pieces, 3000, load_masker(base, 0.15), 5)
    order = [2999, 0, 17]
    assert all(texts[n][key].equal(again[n][key]) for n in order for key in ("input_ids", "labels"))
    special = set(masker.tokenizer.all_special_ids)
    guessed = masked = tokens = 0
    for number in range(1000):
        row, original = texts[number], torch.tensor(pieces[number % len(pieces)])
        chosen = row["labels"] != UNMASKED
        assert chosen.any(), "every text has a loss"
        assert row["labels"][chosen].equal(original[chosen])
        assert row["input_ids"][~chosen].equal(original[~chosen])
        assert not special & set(original[chosen].tolist())
        if len(original) == 16:
            guessed += int(chosen.sum())
            tokens += 14
            masked += int((row["input_ids"][chosen] == masker.tokenizer.mask_token_id).sum())
    assert guessed / tokens == pytest.approx(0.15, abs=0.03)
    assert masked / guessed == pytest.approx(0.8, abs=0.05)


def test_a_text_of_unknown_words_alone_has_nothing_to_guess(tmp_path: Path) -> None:
    """The second piece of a long one, too."""
    masker = load_masker(tiny_cross_encoder(tmp_path / "base"), 0.15)
    unknown = "\N{PANDA FACE} " * 30
    assert pieces_of(masker.tokenizer, [unknown], 16) == []
    pieces = pieces_of(masker.tokenizer, [f"open {unknown}", unknown], 16)
    assert len(pieces) == 1
    texts = MaskedTexts(pieces, 50, masker, seed=1)
    assert all((texts[number]["labels"] != UNMASKED).any() for number in range(50))


def test_bases_and_corpora_that_cannot_be_adapted(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    with pytest.raises(InputError, match=r"64 positions, adapt.max_tokens is 100; set adapt.max_tokens=64"):
        _adapt(base, tmp_path / "long", max_tokens=100)
    maskless = tiny_base(tmp_path / "maskless", "bert")
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        if (path := maskless / name).is_file():
            kept = {key: value for key, value in json.loads(path.read_text()).items() if key != "mask_token"}
            path.write_text(json.dumps(kept))
    with pytest.raises(InputError, match=r"no mask token, which adapt.steps needs"):
        _adapt(maskless, tmp_path / "no mask")
    collection, run = _corpus()
    few = Collection("few", {"0-0": " "}, collection.queries, {"dev": {"q0": {"0-0": 1}}})
    (tmp_path / "few").mkdir()
    with pytest.raises(InputError, match="the corpus has 1 passages, too few"):
        found = {"q0": {"0-0": 1.0}}
        adapt_to_corpus(few, found, str(base), _settings(), tiny_settings(), 5, tmp_path / "few")
    undecided = Collection("none", collection.passages, collection.queries, {"train": {"q0": {"0-0": 1}}})
    with pytest.raises(InputError, match="no dev split"):
        adapt_to_corpus(undecided, run, str(base), _settings(), tiny_settings(), 5, tmp_path / "few")


def test_a_loss_that_is_no_number_stops_it(tmp_path: Path) -> None:
    base = tiny_base(tmp_path / "base", "bert")
    model = AutoModel.from_pretrained(base)
    with torch.no_grad():
        model.encoder.layer[0].output.dense.weight.mul_(1e38)
    model.save_pretrained(base)
    with pytest.raises(CheckFailed, match=r"the loss is (nan|inf) .*Lower adapt.learning_rate"):
        _adapt(base, tmp_path / "out")
