"""`calibration.html`: how often documents of a probability are relevant, a page without network access."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from crosstune.export.calibration.choose import Chosen
from crosstune.export.calibration.pairs import Flags, Floats, Pairs
from crosstune.export.calibration.quality import BINS
from crosstune.export.calibration.threshold import Threshold

# Okabe & Ito's colours, each with a marker of its own.
STYLES = {"before": ("#0072B2", "s"), "after": ("#D55E00", "D")}
CAPTIONS = {"before": "sigmoid", "after": "calibrated, on queries not fitted on"}


@dataclass(frozen=True)
class Shown:
    """What the page says of one kind of values; `wanted`: what a threshold is looked for at, in words."""

    name: str
    pairs: Pairs
    chosen: Chosen
    threshold: Threshold | None
    wanted: str | None


@dataclass(frozen=True)
class Bin:
    """Pairs whose probability lies in one tenth of the scale. `mean`: of the probability; `low`, `high`:
    Wilson's 95 % interval of the share of relevant ones."""

    pairs: int
    relevant: int
    mean: float
    low: float
    high: float

    @property
    def share(self) -> float:
        return self.relevant / self.pairs


def render_calibration(shown: Sequence[Shown]) -> str:
    """The whole page as text. It holds numbers alone, nothing of the user's texts."""
    from jinja2 import Environment
    from markupsafe import Markup

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    parts = []
    for one in shown:
        bins = {
            "before": reliability(one.chosen.sigmoids, one.pairs.relevant),
            "after": reliability(one.chosen.held_out, one.pairs.relevant),
        }
        parts.append({"shown": one, "bins": bins["after"], "plot": Markup(_plot(bins, one.threshold))})
    page: str = template.render(parts=parts)
    return page


def reliability(probabilities: Floats, relevant: Flags) -> list[Bin]:
    """The bins that hold a pair, from the lowest on."""
    from scipy.stats import binomtest

    place = np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
    bins = []
    for number in np.unique(place).tolist():
        inside = place == number
        count, positive = int(inside.sum()), int(relevant[inside].sum())
        around = binomtest(positive, count).proportion_ci(method="wilson")
        mean = float(probabilities[inside].mean())
        bins.append(Bin(count, positive, mean, float(around.low), float(around.high)))
    return bins


def _plot(bins: dict[str, list[Bin]], threshold: Threshold | None) -> str:
    import matplotlib
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.4, 5), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color="#777777", linestyle=":", label="as often as said")
    for name, found in bins.items():
        colour, marker = STYLES[name]
        shares = [one.share for one in found]
        # Rounding may put an end of Wilson's interval beyond the share itself.
        below = [max(0.0, one.share - one.low) for one in found]
        above = [max(0.0, one.high - one.share) for one in found]
        axes.errorbar(
            [one.mean for one in found],
            shares,
            yerr=[below, above],
            color=colour,
            marker=marker,
            capsize=3,
            label=CAPTIONS[name],
        )
    if threshold is not None:
        axes.axvline(threshold.probability, color="#009E73", linestyle="--", label="threshold")
        axes.axvspan(threshold.low, threshold.high, color="#009E73", alpha=0.12)
    axes.set(xlabel="probability", ylabel="share that is relevant", xlim=(0, 1), ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "crosstune"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg: Any = text.getvalue()
    return str(svg[svg.index("<svg") :])


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crosstune: calibration on dev</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem;
       color: #222; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child { text-align: left; }
figure { margin: 1rem 0; }
svg { max-width: 100%; height: auto; }
</style>
</head>
<body>
<main>
<h1>Calibration on dev</h1>
<p>How often candidates of a probability are relevant. Candidates that nobody judged count as
not relevant.</p>
{% for part in parts %}
{% set one = part.shown %}
<h2>By the {{ one.name }}</h2>
<p>Chosen: {{ one.chosen.method }}. {{ one.pairs.queries }} dev queries, {{ one.pairs.values|length }}
candidates, {{ one.pairs.relevant.sum() }} relevant.</p>
<figure aria-label="share of relevant candidates by probability, before and after calibration">
{{ part.plot }}</figure>
<p>Points: tenths of the scale. Bars: Wilson's 95 % interval, as if candidates of one query were
independent.</p>
<div class="wide">
<table>
<thead><tr><th scope="col"></th><th scope="col">log loss</th><th scope="col">Brier</th>
<th scope="col">ECE</th></tr></thead>
<tbody>
{% for label, found in (("sigmoid", one.chosen.before), ("calibrated, cross-validated", one.chosen.after)) %}
<tr><th scope="row">{{ label }}</th><td>{{ "%.4f"|format(found.log_loss) }}</td>
<td>{{ "%.4f"|format(found.brier) }}</td><td>{{ "%.4f"|format(found.ece) }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p>Log loss by method, cross-validated:
{% for method, loss in one.chosen.log_losses.items() %}{{ method }} {{ "%.4f"|format(loss) }}, {% endfor %}
the share of relevant candidates alone {{ "%.4f"|format(one.chosen.base_rate) }}.</p>
{% if one.threshold %}
{% set found = one.threshold %}
<p>Threshold for {{ one.wanted }}: {{ "%.3f"|format(found.probability) }}, 95 % interval
[{{ "%.3f"|format(found.low) }}, {{ "%.3f"|format(found.high) }}]; {{ found.pairs }} candidates reach it.</p>
<div class="wide">
<table>
<thead><tr><th scope="col"></th><th scope="col">dev</th><th scope="col">95 % interval</th>
<th scope="col">queries not chosen on</th></tr></thead>
<tbody>
{% for label, share in (("precision", found.precision), ("recall", found.recall)) %}
<tr><th scope="row">{{ label }}</th><td>{{ "%.3f"|format(share.value) }}</td>
<td>{{ "%.3f"|format(share.low) }} to {{ "%.3f"|format(share.high) }}</td>
<td>{{ "–" if share.held_out is none else "%.3f"|format(share.held_out) }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% elif one.wanted %}
<p>Dev never reaches {{ one.wanted }} by it: there is no threshold.</p>
{% endif %}
<div class="wide">
<table>
<thead><tr><th scope="col">mean probability</th><th scope="col">share relevant</th>
<th scope="col">candidates</th><th scope="col">relevant</th></tr></thead>
<tbody>
{% for bin in part.bins %}
<tr><th scope="row">{{ "%.3f"|format(bin.mean) }}</th><td>{{ "%.3f"|format(bin.share) }}</td>
<td>{{ bin.pairs }}</td><td>{{ bin.relevant }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
{% endfor %}
</main>
</body>
</html>
"""
