"""The result of a benchmark as one table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosstune.evaluate.tables import columns, label


def render_benchmark(metrics: Mapping[str, Any]) -> str:
    """First stage, each reranker and the ceiling: measures, the headline's interval, times, requests, failed
    attempts and, where one is known, the price of all and of 1,000 queries."""
    (systems,) = metrics["splits"].values()
    headline = metrics["headline"]
    rerankers = metrics["rerankers"]
    asked = metrics["queries"] - metrics["queries_without_results"]["first_stage"]
    priced = any(figures["price"] is not None for figures in rerankers.values())
    head = ["", *next(iter(systems.values())), f"95 % interval of {headline}", "p50 ms", "p95 ms", "requests"]
    rows = [[*head, "failed", *(["price", "of 1000 queries"] if priced else [])]]
    for name, values in systems.items():
        low, high = metrics["intervals"][name][headline]
        row = [label(name), *(f"{value:.3f}" for value in values.values()), f"[{low:.3f}, {high:.3f}]"]
        rows.append(row + _figures(rerankers.get(name), asked, priced))
    first = f"{metrics['queries']} judged queries, {metrics['queries_without_positive']} without a positive"
    depth = f"the first {metrics['reranked_depth']} candidates reranked; ms a request"
    return "\n".join([f"{first}; {depth}", "", *columns(rows)])


def _figures(figures: Mapping[str, Any] | None, queries: int, priced: bool) -> list[str]:
    if figures is None:
        return ["-"] * (6 if priced else 4)
    times = [f"{ms:.1f}" if ms is not None else "-" for ms in (figures["p50_ms"], figures["p95_ms"])]
    price = figures["price"]
    prices = [f"{price:.4g}", f"{1000 * price / queries:.4g}"] if price is not None else ["-", "-"]
    return [*times, str(figures["requests"]), str(figures["failed"]), *(prices if priced else [])]
