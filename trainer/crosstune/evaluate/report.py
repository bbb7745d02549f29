"""`report.html`: one page without any network access."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from crosstune.evaluate.table import NAMES, dev_line

# Okabe & Ito's colours, told apart by colour-blind readers; each line has its own marker as well.
STYLES = {
    "first_stage": ("#0072B2", "o"),
    "base": ("#999999", "s"),
    "tuned": ("#D55E00", "D"),
    "fused": ("#CC79A7", "P"),
    "ceiling": ("#009E73", "^"),
}


def render_report(metrics: Mapping[str, Any], split: str, training_log: Sequence[Mapping[str, float]]) -> str:
    """The whole page as text: the table, the gain, the curve over depth, dev during training, leakage
    and the recipe. Everything that comes from the user's data is escaped."""
    from jinja2 import Environment

    dev = [(row["step"], row["eval_nDCG@10"]) for row in training_log if "eval_nDCG@10" in row]
    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    page: str = template.render(
        split=split,
        names=NAMES,
        systems=metrics["splits"][split],
        headline=metrics["headline"],
        metrics=metrics,
        best=metrics["recommended"],
        gain=metrics["comparison"][f"{metrics['recommended']} against first_stage"][metrics["headline"]],
        alone=metrics["comparison"]["tuned against first_stage"][metrics["headline"]],
        dev_line=dev_line(metrics["context"]["train"]["dev"], metrics["context"]["train"]["best_on_dev"]),
        curve=_curve(metrics["depths"], metrics["headline"]),
        dev=_dev(dev) if dev else "",
    )
    return page


def _curve(depths: Mapping[str, Mapping[str, float]], headline: str) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, by_depth in depths.items():
        colour, marker = STYLES[name]
        places = [int(depth) for depth in by_depth]
        axes.plot(places, list(by_depth.values()), color=colour, marker=marker, label=NAMES[name])
    axes.set(xlabel="candidates reranked", ylabel=headline, ylim=(0, 1))
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right")
    return _svg(figure)


def _dev(points: Sequence[tuple[float, float]]) -> str:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.6), layout="constrained")
    axes = figure.subplots()
    axes.plot([s for s, _ in points], [v for _, v in points], color="#D55E00", marker="D")
    axes.set(xlabel="step", ylabel="dev nDCG@10")
    axes.grid(alpha=0.3)
    return _svg(figure)


def _svg(figure: Any) -> str:
    """The figure as an inline element; fonts are the reader's own."""
    import matplotlib
    from markupsafe import Markup

    text = io.StringIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "crosstune"}):
        figure.savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    svg: str = Markup(text.getvalue()[text.getvalue().index("<svg") :])
    return svg


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crosstune: {{ headline }} on {{ split }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 50rem; padding: 0 1rem;
       color: #222; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child { text-align: left; }
tr.recommended { font-weight: 600; }
svg { max-width: 100%; height: auto; }
.warning { border-left: 4px solid #D55E00; padding: .5rem 1rem; background: #fff4ec; }
pre { overflow-x: auto; background: #f6f6f6; padding: 1rem; }
</style>
</head>
<body>
<main>
<h1>{{ headline }} on {{ split }}:
  {{ "%.3f"|format(systems.first_stage[headline]) }} → {{ "%.3f"|format(systems[best][headline]) }}</h1>
<p>The gain over the first stage is {{ "%+.3f"|format(gain.difference) }}, 95 % interval
[{{ "%+.3f"|format(gain.low) }}, {{ "%+.3f"|format(gain.high) }}], p = {{ "%.2g"|format(gain.p_holm) }}
(paired randomisation test, Holm over the measures), over {{ metrics.queries }} queries:
{{ gain.wins }} better, {{ gain.ties }} equal, {{ gain.losses }} worse. {{ gain.verdict|capitalize }}.</p>
{% if best == "fused" %}
<p>This is the tuned model's logit with the first stage's score added, as the export recommends. The tuned
model alone: {{ "%+.3f"|format(alone.difference) }} [{{ "%+.3f"|format(alone.low) }},
{{ "%+.3f"|format(alone.high) }}], p = {{ "%.2g"|format(alone.p_holm) }}.</p>
{% endif %}
<p>{{ dev_line|capitalize }}.</p>
{% set leaked = metrics.leakage.equal_queries|length + metrics.leakage.near_queries|length %}
{% if leaked %}
<p class="warning">{{ leaked }} test queries equal or nearly equal a train query. Without them:
{{ "%.3f"|format(metrics.leakage.headline_without_leaks.first_stage) }} →
{{ "%.3f"|format(metrics.leakage.headline_without_leaks[best]) }}. Their ids:
{{ (metrics.leakage.equal_queries.keys()|list + metrics.leakage.near_queries.keys()|list)|join(", ") }}</p>
{% endif %}
{% if metrics.leakage.negatives %}
<p class="warning">{{ metrics.leakage.negatives|length }} test queries have a positive that was
a negative of another query in training.</p>
{% endif %}
<h2>Systems</h2>
<div class="wide">
<table>
<thead><tr><th scope="col">system</th>
{% for measure in systems.tuned %}<th scope="col">{{ measure }}</th>{% endfor %}
<th scope="col">ms a query</th></tr></thead>
<tbody>
{% for name, values in systems.items() %}
<tr{% if name == best %} class="recommended"{% endif %}><th scope="row">{{ names[name] }}</th>
{% for value in values.values() %}<td>{{ "%.3f"|format(value) }}</td>{% endfor %}
{% set ms = metrics.milliseconds_per_query %}
<td>{{ "%.1f"|format(ms[name]) if name in ms else "–" }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p>The ceiling is the best order of the same candidates.
A query whose positive the first stage missed counts.</p>
<h2>{{ headline }} over depth</h2>
<figure aria-label="{{ headline }} when only the best candidates are reranked">{{ curve }}</figure>
{% if dev %}
<h2>Dev during training</h2>
<figure aria-label="dev nDCG@10 by step">{{ dev }}</figure>
{% endif %}
<h2>Recipe</h2>
<pre>{{ metrics.context.recipe }}</pre>
</main>
</body>
</html>
"""
