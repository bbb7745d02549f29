"""`report.html`: the one page of a run, which needs neither a network nor other files."""

from crosstune.evaluate.report.evaluation import Evaluation
from crosstune.evaluate.report.page import render_report

__all__ = ["Evaluation", "render_report"]
