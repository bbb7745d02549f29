"""Pointwise regression: on the grades (Cossock & Zhang 2006, doi:10.1007/11776420_44), and on a teacher's
logits (Ba & Caruana 2014, arXiv:1312.6184)."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import mse_loss

from crosstune.train.losses.base import Lists


def mean_squared_error(lists: Lists) -> Tensor:
    """`(z - y)^2`, mean over the documents. The logit becomes the grade."""
    return mse_loss(lists.logits[lists.mask], lists.labels[lists.mask])


def teacher_mean_squared_error(lists: Lists) -> Tensor:
    """`(z - t)^2` with the teacher's logit `t`, mean over the documents. The scale of the teacher is learned
    too."""
    return mse_loss(lists.logits[lists.mask], lists.teacher[lists.mask])
