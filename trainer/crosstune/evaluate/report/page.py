"""The page put together: template, style, script, figures and data in one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crosstune.evaluate.report.browse import BUDGET, FURTHER_RELEVANT, Browser, make_browser, readable
from crosstune.evaluate.report.calibration import calibrated_parts, without_calibration
from crosstune.evaluate.report.evaluation import FIRST_STAGE, Evaluation
from crosstune.evaluate.report.mined import CANDIDATES, make_mined
from crosstune.evaluate.report.plots import depth_curve, scatter, training_curve
from crosstune.evaluate.table import NAMES, dev_line

FOLDER = Path(__file__).parent
SCRIPTS = ("lists.js", "queries.js", "mined.js", "start.js")
SHOWN_IDS = 20
"""Ids of leaked queries in the warning; `metrics.json` has all of them."""


def render_report(evaluation: Evaluation) -> str:
    """The whole page as text. What comes from the user's data is escaped in the markup, or lies packed in a
    block that the script reads and sets as text; the page's policy runs no other script."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(FOLDER), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    script = "\n".join(map(_file, SCRIPTS))
    mined = make_mined(evaluation.mined, evaluation.queries, evaluation.passages)
    browser = make_browser(evaluation, BUDGET - len(mined.packed if mined else ""))
    page = environment.get_template("page.html").render(
        style=Markup(_file("page.css")),
        script=Markup(script),
        script_hash=_hash(script),
        browser=browser,
        mined=mined,
        most_candidates=CANDIDATES,
        **_facts(evaluation),
        **_probe(evaluation),
        **_figures(evaluation),
        calibrations=calibrated_parts(evaluation.manifest) if evaluation.manifest is not None else [],
        uncalibrated=without_calibration(evaluation.manifest),
        **_notes(evaluation, browser),
    )
    return readable(page)


def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def _hash(script: str) -> str:
    """The source of a content security policy that allows this very script."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()


def _facts(evaluation: Evaluation) -> dict[str, Any]:
    metrics, headline, best = evaluation.metrics, evaluation.headline, evaluation.best
    comparison = metrics["comparison"]
    context = metrics["context"]
    systems = metrics["splits"][evaluation.split]
    return {
        "metrics": metrics,
        "split": evaluation.split,
        "headline": headline,
        "best": best,
        "names": NAMES,
        "systems": systems,
        "gain": comparison[f"{best} against {FIRST_STAGE}"][headline],
        "share": _share_of_room(systems, best, headline),
        "comparisons": _comparisons(comparison, headline),
        "dev_line": dev_line(context["train"]["dev"], context["train"]["best_on_dev"]),
        "context": context,
        "milliseconds": metrics["milliseconds_per_query"],
    }


def _probe(evaluation: Evaluation) -> dict[str, Any]:
    probe, headline = evaluation.metrics.get("probe"), evaluation.headline
    if probe is None:
        return {"probe": None}
    return {
        "probe": probe,
        "probe_gain": probe["comparison"]["tuned against base"][headline],
        "probe_comparisons": _comparisons(probe["comparison"], headline),
    }


def _share_of_room(systems: Mapping[str, Mapping[str, float]], best: str, headline: str) -> float | None:
    """The share of the way from the first stage to the ceiling; None where there is no way."""
    first, room = (
        systems[FIRST_STAGE][headline],
        systems["ceiling"][headline] - systems[FIRST_STAGE][headline],
    )
    return (systems[best][headline] - first) / room if room > 0 else None


def _comparisons(comparison: Mapping[str, Any], headline: str) -> list[tuple[str, str, Mapping[str, Any]]]:
    """System, what it is compared with, and the comparison, in the headline measure."""
    pairs = [(name.split(" against "), found[headline]) for name, found in comparison.items()]
    return [(NAMES[system], NAMES[other], found) for (system, other), found in pairs]


def _figures(evaluation: Evaluation) -> dict[str, str]:
    headline, best = evaluation.headline, evaluation.best
    before, after = evaluation.values[FIRST_STAGE], evaluation.values[best]
    return {
        "depth_figure": depth_curve(evaluation.metrics["depths"], headline),
        "scatter_figure": scatter(before, after, headline, best),
        "training_figure": training_curve(evaluation.training_log),
    }


def _notes(evaluation: Evaluation, browser: Browser) -> dict[str, Any]:
    return {
        "leaked": evaluation.leaked,
        "shown_ids": SHOWN_IDS,
        "further": FURTHER_RELEVANT,
        "left_out": len(evaluation.qrels) - browser.queries,
        "missed": len(evaluation.missed),
        "dev": [row for row in evaluation.training_log if "eval_nDCG@10" in row],
    }
