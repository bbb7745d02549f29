"""Training: settings, batching, losses and the loop."""

from crosstune.models import resolve_model
from crosstune.serve.nogueira_cho import pair_input
from crosstune.train.config import TrainSettings
from crosstune.train.model import load_cross_encoder
from crosstune.train.pointwise_config import PointwiseSettings
from crosstune.train.train import TrainSummary, train

__all__ = [
    "PointwiseSettings",
    "TrainSettings",
    "TrainSummary",
    "load_cross_encoder",
    "pair_input",
    "resolve_model",
    "train",
]
