"""The training stage: groups and a dev split in, the best checkpoint as a Hugging Face folder out."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.device import check_step, device
from crosstune.files import read_json, write_json
from crosstune.models import has_ranking_head, resolve_model
from crosstune.processes import first_before_others, is_first, place, shared
from crosstune.progress import say
from crosstune.records import Collection, Group, Qrels, Run
from crosstune.serve.pairs import LengthRule, PairEncoder, model_input_names
from crosstune.train.arguments import training_arguments
from crosstune.train.config import MICRO_BATCH_TOKENS, TrainSettings
from crosstune.train.dev import DevJudge, DevVerdict
from crosstune.train.doctor.facts import look_at, plan
from crosstune.train.group_check import check_dev, check_labels, check_scores, check_targets
from crosstune.train.loss_kinds import KINDS
from crosstune.train.model import load_cross_encoder
from crosstune.train.saving import save_model
from crosstune.train.trackers import Facts, check_trackers, tracked
from crosstune.train.zero import leaves_zero_open, offset_to_share, shift_head
from crosstune.trec import write_run

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.train.batching import Cuts
    from crosstune.train.best import Best

SUMMARY, TOKENS = "train.json", "tokens"
USUAL_RATE, FRESH_RATE = 2e-5, 1e-4
MERGE_GROUPS = 16
"""Whose pairs a network with adapters and the merged one are compared on."""


@dataclass(frozen=True)
class TrainSummary:
    """What `train.json` holds: the best nDCG@10 over the sampled dev queries as training saw it, that of all
    systems over the verdict's with the name of the best (see `DevVerdict`), where the best weights lie (see
    `Best`), the counts, and the names of the doctor's diagnoses."""

    best_dev_ndcg: float
    dev: dict[str, float | None]
    best_on_dev: str
    best_step: int
    best_share: float
    steps: int
    groups: int
    pairs: int
    passages_windowed: int
    passages_cut: int
    queries: int
    queries_cut: int
    seconds: float
    diagnoses: list[str]


def train(
    groups: Sequence[Group],
    collection: Collection,
    dev_candidates: Run,
    model: str,
    settings: TrainSettings,
    seed: int,
    folder: Path,
    adapted: Path | None = None,
    facts: Facts | None = None,
    cache: Path | None = None,
) -> TrainSummary:
    """Trains a cross-encoder and writes `model/`, `train_log.jsonl`, `train.json`, `doctor.json`,
    `dev.tuned.trec` (its logits on dev) and `fusion.json` (whether the first stage's score is to be added)
    into `folder`.

    `adapted`: the base `model` after an adaptation, from which training then starts; it is compared with
    `model`. A start that is neither of them is kept as `start/`.

    `folder` may hold the checkpoints of an interrupted call with the same arguments: training then
    goes on from the last whole one, to the same outcome. `facts` is what trackers are told beside the log.
    `cache`: where the groups' tokens are kept; without one in `folder`, while the training lasts.
    Raises `InputError` for groups (also such as the loss cannot learn from), a dev split, a model or a
    checkpoint that cannot be used and `CheckFailed` when the loss is no longer a number, the model gives
    constant scores and has no gradient, or adapters cannot be merged.
    """
    from transformers import EarlyStoppingCallback, PrinterCallback, set_seed

    from crosstune.train.batching import GroupCollator, TokenizedGroups
    from crosstune.train.best import best_weights
    from crosstune.train.callbacks import JsonlLog, LastStep, StepProgress
    from crosstune.train.checkpoints import Checkpoints, disk_errors, shared_last_complete, train_on
    from crosstune.train.doctor.watch import Doctor
    from crosstune.train.loop import GroupTrainer
    from crosstune.train.lora import merge_adapters
    from crosstune.train.losses import chosen_loss
    from crosstune.train.precision import use_bf16
    from crosstune.train.rates import chosen_rates
    from crosstune.train.start import begin

    _refuse_early(groups, collection, dev_candidates, settings)
    if shared((folder / SUMMARY).is_file()):
        return _tidied(folder)
    rule = settings.length_rule
    base = resolve_model(model)
    encoder = PairEncoder.from_folder(base, rule)
    network = load_cross_encoder(base, rule, seed)
    with first_before_others():  # these find in `folder` what it has measured and made
        bf16 = use_bf16(settings.precision, folder)
        judge = DevJudge(collection, dev_candidates, settings, encoder, seed, folder / "dev", bf16=bf16)
        of_base = judge.base(network, base)
        if adapted is not None:
            base, network = adapted, load_cross_encoder(adapted, rule, seed)
        network, groups = begin(
            network,
            base,
            groups,
            collection,
            judge.sample,
            encoder,
            settings,
            bf16=bf16,
            seed=seed,
            folder=folder,
        )
    check_targets(groups, settings.loss)
    data = TokenizedGroups(groups, encoder, (cache or folder) / TOKENS)
    cuts = data.cuts()
    say(
        f"  {len(groups)} groups, {cuts.pairs} pairs; {_told(cuts, rule)}, {cuts.queries_cut} of "
        f"{cuts.queries} queries cut to {rule.max_query_tokens} tokens"
    )

    checkpoints = folder / "checkpoints"
    compares = (folder / "start").is_dir()
    rate = settings.learning_rate or (USUAL_RATE if compares or has_ranking_head(base) else FRESH_RATE)
    arguments = training_arguments(settings, rate, len(groups), bf16, seed, checkpoints, compares)
    doctor = Doctor(plan(settings, arguments), look_at(groups, data, collection, judge.sample), folder)
    trainer = GroupTrainer(
        model=network,
        args=arguments,
        train_dataset=data,
        eval_dataset=list(judge.sample),
        data_collator=GroupCollator(
            network.config.pad_token_id,
            settings.micro_batch_tokens or MICRO_BATCH_TOKENS[device()],
            model_input_names(network.config),
        ),
        callbacks=[
            JsonlLog(folder / "train_log.jsonl"),
            StepProgress("train, steps"),
            LastStep(),
            Checkpoints(checkpoints),
            EarlyStoppingCallback(settings.patience),
            doctor,
        ],
        loss=chosen_loss(settings),
        kind=KINDS[settings.loss],
        rerank_dev=lambda current: judge.evaluation(current, trainer.state.global_step),
        signs=doctor.signs,
        rates=chosen_rates(settings, rate),
        forward_again=settings.gradient_checkpointing,
    )
    trainer.remove_callback(PrinterCallback)  # its lines would mix with results on standard output
    set_seed(seed + place())
    with disk_errors(checkpoints), doctor.watching(), tracked(settings.report_to, facts, folder) as trackers:
        seconds = train_on(trainer, shared_last_complete(checkpoints), trackers)
    if not is_first():
        return _tidied(folder)
    if settings.lora.rank is not None:
        sample = [(group.query, doc) for group in groups[:MERGE_GROUPS] for doc in group.docs]
        merge_adapters(trainer.model, encoder, sample, base, folder)
    best = best_weights(trainer, judge, folder, rule, seed)
    logits = _dev_logits(best, judge, settings, collection.qrels["dev"])
    save_model(best.model, base, folder)
    verdict = write_verdict(judge, logits, of_base, folder)
    summary = TrainSummary(
        best_dev_ndcg=best.ndcg,
        dev=verdict.ndcg,
        best_on_dev=verdict.best,
        best_step=best.step,
        best_share=best.share,
        steps=int(trainer.state.global_step),
        groups=len(groups),
        seconds=seconds,
        diagnoses=[diagnosis.name for diagnosis in doctor.verdict()],
        **dataclasses.asdict(cuts),
    )
    write_json(folder / SUMMARY, dataclasses.asdict(summary))
    return _tidied(folder)


