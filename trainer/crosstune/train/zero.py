"""The zero of the logits, which losses over lists leave open: the mean sigmoid becomes the share of relevant.

A constant added to all logits of a query changes no such loss. Where it comes out large, the sigmoid that
every server applies is 1.0 in fp32 for all documents, and their order is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from crosstune.records import Qrels, Run
from crosstune.train.loss_kinds import KINDS, LossName
from crosstune.train.model import heads

if TYPE_CHECKING:
    from transformers import PreTrainedModel

FAR = 40.0
"""Beyond the largest and the least logit by this much, all sigmoids are 0 or 1."""


def leaves_zero_open(loss: LossName) -> bool:
    """Whether it learns from differences alone; one that learns from single documents sets the zero."""
    return KINDS[loss].needs != "a document"


def offset_to_share(logits: Run, qrels: Qrels) -> float:
    """What to add to every logit, so that the mean sigmoid is the share of relevant documents: the intercept
    of a logistic regression of slope 1, with Platt's targets (1999), so that it exists for any labels. 0
    without any document."""
    import numpy as np
    from scipy.optimize import brentq
    from scipy.special import expit

    values = np.array([logit for scores in logits.values() for logit in scores.values()])
    if not len(values):
        return 0.0
    relevant = sum(qrels.get(q, {}).get(doc, 0) > 0 for q, scores in logits.items() for doc in scores)
    share = (relevant + 1) / (len(values) + 2)
    low, high = -float(values.max()) - FAR, -float(values.min()) + FAR
    return float(brentq(lambda offset: float(expit(values + offset).mean()) - share, low, high))


def shift_head(model: PreTrainedModel, offset: float) -> bool:
    """Adds `offset` to every logit by the bias of the head, in place. Returns whether it has one."""
    import torch

    found = heads(model, labels=1)
    bias = found[-1][1].bias if found else None
    if bias is None:
        return False
    with torch.no_grad():
        bias.add_(offset)
    return True
