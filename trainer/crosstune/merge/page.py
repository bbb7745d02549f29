"""`merge.html`: the curves of both domains and what was chosen, a page without network access."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.evaluate.report.plots import FONT, INK, SIZE, STYLES, inline_svg, new_figure
from crosstune.evaluate.report.sheet import render_sheet

LOOKS = {"domain": STYLES["tuned"], "probe": STYLES["first_stage"]}
NAMES = {"domain": "its own domain", "probe": "probe"}


def render_merge(result: Mapping[str, Any]) -> str:
    """`result`: what `merge.json` holds."""
    return render_sheet(
        Path(__file__).with_name("page.html"),
        f"merge at alpha {result['alpha']:g}",
        result=result,
        names=NAMES,
        figure=_figure(result),
    )


def _figure(result: Mapping[str, Any]) -> str:
    """nDCG@10 by alpha in both domains, with the bootstrap intervals and the first stages."""
    figure, axes = new_figure((SIZE[0], 4.4))
    curve = result["curve"]
    alphas = [point["alpha"] for point in curve]
    for name, (colour, marker) in LOOKS.items():
        values = [point[name] for point in curve]
        low, high = zip(*(point[f"{name}_interval"] for point in curve), strict=True)
        axes.fill_between(alphas, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.plot(alphas, values, color=colour, marker=marker, label=NAMES[name])
        axes.axhline(result[name]["first_stage"], color=colour, linestyle=":", linewidth=1)
    axes.axvline(result["alpha"], color=INK, linestyle="--", linewidth=1, label="chosen")
    axes.set(xlabel="alpha (0: base, 1: tuned)", ylabel=f"dev {result['measure']}", xlim=(-0.02, 1.02))
    figure.legend(loc="outside upper center", ncols=3, fontsize=FONT, frameon=False, labelcolor=INK)
    return inline_svg(figure, "merge")
