"""`curve.html`: the learning curve, a page without network access."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from crosstune.curve.fit import LearningCurve, power_law
from crosstune.evaluate.report.plots import FONT, INK, SIZE, STYLES, inline_svg, new_figure
from crosstune.evaluate.report.sheet import render_sheet
from crosstune.evaluate.table import NAMES


def render_curve(curve: LearningCurve) -> str:
    page = Path(__file__).with_name("page.html")
    return render_sheet(page, "learning curve", curve=curve, names=NAMES, figure=_figure(curve))


def _figure(curve: LearningCurve) -> str:
    """nDCG@10 by labelled queries: trainings, law, forecasts with their intervals, and what needs no
    labels."""
    figure, axes = new_figure((SIZE[0], 4.4))
    colour, marker = STYLES["tuned"]
    points, ahead = curve.points, curve.forecasts
    places = [point.queries for point in points]
    spans = [[p.ndcg - p.low for p in points], [p.high - p.ndcg for p in points]]
    axes.errorbar(
        places, [p.ndcg for p in points], yerr=np.clip(spans, 0, None), color=colour, marker=marker,
        linestyle="none", capsize=3, label="trained",
    )  # fmt: skip
    x = np.geomspace(places[0], ahead[-1].queries, 100)
    axes.plot(x, power_law(x / places[-1], **curve.law), color=colour, linewidth=1, label="power law")
    reach = [[f.ndcg - f.low for f in ahead], [f.high - f.ndcg for f in ahead]]
    axes.errorbar(
        [f.queries for f in ahead], [f.ndcg for f in ahead], yerr=np.clip(reach, 0, None), color=INK,
        marker="o", markerfacecolor="none", linestyle="none", capsize=3, label="expected",
    )  # fmt: skip
    for name, value in curve.reference.items():
        if value is not None:
            axes.axhline(value, color=STYLES[name][0], linestyle=":", linewidth=1, label=NAMES[name])
    axes.set(xscale="log", xlabel="labelled queries", ylabel=f"dev {curve.measure}")
    ticks = [*places, *(f.queries for f in ahead)]
    axes.set_xticks(ticks, [str(tick) for tick in ticks])
    axes.set_xticks([], minor=True)
    figure.legend(loc="outside upper center", ncols=2, fontsize=FONT, frameon=False, labelcolor=INK)
    return inline_svg(figure, "curve")
