"""Export: the folder that serving systems load, proven equal to the trained model."""

from crosstune.export.calibration import UNCALIBRATED, Calibration, calibrate
from crosstune.export.card import render_card, render_card_of_model
from crosstune.export.export import export_model
from crosstune.export.gate import RankParity, Sample
from crosstune.export.parity import Parity, compare_logits
from crosstune.export.settings import ExportSettings, TunedExportSettings
from crosstune.export.target import export_target, refuse_overlap
from crosstune.export.worse import refuse_worse

__all__ = [
    "UNCALIBRATED",
    "Calibration",
    "ExportSettings",
    "Parity",
    "RankParity",
    "Sample",
    "TunedExportSettings",
    "calibrate",
    "compare_logits",
    "export_model",
    "export_target",
    "refuse_overlap",
    "refuse_worse",
    "render_card",
    "render_card_of_model",
]
