"""Training: settings, batching, losses and the loop."""

from crosstune.models import resolve_model
from crosstune.train.config import TrainSettings
from crosstune.train.model import load_cross_encoder
from crosstune.train.train import TrainSummary, train

__all__ = ["TrainSettings", "TrainSummary", "load_cross_encoder", "resolve_model", "train"]
