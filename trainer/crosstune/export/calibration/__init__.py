"""Calibration: from dev's judgements, what a score says of relevance, and from which score on to trust it."""

from crosstune.export.calibration.calibrate import UNCALIBRATED, Calibration, calibrate

__all__ = ["UNCALIBRATED", "Calibration", "calibrate"]
