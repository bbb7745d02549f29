"""The report's figures: SVG by matplotlib, in the page's own colours and fonts."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from crosstune.evaluate.significance import TIE
from crosstune.evaluate.table import NAMES

# Okabe & Ito's colours, told apart by colour-blind readers; each line has its own marker as well.
STYLES = {
    "first_stage": ("#0072b2", "o"),
    "base": ("#777777", "s"),
    "tuned": ("#d55e00", "D"),
    "fused": ("#cc79a7", "P"),
    "ceiling": ("#009e73", "^"),
}
BETTER, EQUAL, WORSE = ("#009e73", "^"), ("#777777", "o"), ("#d55e00", "v")
INK, GRID = "#1c1f24", "#ccd2da"
VARIABLES = {INK: "var(--ink)", GRID: "var(--line)", "#777777": "var(--soft)"}
"""Colours that differ in dark mode, and the variable of `page.css` that takes their place."""

SIZE, FONT = (4.8, 4.0), 10.5
"""Inches and points: narrow, so that the writing can still be read when a phone shows the whole figure."""

CELLS = 30
"""The scatter counts queries in cells of 1/30 by 1/30: 7,000 single marks would hide each other."""


def depth_curve(depths: Mapping[str, Mapping[str, float]], headline: str) -> str:
    """The headline of each system when only the first candidates are reranked."""
    figure, axes = new_figure()
    for name, by_depth in depths.items():
        colour, marker = STYLES[name]
        places = [int(depth) for depth in by_depth]
        axes.plot(places, list(by_depth.values()), color=colour, marker=marker, label=NAMES[name])
    highest = max((value for by_depth in depths.values() for value in by_depth.values()), default=0.0)
    axes.set(xlabel="candidates reranked", ylabel=headline, ylim=(0, 1.05 * max(highest, 0.1)))
    figure.legend(loc="outside upper center", ncols=2, fontsize=FONT, frameon=False, labelcolor=INK)
    return inline_svg(figure, "depth")


def scatter(before: Mapping[str, float], after: Mapping[str, float], headline: str, system: str) -> str:
    """Each query at its two values; the larger a mark, the more queries lie there."""
    top = max(1.0, *before.values(), *after.values())
    bottom = min(0.0, *before.values(), *after.values())
    step = (top - bottom) / CELLS
    marks: dict[tuple[str, str], Counter[tuple[float, float]]] = {
        kind: Counter() for kind in (EQUAL, BETTER, WORSE)
    }
    for query_id, old in before.items():
        new = after[query_id]
        cell = (bottom + step * round((old - bottom) / step), bottom + step * round((new - bottom) / step))
        marks[_kind(new - old)][cell] += 1
    figure, axes = new_figure((SIZE[0], 5.0))
    axes.plot([bottom, top], [bottom, top], color=INK, linewidth=0.8, linestyle=":")
    for kind, label in ((BETTER, "better"), (EQUAL, "equal"), (WORSE, "worse")):
        cells = marks[kind]
        axes.scatter(
            [x for x, _ in cells],
            [y for _, y in cells],
            s=[min(500.0, 18 * count**0.6) for count in cells.values()],
            marker=kind[1],
            facecolor=kind[0],
            edgecolor="none",
            alpha=0.85,
            label=f"{cells.total()} {label}",
        )
    axes.set(xlabel=f"{headline}, first stage", ylabel=f"{headline}, {NAMES[system]}", aspect="equal")
    legend = figure.legend(loc="outside upper center", ncols=3, fontsize=FONT, frameon=False, labelcolor=INK)
    for handle in legend.legend_handles:
        handle.set_sizes([40])
    return inline_svg(figure, "scatter")


def training_curve(log: Sequence[Mapping[str, float]]) -> str:
    """Loss and dev nDCG@10 by step, one above the other; '' for a log that holds neither."""
    loss = [(row["step"], row["loss"]) for row in log if "loss" in row]
    flat = [(row["step"], row["flat_loss"]) for row in log if "flat_loss" in row]
    dev = [(row["step"], row["eval_nDCG@10"]) for row in log if "eval_nDCG@10" in row]
    panels = [name for name, points in (("loss", loss), ("dev nDCG@10", dev)) if points]
    if not panels:
        return ""
    figure, every = new_figure((SIZE[0], 1 + 1.7 * len(panels)), len(panels))
    for name, axes in zip(panels, every if len(panels) > 1 else [every], strict=True):
        if name == "loss":
            axes.plot(*zip(*loss, strict=True), color=STYLES["first_stage"][0], label="loss")
            if flat:
                axes.plot(*zip(*flat, strict=True), color=INK, linestyle="--", label="of equal scores")
                axes.legend(loc="best", fontsize=FONT, frameon=False, labelcolor=INK)
        else:
            axes.plot(*zip(*dev, strict=True), color=STYLES["tuned"][0], marker="D")
        axes.set(ylabel=name)
    axes.set(xlabel="step")
    return inline_svg(figure, "training")


def reliability_plot(
    bins: Mapping[str, Sequence[Mapping[str, float]]], threshold: Mapping[str, Any] | None, name: str
) -> str:
    """The share of relevant candidates by probability, `before` and `after`, with Wilson's intervals."""
    figure, axes = new_figure((SIZE[0], 4.6))
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="as often as said")
    for what, system, label in (("before", "first_stage", "sigmoid"), ("after", "tuned", "calibrated")):
        colour, marker = STYLES[system]
        shares = [one["relevant"] / one["pairs"] for one in bins[what]]
        # Rounding may put an end of Wilson's interval beyond the share itself.
        below = [max(0.0, share - one["low"]) for share, one in zip(shares, bins[what], strict=True)]
        above = [max(0.0, one["high"] - share) for share, one in zip(shares, bins[what], strict=True)]
        axes.errorbar(
            [one["mean"] for one in bins[what]],
            shares,
            yerr=[below, above],
            color=colour,
            marker=marker,
            capsize=3,
            label=label,
        )
    if threshold is not None:
        colour = STYLES["ceiling"][0]
        axes.axvline(threshold["probability"], color=colour, linestyle="--", label="threshold")
        axes.axvspan(threshold["low"], threshold["high"], color=colour, alpha=0.12)
    axes.set(xlabel="probability", ylabel="share that is relevant", xlim=(0, 1), ylim=(0, 1))
    figure.legend(loc="outside upper center", ncols=2, fontsize=FONT, frameon=False, labelcolor=INK)
    return inline_svg(figure, name)


