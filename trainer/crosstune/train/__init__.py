"""Training: settings, batching, losses and the loop."""

from crosstune.models import resolve_model
from crosstune.serve.nogueira_cho import pair_input
from crosstune.train.adapt_config import AdaptSettings
from crosstune.train.adaptation import AdaptSummary, adapt_to_corpus
from crosstune.train.config import TrainSettings
from crosstune.train.fusion import FusionTrial, fuse_run, read_fusion_trial
from crosstune.train.model import load_cross_encoder, load_scorer
from crosstune.train.pointwise_config import PointwiseSettings
from crosstune.train.systems import Systems
from crosstune.train.take import take_tuned
from crosstune.train.train import TrainSummary, train

__all__ = [
    "AdaptSettings",
    "AdaptSummary",
    "FusionTrial",
    "PointwiseSettings",
    "Systems",
    "TrainSettings",
    "TrainSummary",
    "adapt_to_corpus",
    "fuse_run",
    "load_cross_encoder",
    "load_scorer",
    "pair_input",
    "read_fusion_trial",
    "resolve_model",
    "take_tuned",
    "train",
]
