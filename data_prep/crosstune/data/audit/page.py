"""`audit.html`: one page without any network access."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crosstune.data.audit.audit import Audit


def render_audit(audit: Audit) -> str:
    """The whole page as text; all that comes from the user's data is escaped."""
    from jinja2 import Environment

    template = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)
    page: str = template.render(**vars(audit))
    return page


PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>crosstune: audit of {{ name }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
       color: #222; background: #fff; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .35rem .7rem; text-align: right; border-bottom: 1px solid #ddd; vertical-align: top; }
th:first-child, .text { text-align: left; }
.advice { border-left: 4px solid #D55E00; padding: .5rem 1rem .5rem 2rem; background: #fff4ec; }
.ids { overflow-wrap: anywhere; }
</style>
</head>
<body>
<main>
<h1>Audit of {{ name }}</h1>
<h2>What to do</h2>
{% if advice %}
<ul class="advice">{% for sentence in advice %}<li>{{ sentence }}</li>{% endfor %}</ul>
{% else %}<p>Nothing was found that asks for a change.</p>{% endif %}
{% macro table(title, rows, form) %}
<h2>{{ title }}</h2>
<div class="wide"><table>
<thead><tr><th scope="col"></th>
{% for column in (rows.values()|first).keys() %}<th scope="col">{{ column }}</th>{% endfor %}</tr></thead>
<tbody>{% for row, values in rows.items() %}<tr><th scope="row">{{ row }}</th>
{% for column, value in values.items() %}
<td>{{ "%.1f %%"|format(100 * value) if column == "cut" else form|format(value) }}</td>
{% endfor %}</tr>{% endfor %}</tbody>
</table></div>
{% endmacro %}
<h2>Sizes</h2>
<p>{% for what, count in sizes.items() %}{{ what|replace("_", " ") }}: {{ count }}
{%- if not loop.last %}; {% endif %}{% endfor %}</p>
{{ table("Labels", labels, "%g") }}
{{ table("Lengths in wordpieces, and the share that is cut", lengths, "%d") }}
{% if recall %}
{{ table("First stage: recall by depth, the ceiling of reranking", recall, "%.3f") }}
{% endif %}
<h2>Leakage between splits</h2>
{% for overlap in overlaps %}
<h3>{{ overlap.earlier }} and {{ overlap.later }}</h3>
<p class="ids">Equal queries ({{ overlap.equal_queries|length }}):
{% for id, other in overlap.equal_queries.items() %}{{ id }} = {{ other }}{{ ", " if not loop.last }}
{%- endfor %}<br>
Nearly equal queries ({{ overlap.near_queries|length }}):
{% for id, other in overlap.near_queries.items() %}{{ id }} ≈ {{ other }}{{ ", " if not loop.last }}
{%- endfor %}</p>
<details><summary>{{ overlap.shared_positives }} of {{ overlap.of_positives }} positives are shared:
{{ overlap.positives|length }} by id, {{ overlap.equal_positives|length }} equal,
{{ overlap.near_positives|length }} nearly equal</summary>
<p class="ids">By id: {{ overlap.positives|join(", ") }}<br>
Equal:
{% for id, other in overlap.equal_positives.items() %}{{ id }} = {{ other }}{{ ", " if not loop.last }}
{%- endfor %}<br>
Nearly equal:
{% for id, other in overlap.near_positives.items() %}{{ id }} ≈ {{ other }}{{ ", " if not loop.last }}
{%- endfor %}</p>
{% if not overlap.all_compared %}
<p>There are too many to compare each with each: those that share rare words were compared, so that a nearly
equal pair may be missing.</p>
{% endif %}</details>
{% else %}<p>There is only one split.</p>{% endfor %}
<h2>Repeated passages</h2>
<p class="ids">{% for ids in repeated_passages[:20] %}{{ ids|join(" = ") }}<br>{% else %}None.{% endfor %}</p>
<h2>Boiler plate</h2>
<p class="ids">{% for words, phrase in boilerplate.items() %}
{{ phrase.passages }} passages ({{ phrase.ids|join(", ") }}
{{- ", …" if phrase.passages > phrase.ids|length }}): {{ words }}<br>
{% else %}None.{% endfor %}</p>
<h2>Languages</h2>
<p>{% for language, count in languages.items() %}{{ language }} {{ count }} {% endfor %}</p>
<h2>Likely false negatives</h2>
<p>Unjudged candidates of train queries, by the teacher's score, or without a teacher by their similarity to
a positive.</p>
{% if suspects %}
<div class="wide"><table>
<thead><tr><th scope="col">suspicion</th><th scope="col">rank</th><th scope="col">mining</th>
<th class="text" scope="col">query</th><th class="text" scope="col">passage</th></tr></thead>
<tbody>{% for row in suspects %}<tr><td>{{ "%.2f"|format(row.suspicion) }}</td><td>{{ row.rank or "–" }}</td>
<td>{{ row.reason|replace("_", " ") }}</td><td class="text">{{ row.query_id }}: {{ row.query }}</td>
<td class="text">{{ row.doc_id }}: {{ row.text }}</td></tr>{% endfor %}</tbody>
</table></div>
{% else %}<p>None.</p>{% endif %}
</main>
</body>
</html>
"""
