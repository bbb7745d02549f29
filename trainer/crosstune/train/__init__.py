"""Training: settings, batching, losses and the loop."""

from crosstune.models import resolve_model
from crosstune.serve.nogueira_cho import pair_input
from crosstune.train.config import TrainSettings
from crosstune.train.fusion import FusionTrial, fuse_run, read_fusion_trial
from crosstune.train.model import load_cross_encoder, load_scorer
from crosstune.train.pointwise_config import PointwiseSettings
from crosstune.train.train import TrainSummary, train

__all__ = [
    "FusionTrial",
    "PointwiseSettings",
    "TrainSettings",
    "TrainSummary",
    "fuse_run",
    "load_cross_encoder",
    "load_scorer",
    "pair_input",
    "read_fusion_trial",
    "resolve_model",
    "train",
]
