"""The result as a table for the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crosstune.label_sources import generated_warning

NAMES = {
    "first_stage": "first stage",
    "base": "untrained base model",
    "tuned": "tuned",
    "fused": "tuned + first stage",
    "ceiling": "ceiling",
}


def render_table(metrics: Mapping[str, Any], split: str = "test") -> str:
    """First stage, base, tuned, the fusion where one was kept, and ceiling, one a line; then the gain of what
    the export recommends with its interval, and what dev says."""
    systems = metrics["splits"][split]
    measures = [m for m in systems["tuned"] if m in (metrics["headline"], "RR@10", "R@100")]
    lines = ["".join([f"{split:<22}", *(f"{m:>9}" for m in measures), f"{'ms/query':>10}"])]
    for name in systems:
        milliseconds = metrics["milliseconds_per_query"].get(name)
        shown = f"{milliseconds:10.1f}" if milliseconds is not None else f"{'-':>10}"
        lines.append("".join([f"{NAMES[name]:<22}", *(f"{systems[name][m]:9.3f}" for m in measures), shown]))
    notes = [*_dev(metrics), *_probe(metrics), *_leaks(metrics), *_generated(metrics)]
    return "\n".join([*lines, "", *_gain(metrics, split), *notes])


def dev_line(ndcg: Mapping[str, float | None], best: str) -> str:
    """nDCG@10 of the systems on dev, and the best of them."""
    figures = ", ".join(f"{NAMES[name]} {value:.3f}" for name, value in ndcg.items() if value is not None)
    return f"dev nDCG@10: {figures}; best: {NAMES[best]}"


def _gain(metrics: Mapping[str, Any], split: str) -> list[str]:
    headline = metrics["headline"]
    recommended = metrics["recommended"]
    gain = metrics["comparison"][f"{recommended} against first_stage"][headline]
    systems = metrics["splits"][split]
    room = systems["ceiling"][headline] - systems["first_stage"][headline]
    share = f", {100 * gain['difference'] / room:.0f} % of the way to the ceiling" if room > 0 else ""
    lines = [
        f"gain over the first stage: {_difference(gain, headline)} ({metrics['queries']} queries){share}",
        f"{gain['wins']} queries better, {gain['ties']} equal, {gain['losses']} worse: {gain['verdict']}",
    ]
    if recommended == "fused":
        alone = metrics["comparison"]["tuned against first_stage"][headline]
        lines.append(f"of the tuned model alone: {_difference(alone, headline)}: {alone['verdict']}")
    return lines


def _difference(gain: Mapping[str, Any], headline: str) -> str:
    return (
        f"{gain['difference']:+.3f} {headline}, 95 % interval [{gain['low']:+.3f}, {gain['high']:+.3f}], "
        f"p = {gain['p_holm']:.2g}"
    )


def _dev(metrics: Mapping[str, Any]) -> list[str]:
    training = metrics["context"]["train"]
    return [dev_line(training["dev"], training["best_on_dev"])]


def _probe(metrics: Mapping[str, Any]) -> list[str]:
    probe, headline = metrics.get("probe"), metrics["headline"]
    if probe is None:
        return []
    before = probe["systems"]["base"][headline]
    lines = [f"probe {probe['collection']} ({probe['split']}, {probe['queries']} queries): {headline} "
             f"{before:.3f} by the {NAMES['base']}"]  # fmt: skip
    for system in ("tuned", "fused"):
        if system in probe["systems"]:
            found = probe["comparison"][f"{system} against base"][headline]
            after = probe["systems"][system][headline]
            lines.append(f"  {after:.3f} {NAMES[system]}: {_difference(found, headline)}: {found['verdict']}")
    return lines


def _leaks(metrics: Mapping[str, Any]) -> list[str]:
    leakage = metrics["leakage"]
    leaked = len(leakage["equal_queries"]) + len(leakage["near_queries"])
    if not leaked:
        return []
    clean = leakage["headline_without_leaks"]
    best = metrics["recommended"]
    rest = f"without them {metrics['headline']} is {clean['first_stage']:.3f} -> {clean[best]:.3f}"
    if leaked == metrics["queries"]:
        rest = "these are all, so that the result says nothing of new queries"
    return [
        f"warning: {leaked} test queries equal or nearly equal a train query; {rest} (ids in metrics.json)"
    ]


def _generated(metrics: Mapping[str, Any]) -> list[str]:
    count = metrics["context"].get("generated_test_judgements", 0)
    return [generated_warning(count, "test")] if count else []
