"""The adapt stage: the base learns the corpus by guessing its masked words, before any label is used.

Gururangan et al. 2020 (arXiv:2004.10964) found that a second round of pretraining on the domain's own texts
helps the task that follows, the more so the further the domain is from what the base has read.
"""

from __future__ import annotations

import math
import random
import shutil
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.device import check_step
from crosstune.errors import InputError
from crosstune.files import read_json, read_jsonl, write_json
from crosstune.models import has_ranking_head, resolve_model
from crosstune.progress import say
from crosstune.records import Collection, Run
from crosstune.serve.pairs import PairEncoder
from crosstune.train.adapt_config import AdaptSettings
from crosstune.train.arguments import common_arguments
from crosstune.train.config import TrainSettings
from crosstune.train.dev import DevJudge
from crosstune.train.fusion import MEASURE
from crosstune.train.group_check import check_dev
from crosstune.train.model import load_cross_encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel, TrainingArguments

    from crosstune.train.masked import MaskedTexts, MaskedTrainer

LOG = "adapt_log.jsonl"
SUMMARY = "adapt.json"


@dataclass(frozen=True)
class AdaptSummary:
    """What `adapt.json` holds. `fresh_head`: how many weights of the head that guesses words were not in the
    base's folder; `passages`, `pieces`: of the corpus, and the texts they became; `loss`: of held-out words,
    in nats, before and after; `dev`: nDCG@10 of the untrained base, by its head or its vectors, before and
    after."""

    steps: int
    fresh_head: int
    passages: int
    pieces: int
    loss: dict[str, float]
    dev: dict[str, float]
    seconds: float


def adapt_to_corpus(
    collection: Collection,
    dev_candidates: Run,
    model: str,
    settings: AdaptSettings,
    judged: TrainSettings,
    seed: int,
    folder: Path,
) -> AdaptSummary:
    """Trains the base on all passages and writes `model/`, which is of the base's own kind, `adapt_log.jsonl`
    and `adapt.json` into `folder`.

    `judged`: says which dev queries compare the base before and after. `folder` may hold the checkpoints of
    an interrupted call with the same arguments: it then goes on from the last whole one. Raises `InputError`
    for a base that cannot guess words, a corpus that is too small and a collection without dev split, and
    `CheckFailed` when the loss is no longer a number.
    """
    from transformers import set_seed

    from crosstune.train.checkpoints import disk_errors, last_complete, train_on
    from crosstune.train.masked import load_masked_model
    from crosstune.train.precision import use_bf16

    check_step(settings.texts_per_step, "adapt.texts_per_step")
    check_dev(collection, dev_candidates)
    if (folder / SUMMARY).is_file():
        return _tidied(folder)
    base = resolve_model(model)
    of_base = _dev(base, collection, dev_candidates, judged, seed, folder / "dev" / "base")
    learned, held_out, pieces = _texts(base, collection, settings, seed)
    network, missing = load_masked_model(base, settings.max_tokens, seed)
    say(
        f"  {len(collection.passages)} passages as {pieces} texts, each read "
        f"{len(learned) / pieces:.2g} times; the head that guesses words is "
        + (f"made fresh ({len(missing)} weights are not in {base})" if missing else "the base's own")
    )
    bf16 = use_bf16(settings.precision, folder)
    checkpoints = folder / "checkpoints"
    arguments = _arguments(settings, bf16, seed, checkpoints)
    trainer = _trainer(network, arguments, learned, held_out, folder)
    set_seed(seed)
    with disk_errors(checkpoints):
        seconds = train_on(trainer, last_complete(checkpoints))
    _save(network, base, folder)
    adapted = _dev(folder / "model", collection, dev_candidates, judged, seed, folder / "dev" / "adapted")
    losses = [row["eval_loss"] for _, row in read_jsonl(folder / LOG) if "eval_loss" in row]
    summary = AdaptSummary(
        steps=int(trainer.state.global_step),
        fresh_head=len(missing),
        passages=len(collection.passages),
        pieces=pieces,
        loss={"before": losses[0], "after": losses[-1]},
        dev={"before": of_base, "after": adapted},
        seconds=seconds,
    )
    _show(summary, has_ranking_head(base))
    write_json(folder / SUMMARY, asdict(summary))
    return _tidied(folder)


def _tidied(folder: Path) -> AdaptSummary:
    """What `adapt.json` says, when what only an interrupted adaptation needs is gone."""
    for name in ("checkpoints", "dev"):
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    return AdaptSummary(**read_json(folder / SUMMARY))


