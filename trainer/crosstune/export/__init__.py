"""Export: the folder that serving systems load, proven equal to the trained model."""

from crosstune.export.export import export_model
from crosstune.export.gate import RankParity, Sample
from crosstune.export.parity import Parity, compare_logits
from crosstune.export.settings import ExportSettings

__all__ = ["ExportSettings", "Parity", "RankParity", "Sample", "compare_logits", "export_model"]
