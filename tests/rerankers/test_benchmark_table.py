"""The price in a benchmark's table."""

from __future__ import annotations

from crosstune.benchmark_table import render_benchmark


def test_the_price_of_1000_queries_is_of_those_that_were_asked() -> None:
    systems = {name: {"nDCG@10": 0.5} for name in ("first_stage", "paid")}
    metrics = {
        "splits": {"run": systems},
        "headline": "nDCG@10",
        "queries": 1000,
        "queries_without_positive": 0,
        "queries_without_results": {"first_stage": 950, "paid": 950},
        "reranked_depth": 10,
        "intervals": {name: {"nDCG@10": (0.4, 0.6)} for name in systems},
        "rerankers": {"paid": {"p50_ms": 1.0, "p95_ms": 2.0, "requests": 50, "failed": 0, "price": 0.1}},
    }
    row = next(line for line in render_benchmark(metrics).splitlines() if line.startswith("paid"))
    assert row.split()[-2:] == ["0.1", "2"]
