"""Losses over a batch of groups. To add one: see CONTRIBUTING.md."""

from __future__ import annotations

from functools import partial

from crosstune.train.config import TrainSettings
from crosstune.train.loss_kinds import KINDS, LossName
from crosstune.train.losses.approx_ndcg import approximate_ndcg
from crosstune.train.losses.base import GroupLoss, Lists
from crosstune.train.losses.bce import binary_cross_entropy
from crosstune.train.losses.kl import kl_divergence
from crosstune.train.losses.lambda_loss import lambda_loss
from crosstune.train.losses.lce import localized_contrastive_estimation
from crosstune.train.losses.listmle import list_mle, position_aware_list_mle
from crosstune.train.losses.listnet import list_net
from crosstune.train.losses.margin import margin_ranking
from crosstune.train.losses.margin_mse import margin_mse
from crosstune.train.losses.mse import mean_squared_error, teacher_mean_squared_error
from crosstune.train.losses.ranknet import ranknet, teacher_ranknet

__all__ = ["LOSSES", "GroupLoss", "Lists", "chosen_loss", "kl_divergence"]

LOSSES: dict[LossName, GroupLoss] = {
    "bce": binary_cross_entropy,
    "mse": mean_squared_error,
    "margin": margin_ranking,
    "ranknet": ranknet,
    "lambda": lambda_loss,
    "lce": localized_contrastive_estimation,
    "listnet": list_net,
    "listmle": list_mle,
    "plistmle": position_aware_list_mle,
    "approx_ndcg": approximate_ndcg,
    "margin_mse": margin_mse,
    "kl": kl_divergence,
    "teacher_mse": teacher_mean_squared_error,
    "teacher_ranknet": teacher_ranknet,
}


def chosen_loss(settings: TrainSettings) -> GroupLoss:
    """The loss that `settings.loss` names, with its option where one is set."""
    option = KINDS[settings.loss].option
    value = None if option is None else getattr(settings, option)
    return (
        LOSSES[settings.loss]
        if option is None or value is None
        else partial(LOSSES[settings.loss], **{option: value})
    )
