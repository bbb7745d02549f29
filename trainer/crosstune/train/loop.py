"""The loop is `transformers.Trainer`; here is what differs: groups, micro-batches, dev reranking."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor
from transformers import PreTrainedModel, TrainerControl

from crosstune.errors import CheckFailed
from crosstune.heap import give_back
from crosstune.processes import count, is_first, shared, summed
from crosstune.train.doctor.signs import StepSigns, flattened
from crosstune.train.doctor.thresholds import NO_NUMBER
from crosstune.train.loss_kinds import TEACHER_ALONE, LossKind
from crosstune.train.losses import GroupLoss, Lists, kl_divergence
from crosstune.train.memory import MicroBatchTrainer
from crosstune.train.row_trainer import RowTrainer
from crosstune.train.windows import take_best_windows, words_of

Rates = Callable[[PreTrainedModel, Collection[str]], list[dict[str, Any]]]
"""The network and the names of the weights that decay -> the optimizer's groups."""
TEACHER_WEIGHT = 0.5


class GroupTrainer(RowTrainer, MicroBatchTrainer):
    """A `Trainer` over groups.

    `loss`, of this `kind`, is computed on the logits of all groups of a step at once, so that cutting the
    pairs into micro-batches never changes the gradient, and each part of an accumulated step counts by what
    it holds. A loss that learns from a teacher is all that is learned from.
    With one that learns from labels, and groups that carry a teacher's logits, the first half of the steps
    learns from these alone and the rest from both in equal parts; groups beside them that carry none learn
    from their labels all the while. `rerank_dev(model)` returns what dev
    says, nDCG@10 among it, and is what `evaluate` reports. `signs` sees every step for the doctor. `rates`
    makes the optimizer's groups where weights have rates of their own.

    Of several processes each computes its share of the pairs and has all logits for the loss, so that this is
    the loss of one process. The first evaluates, and what it logs all believe.
    """

    def __init__(
        self,
        *,
        loss: GroupLoss,
        kind: LossKind,
        rerank_dev: Callable[[PreTrainedModel], Mapping[str, float]],
        signs: StepSigns,
        rates: Rates | None = None,
        **arguments: Any,
    ) -> None:
        super().__init__(**arguments)
        self._loss = loss
        self._kind = kind
        self._rerank_dev = rerank_dev
        self._signs = signs
        self._rates = rates
        # Trainer divides the loss by the parts of an accumulated step.
        self.model_accepts_loss_kwargs = False

    def get_batch_samples(self, *arguments: Any, **named: Any) -> Any:
        """The parts of a step, each with how much more than an equal share of it it is: of its groups and of
        their documents. An epoch's last step may have a smaller part."""
        parts, items = super().get_batch_samples(*arguments, **named)
        sizes = [(len(part["mask"]), int(part["mask"].sum())) for part in parts]
        equal = [sum(every) / len(parts) for every in zip(*sizes, strict=True)]
        for part, size in zip(parts, sizes, strict=True):
            part["shares"] = [own / share for own, share in zip(size, equal, strict=True)]
        return parts, items

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *arguments: Any, **named: Any
    ) -> Tensor:
        if inputs["windowed"]:
            self.settle(words_of(inputs["windowed"]))
            alone = self.accelerator.unwrap_model(model)  # other processes may have fewer windows
            take_best_windows(alone, inputs["micro_batches"], inputs["windowed"])
        loss: Tensor = super().training_step(model, inputs, *arguments, **named)
        return loss

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        logits = self.micro_logits(model, inputs["micro_batches"])[:, 0]
        if count() > 1:  # the mean over the processes that follows makes the sum of the shares from it
            logits.register_hook(lambda gradient: gradient * count())  # type: ignore[no-untyped-call]
        lists = Lists(_as_table(logits, inputs), inputs["labels"], inputs["teacher_scores"], inputs["mask"])
        loss = self._step_loss(lists, *inputs["shares"])
        if not torch.isfinite(loss):
            raise CheckFailed(
                f"{NO_NUMBER} {loss.item()} at step {self.state.global_step + 1} "
                f"(learning rate {self._get_learning_rate():.1e}). Lower train.learning_rate, use "
                "train.precision=fp32, or check the base model. Checkpoints before this step are kept"
            )
        flat = self._step_loss(flattened(lists), *inputs["shares"])
        self._signs.step(lists, inputs["lengths"], flat)
        return loss + 0 * logits[len(inputs["slots"]) :].sum() if len(logits) > len(inputs["slots"]) else loss

    def token_ids(self, inputs: dict[str, Any]) -> Tensor:
        return torch.cat([batch["input_ids"].flatten() for batch in inputs["micro_batches"]])

    def _step_loss(self, lists: Lists, of_groups: float | Tensor, of_documents: float | Tensor) -> Tensor:
        """`of_groups`, `of_documents`: what a mean over these counts in the step."""
        share = of_documents if self._kind.needs == "a document" else of_groups
        taught = ~(lists.teacher.isnan() & lists.mask).any(dim=1)
        if self._kind.learns_from == "teacher" or not taught.any():
            return share * self._loss(lists)
        if not taught.all():
            of_both = [
                self._step_loss(
                    _chosen(lists, some),
                    of_groups * some.sum() / len(some),
                    of_documents * lists.mask[some].sum() / lists.mask.sum(),
                )
                for some in (taught, ~taught)
            ]
            return of_both[0] + of_both[1]
        distilled = of_groups * kl_divergence(lists)
        if self.state.global_step < TEACHER_ALONE * self.state.max_steps:
            return distilled
        return TEACHER_WEIGHT * distilled + (1 - TEACHER_WEIGHT) * share * self._loss(lists)

    def create_optimizer(self, model: PreTrainedModel | None = None) -> torch.optim.Optimizer:
        if getattr(self, "optimizer", None) is None and self._rates is not None:
            trained = self.model if model is None else model
            chosen = self.optimizer_cls_and_kwargs
            kind, options = chosen or self.get_optimizer_cls_and_kwargs(self.args, trained)
            groups = self._rates(trained, self.get_decay_parameter_names(trained))
            self.optimizer = kind(groups, **options)
        made: torch.optim.Optimizer = super().create_optimizer(model)
        return made

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        super().log(shared(logs | self._signs.take() if "loss" in logs else logs), start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        self.settle()
        self.model.eval()
        found = shared(self._rerank_dev(self.model) if is_first() else {})
        metrics = {f"eval_{name}": value for name, value in found.items()}
        give_back()
        self.log(dict(metrics))
        self.control: TrainerControl = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics


def _chosen(lists: Lists, some: Tensor) -> Lists:
    """`some`: bool `[groups]`."""
    return Lists(lists.logits[some], lists.labels[some], lists.teacher[some], lists.mask[some])


def _as_table(values: Tensor, inputs: dict[str, Any]) -> Tensor:
    """One value a pair, in the order of the micro-batches -> `[groups, docs]`, 0 where a group was padded.
    Those of other processes come without a gradient."""
    mask, slots = inputs["mask"], inputs["slots"]
    table = torch.zeros(mask.numel(), dtype=values.dtype, device=mask.device)
    values = values[: len(slots)]
    if count() > 1:
        table = summed(table.scatter(0, slots, values.detach()))
    return table.scatter(0, slots, values).view_as(mask)
