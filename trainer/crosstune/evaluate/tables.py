"""Results as aligned text for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from crosstune.evaluate.table import NAMES

LABELS = {**NAMES, "run": "the run", "endpoint": "endpoint"}


def columns(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows as lines: the first column to the left, the others to the right, two spaces between."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return [
        "  ".join(
            cell.ljust(width) if place == 0 else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def render_assessment(metrics: Mapping[str, Any], split: str) -> str:
    """Systems by measure with the headline's interval, then by depth, then by kind of query."""
    systems = metrics["splits"][split]
    headline = metrics["headline"]
    names = list(systems)
    lines = [
        f"{metrics['queries']} judged queries, {metrics['queries_without_positive']} without a positive",
        "",
    ]
    milliseconds = metrics.get("milliseconds_per_query", {})
    rows = [["", *systems[names[0]], f"95 % interval of {headline}", *(["ms/query"] if milliseconds else [])]]
    for name in names:
        low, high = metrics["intervals"][name][headline]
        shown = [f"{milliseconds[name]:.1f}" if name in milliseconds else "-"] if milliseconds else []
        rows.append([label(name), *map(_value, systems[name].values()), f"[{low:.3f}, {high:.3f}]", *shown])
    lines += columns(rows)
    lines += ["", f"{headline} when only the best candidates are reranked, and R@depth"]
    depths = metrics["depths"]
    lines += columns(
        [
            ["depth", *depths["recall"]],
            *([label(name), *map(_value, depths[name].values())] for name in (*names, "recall")),
        ]
    )
    for by, parts in metrics["by"].items():
        lines += ["", f"{headline} by {by}", *_parts(parts, names)]
    return "\n".join(lines)


def label(name: str) -> str:
    return LABELS.get(name, name)


def _value(value: float) -> str:
    return f"{value:.3f}"


def _parts(parts: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[str]:
    rows = [["", "queries", *map(label, names)]]
    for part in parts:
        cells = [f"{part[n]['mean']:.3f} [{part[n]['low']:.3f}, {part[n]['high']:.3f}]" for n in names]
        rows.append([part["label"], str(part["queries"]), *cells])
    return columns(rows)