def _texts(
    base: Path, collection: Collection, settings: AdaptSettings, seed: int
) -> tuple[MaskedTexts, MaskedTexts, int]:
    """What is learned, what is held out, and how many different texts are learned."""
    from crosstune.train.masked import HELD_OUT, MOST_HELD_OUT, MaskedTexts, load_masker, pieces_of

    masker = load_masker(base, settings.masked_share)
    ids = random.Random(seed).sample(sorted(collection.passages), len(collection.passages))
    aside = min(MOST_HELD_OUT, math.ceil(HELD_OUT * len(ids)))
    wanted = settings.steps * settings.texts_per_step
    parts = [
        pieces_of(masker.tokenizer, [collection.passages[i] for i in chosen], settings.max_tokens)
        for chosen in (ids[aside : aside + wanted], ids[:aside])
    ]
    if not all(parts):
        raise InputError(
            f"the corpus has {len(ids)} passages, too few with words in them to learn from some and to "
            "measure on others; set adapt.steps=0"
        )
    learned = random.Random(seed).sample(parts[0], len(parts[0]))[:wanted]
    held_out = MaskedTexts(parts[1], len(parts[1]), masker, seed)
    return MaskedTexts(learned, wanted, masker, seed), held_out, len(learned)


def _trainer(
    network: PreTrainedModel,
    arguments: TrainingArguments,
    learned: MaskedTexts,
    held_out: MaskedTexts,
    folder: Path,
) -> MaskedTrainer:
    from transformers import PrinterCallback

    from crosstune.train.callbacks import JsonlLog
    from crosstune.train.checkpoints import Checkpoints
    from crosstune.train.masked import HeldOutProgress, MaskedTrainer, pad_texts

    trainer = MaskedTrainer(
        model=network,
        args=arguments,
        train_dataset=learned,
        eval_dataset=held_out,
        data_collator=partial(pad_texts, pad_id=network.config.pad_token_id),
        callbacks=[
            JsonlLog(folder / LOG),
            HeldOutProgress("adapt, steps"),
            Checkpoints(folder / "checkpoints"),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    return trainer


def _arguments(settings: AdaptSettings, bf16: bool, seed: int, checkpoints: Path) -> TrainingArguments:
    from transformers import TrainingArguments

    every = math.ceil(settings.steps / settings.evaluations)
    return TrainingArguments(
        **common_arguments(checkpoints, seed),
        max_steps=settings.steps,
        learning_rate=settings.learning_rate,
        warmup_steps=math.ceil(settings.warmup * settings.steps),
        lr_scheduler_type="linear",
        weight_decay=settings.weight_decay,
        per_device_train_batch_size=settings.texts_per_step,
        per_device_eval_batch_size=settings.texts_per_step,
        optim="adamw_torch_fused",
        bf16=bf16,
        eval_strategy="steps",
        eval_steps=every,
        eval_on_start=True,
        save_strategy="steps",
        save_steps=every,
        logging_steps=max(1, every // 10),
    )


def _save(network: PreTrainedModel, base: Path, folder: Path) -> None:
    """The base but for its encoder: a pooler or a ranking head stays, the head of masked words goes."""
    import torch
    from transformers import AutoModel, AutoModelForSequenceClassification

    from crosstune.train.saving import save_model

    kind = AutoModelForSequenceClassification if has_ranking_head(base) else AutoModel
    whole = kind.from_pretrained(base, dtype=torch.float32, local_files_only=True, trust_remote_code=False)
    unknown = whole.base_model.load_state_dict(network.base_model.state_dict(), strict=False).unexpected_keys
    if unknown:
        raise ValueError(f"weights without a place in the base: {unknown}")
    save_model(whole, base, folder)


def _dev(
    model: Path, collection: Collection, candidates: Run, settings: TrainSettings, seed: int, scratch: Path
) -> float:
    rule = settings.length_rule
    encoder = PairEncoder.from_folder(model, rule)
    judge = DevJudge(collection, candidates, settings, encoder, seed, scratch)
    return judge.base(load_cross_encoder(model, rule, seed), model)


def _show(summary: AdaptSummary, headed: bool) -> None:
    before, after = summary.dev["before"], summary.dev["after"]
    say(f"  loss of masked words in held-out passages: {summary.loss['before']:.3f} -> "
        f"{summary.loss['after']:.3f}")  # fmt: skip
    warning = (
        "; the adaptation spoils it: the run without adapt.steps may be better" if after < before else ""
    )
    say(f"  dev {MEASURE} of the untrained base's {'head' if headed else 'vectors'}: {before:.4f} -> "
        f"{after:.4f}{warning}")  # fmt: skip
