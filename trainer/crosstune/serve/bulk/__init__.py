"""Scoring a file of pairs of any size: what `crosstune score` does."""

from crosstune.serve.bulk.pairs import Fields
from crosstune.serve.bulk.score import ScoreRequest, ScoreSummary, score_file

__all__ = ["Fields", "ScoreRequest", "ScoreSummary", "score_file"]