def _kind(difference: float) -> tuple[str, str]:
    if abs(difference) <= TIE:
        return EQUAL
    return BETTER if difference > 0 else WORSE


def new_figure(size: tuple[float, float] = SIZE, rows: int = 1) -> tuple[Any, Any]:
    """A figure of its own and its axes, without pyplot's global state."""
    import matplotlib
    from matplotlib.figure import Figure

    colours = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), INK
    )
    with matplotlib.rc_context({**colours, "grid.color": GRID, "font.size": FONT}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(rows, sharex=True)
        for each in axes if rows > 1 else [axes]:
            each.grid()
            each.set_axisbelow(True)
            each.spines[["top", "right"]].set_visible(False)
    return figure, axes


def inline_svg(figure: Any, name: str) -> str:
    """The figure as an inline element that is hidden from screen readers: the page says it in words. Ids are
    made the figure's own, since several stand in one page."""
    import matplotlib
    from markupsafe import Markup

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "crosstune"}):
        metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(text, format="svg", metadata=metadata, transparent=True)
    svg = text.getvalue()
    svg = svg[svg.index("<svg") :]
    for mark in (' id="', '="#', "url(#"):
        svg = svg.replace(mark, f"{mark}{name}-")
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, variable)
    drawn: str = Markup(svg.replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1))
    return drawn