def _told(cuts: Cuts, rule: LengthRule) -> str:
    if rule.windows is None:
        return f"{cuts.passages_cut} passages cut to {rule.max_tokens} tokens a pair"
    return (
        f"{cuts.passages_windowed} passages read in windows of {rule.max_tokens} tokens a pair, "
        f"{cuts.passages_cut} cut behind {rule.windows.most} windows"
    )


def _refuse_early(
    groups: Sequence[Group], collection: Collection, dev_candidates: Run, settings: TrainSettings
) -> None:
    check_step(settings.groups_per_step, "train.groups_per_step")
    check_labels(groups, settings.loss)
    check_scores(groups)
    check_trackers(settings.report_to)
    check_dev(collection, dev_candidates)


def _tidied(folder: Path) -> TrainSummary:
    """What `train.json` says, in each process, when what only an interrupted training needs is gone."""
    values = shared(read_json(folder / SUMMARY) if is_first() else {})
    for name in ("checkpoints", "dev", "adapt", "reduced", TOKENS) if is_first() else ():
        if (folder / name).exists():
            shutil.rmtree(folder / name)
    return TrainSummary(**values)


def _dev_logits(best: Best, judge: DevJudge, settings: TrainSettings, qrels: Qrels) -> Run:
    """The best model's, whose zero is set where the loss leaves it open."""
    logits = judge.logits(best.model, best.name)
    return _set_zero(best.model, logits, qrels) if leaves_zero_open(settings.loss) else logits


def _set_zero(model: PreTrainedModel, logits: Run, qrels: Qrels) -> Run:
    """Moves the model's logits to where the sigmoid means something; returns them moved."""
    offset = offset_to_share(logits, qrels)
    if not shift_head(model, offset):
        return logits
    return {q: {doc: logit + offset for doc, logit in scores.items()} for q, scores in logits.items()}


def write_verdict(judge: DevJudge, logits: Run, of_base: float, folder: Path) -> DevVerdict:
    """Writes the tuned model's logits on dev and what they say of a fusion; returns what dev says of all."""
    write_run(folder / "dev.tuned.trec", logits, "crosstune-tuned")
    trial, verdict = judge.verdict(logits, of_base)
    write_json(folder / "fusion.json", dataclasses.asdict(trial))
    return verdict
