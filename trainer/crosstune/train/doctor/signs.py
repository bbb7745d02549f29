"""What a step's logits say about its health, summed on the device and read once an entry of the log."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from crosstune.train.losses.base import Lists, differences, ordered_pairs

if TYPE_CHECKING:
    from transformers import PreTrainedModel


TRACE = 1e-5
"""Of the differences between logits: no loss feels it, and fp32 still tells most of them apart."""


class StepSigns:
    """Sums over the steps since the last `take`.

    `take` returns means by name: `spread` (standard deviation of a group's logits), `flat_loss` (the loss
    when each document has the step's mean logit, but for a trace), `top` (share of groups with a document of
    the best grade on top), `pairs_right` (share of the pairs of two grades in the right order),
    `length_order` (Kendall's tau-b of logit and length over the `length_pairs` pairs of one grade, from -1 to
    1) and `head_grad` (norm of the head's gradient after clipping). What equals counts half; what no step had
    is left out.
    """

    def __init__(self) -> None:
        self._sums: dict[str, tuple[Tensor, Tensor]] = {}

    def step(self, lists: Lists, lengths: Tensor, flat_loss: Tensor) -> None:
        """`lengths`: tokens of each pair, `[groups, docs]`; within a group the query is the same, so that
        they order the passages."""
        with torch.no_grad():
            logits, mask = lists.logits.detach(), lists.mask
            self._add("flat_loss", flat_loss.detach(), torch.ones_like(flat_loss))
            several = mask.sum(dim=1) > 1
            self._add("spread", *_total(_spread(logits, mask), several))
            better = ordered_pairs(lists.labels, mask)
            ahead = differences(logits).sign()
            self._add("pairs_right", *_total((ahead + 1) / 2, better))
            self._add("top", *_total(_top(logits, lists.labels, mask), better.flatten(1).any(dim=1)))
            alike = ordered_pairs(torch.arange(mask.shape[1], device=mask.device).expand_as(mask), mask)
            alike &= differences(lists.labels) == 0
            longer = differences(lengths).sign()
            self._add("length_order", *_total(ahead * longer, alike))
            self._add("lengths_apart", *_total(longer.abs(), alike))
            self._add("logits_apart", *_total(ahead.abs(), alike))

    def head(self, model: PreTrainedModel) -> None:
        """The gradient of the weights outside the base; none counts as 0."""
        body = f"{model.base_model_prefix}."
        own = [p for name, p in model.named_parameters() if not name.startswith(body)]
        if own:
            squares = [p.grad.detach().float().square().sum() for p in own if p.grad is not None]
            total = torch.stack(squares).sum().sqrt() if squares else torch.zeros((), device=own[0].device)
            self._add("head_grad", total, torch.ones_like(total))

    def take(self) -> dict[str, float]:
        """The means, and a new beginning."""
        sums = {name: (float(total), float(count)) for name, (total, count) in self._sums.items()}
        self._sums.clear()
        means = {name: total / count for name, (total, count) in sums.items() if count}
        apart = (means.pop("lengths_apart", 0.0) * means.pop("logits_apart", 0.0)) ** 0.5
        order = means.pop("length_order", 0.0)
        return means | (
            {"length_order": order / apart, "length_pairs": sums["length_order"][1]} if apart else {}
        )

    def _add(self, name: str, total: Tensor, count: Tensor) -> None:
        before = self._sums.get(name)
        both = (total.float(), count.float())
        self._sums[name] = both if before is None else (before[0] + both[0], before[1] + both[1])


def _total(values: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    return torch.where(counted, values, 0).sum(), counted.sum()


def _spread(logits: Tensor, mask: Tensor) -> Tensor:
    size = mask.sum(dim=1, keepdim=True).clamp(min=1)
    mean = (logits * mask).sum(dim=1, keepdim=True) / size
    return (((logits - mean).square() * mask).sum(dim=1) / size.squeeze(1)).sqrt()


def _top(logits: Tensor, labels: Tensor, mask: Tensor) -> Tensor:
    """`[groups]`: the share of the documents with the highest logit that have the best grade."""
    least = torch.finfo(logits.dtype).min
    highest, best = logits.masked_fill(~mask, least), labels.masked_fill(~mask, least)
    first = (highest == highest.max(dim=1, keepdim=True).values) & mask
    wanted = first & (best == best.max(dim=1, keepdim=True).values)
    return wanted.sum(dim=1) / first.sum(dim=1).clamp(min=1)


def flattened(lists: Lists) -> Lists:
    """The same lists with all logits drawn together at the step's mean: what the order of documents brings is
    gone, and the level, which losses of single documents depend on, stays. A trace of the order is left, by
    which a loss that weighs pairs by the documents' ranks gives them the weights that they have."""
    logits = lists.logits.detach()
    mean = logits[lists.mask].mean()
    return Lists(torch.lerp(mean, logits, TRACE), lists.labels, lists.teacher, lists.mask)
