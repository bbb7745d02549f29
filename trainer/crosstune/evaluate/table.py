"""The result as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

NAMES = {
    "first_stage": "first stage",
    "base": "untrained base model",
    "tuned": "tuned",
    "ceiling": "ceiling",
}


def render_table(metrics: Mapping[str, Any], split: str = "test") -> str:
    """First stage, base, tuned and ceiling, one a line, then the gain with its interval."""
    systems = metrics["splits"][split]
    measures = [m for m in systems["tuned"] if m in (metrics["headline"], "RR@10", "R@100")]
    lines = ["".join([f"{split:<22}", *(f"{m:>9}" for m in measures), f"{'ms/query':>10}"])]
    for name, label in NAMES.items():
        milliseconds = metrics["milliseconds_per_query"].get(name)
        shown = f"{milliseconds:10.1f}" if milliseconds is not None else f"{'-':>10}"
        lines.append("".join([f"{label:<22}", *(f"{systems[name][m]:9.3f}" for m in measures), shown]))
    return "\n".join([*lines, "", *_gain(metrics, split), *_leaks(metrics)])


def _gain(metrics: Mapping[str, Any], split: str) -> list[str]:
    headline = metrics["headline"]
    gain = metrics["comparison"]["tuned against first_stage"][headline]
    systems = metrics["splits"][split]
    room = systems["ceiling"][headline] - systems["first_stage"][headline]
    share = f", {100 * gain['difference'] / room:.0f} % of the way to the ceiling" if room > 0 else ""
    return [
        f"gain over the first stage: {gain['difference']:+.3f} {headline}, 95 % interval "
        f"[{gain['low']:+.3f}, {gain['high']:+.3f}], p = {gain['p_holm']:.2g} "
        f"({metrics['queries']} queries){share}",
        f"{gain['wins']} queries better, {gain['ties']} equal, {gain['losses']} worse: {gain['verdict']}",
    ]


def _leaks(metrics: Mapping[str, Any]) -> list[str]:
    leakage = metrics["leakage"]
    leaked = len(leakage["equal_queries"]) + len(leakage["near_queries"])
    if not leaked:
        return []
    clean = leakage["headline_without_leaks"]
    return [
        f"warning: {leaked} test queries equal or nearly equal a train query; without them "
        f"{metrics['headline']} is {clean['first_stage']:.3f} -> {clean['tuned']:.3f} (ids in metrics.json)"
    ]
