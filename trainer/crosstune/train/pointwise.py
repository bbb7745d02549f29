"""Pointwise training with two classes on a stream of pairs, as Nogueira & Cho 2019 (arXiv:1901.04085)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel, PrinterCallback, TrainingArguments, set_seed

from crosstune.device import check_step
from crosstune.errors import CheckFailed
from crosstune.files import write_json
from crosstune.models import resolve_model
from crosstune.processes import count, first_before_others, is_first, place, together
from crosstune.progress import say
from crosstune.serve.pairs import LengthRule, PairEncoder, model_input_names
from crosstune.train.arguments import common_arguments
from crosstune.train.bert_adam import BertAdam, rate_share
from crosstune.train.callbacks import JsonlLog, StepProgress
from crosstune.train.checkpoints import Checkpoints, disk_errors, shared_last_complete, train_on
from crosstune.train.memory import MicroBatchTrainer
from crosstune.train.model import load_cross_encoder, load_two_labels
from crosstune.train.precision import use_bf16
from crosstune.train.saving import save_model
from crosstune.train.stream import Examples, PairCollator, PairStream
from crosstune.train.trackers import Facts, check_trackers, tracked

if TYPE_CHECKING:
    from crosstune.train.pointwise_config import PointwiseSettings


@dataclass(frozen=True)
class PointwiseSummary:
    """What `train.json` holds. `pairs` and the cuts are those since `first_step`, where this call began."""

    steps: int
    first_step: int
    pairs: int
    passages_cut: int
    queries_cut: int
    seconds: float


class PairTrainer(MicroBatchTrainer):
    """A `Trainer` whose loss is the mean cross-entropy of two classes over the pairs of a part of a step, of
    all processes."""

    def __init__(self, *, checkpoint: Path | None, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._checkpoint = checkpoint
        # The loss is a mean over pairs; Trainer divides it by the parts of an accumulated step.
        self.model_accepts_loss_kwargs = False

    def training_step(self, *arguments: Any, **named: Any) -> Tensor:
        # Trainer leaves the checkpoint's draws aside where it is told not to skip data; dropout needs them.
        if self._checkpoint is not None:
            self._load_rng_state(str(self._checkpoint))
            self._checkpoint = None
        loss: Tensor = super().training_step(*arguments, **named)
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,  # noqa: ARG002
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002
    ) -> Tensor:
        logits = self.micro_logits(model, inputs["micro_batches"])
        # Of this process's pairs over all; times the processes, over whose gradients the mean is taken.
        share = count() / self.args.per_device_train_batch_size
        loss: Tensor = share * cross_entropy(logits, inputs["labels"], reduction="sum")
        if not torch.isfinite(loss):
            raise CheckFailed(
                f"training stopped: the loss is {loss.item()} at step {self.state.global_step + 1}. Lower "
                "train.learning_rate, use train.precision=fp32, or check the base model. Checkpoints before "
                "this step are kept"
            )
        return loss


def train_pointwise(
    examples: Examples,
    model: str,
    settings: PointwiseSettings,
    seed: int,
    folder: Path,
    facts: Facts | None = None,
) -> PointwiseSummary:
    """Trains for `settings.steps` steps; the last weights count, as in the original.

    Writes `two_labels/` (the model as it was trained, class 1 relevant), `model/` (the same with one label,
    whose logit is the log-odds), `train_log.jsonl` and `train.json` into `folder`, which may hold the
    checkpoints of an interrupted call. `facts` is what trackers are told beside the log. Raises `InputError`
    for a base that is no BERT and for examples that cannot be read, `CheckFailed` when the loss is no longer
    a number.
    """
    check_step(settings.batch_pairs, "train.batch_pairs")
    check_trackers(settings.report_to)
    rule = LengthRule(settings.max_tokens, settings.max_query_tokens, settings.style)
    base = resolve_model(model)
    encoder = PairEncoder.from_folder(base, rule)
    network = load_two_labels(base, rule, seed, dropout=settings.dropout, head_std=settings.head_std)
    checkpoints = folder / "checkpoints"
    checkpoint = shared_last_complete(checkpoints)
    first_step = int(checkpoint.name.split("-")[1]) if checkpoint else 0
    stream = PairStream(
        examples,
        encoder,
        buffer=settings.shuffle_buffer,
        seed=seed,
        skip=first_step * settings.batch_pairs,
    )
    with first_before_others():
        bf16 = use_bf16(settings.precision, folder)
    trainer = PairTrainer(
        checkpoint=checkpoint,
        model=network,
        args=_arguments(settings, seed, checkpoints, bf16=bf16),
        train_dataset=stream,
        data_collator=PairCollator(
            network.config.pad_token_id, settings.micro_batch_tokens, model_input_names(network.config)
        ),
        optimizers=_optimizer(network, settings),
        callbacks=[
            JsonlLog(folder / "train_log.jsonl"),
            StepProgress("train, steps"),
            Checkpoints(checkpoints),
        ],
    )
    trainer.remove_callback(PrinterCallback)
    set_seed(seed + place())
    with disk_errors(checkpoints), tracked(settings.report_to, facts, folder) as trackers:
        seconds = train_on(trainer, checkpoint, trackers)
    counts = stream.counts
    summary = PointwiseSummary(
        steps=int(trainer.state.global_step),
        first_step=first_step,
        pairs=counts["pairs"],
        passages_cut=counts["passages_cut"],
        queries_cut=counts["queries_cut"],
        seconds=seconds,
    )
    say(
        f"  {summary.pairs} pairs; {summary.passages_cut} passages and {summary.queries_cut} queries were cut"
    )
    if is_first():
        _save(trainer.model, base, rule, folder)
        write_json(folder / "train.json", dataclasses.asdict(summary))
    return summary


def _optimizer(network: PreTrainedModel, settings: PointwiseSettings) -> tuple[BertAdam, LambdaLR]:
    optimizer = BertAdam(
        network.named_parameters(),
        learning_rate=settings.learning_rate,
        betas=(settings.beta1, settings.beta2),
        epsilon=settings.epsilon,
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
    )
    warmup, steps = settings.warmup_steps, settings.steps
    return optimizer, LambdaLR(optimizer, lambda step: rate_share(step, warmup, steps))


def _arguments(settings: PointwiseSettings, seed: int, checkpoints: Path, *, bf16: bool) -> TrainingArguments:
    arguments = partial(
        TrainingArguments,
        **common_arguments(checkpoints, seed),
        max_steps=settings.steps,
        max_grad_norm=0.0,  # the optimizer clips, by the original's formula
        per_device_train_batch_size=settings.batch_pairs // settings.accumulate,
        gradient_accumulation_steps=settings.accumulate,
        bf16=bf16,
        # Dispatched batches are sliced by the size of their first tensor, here a micro-batch's.
        accelerator_config={"dispatch_batches": False},
        ignore_data_skip=True,  # the stream begins where the checkpoint ended
        save_strategy="steps",
        save_steps=settings.checkpoint_steps,
        logging_steps=max(1, min(100, settings.steps // 20)),
        ddp_broadcast_buffers=False,
    )
    with together():
        return arguments()


def _save(model: PreTrainedModel, base: Path, rule: LengthRule, folder: Path) -> None:
    """The model with its two labels, and with one, each with the base's own tokenizer files."""
    save_model(model, base, folder, "two_labels")
    save_model(load_cross_encoder(folder / "two_labels", rule, seed=0), base, folder)
