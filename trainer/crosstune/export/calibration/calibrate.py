"""From dev's judgements to what the manifest holds of probabilities, and to the page that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from crosstune.errors import CheckFailed
from crosstune.evaluate.report.calibration import NAMES
from crosstune.export.calibration.choose import Chosen, NoUse, choose, folds_of
from crosstune.export.calibration.page import render_calibration
from crosstune.export.calibration.pairs import Floats, Pairs, pairs_of
from crosstune.export.calibration.quality import reliability
from crosstune.export.calibration.threshold import LEAST, Threshold, Unreached, find_threshold
from crosstune.export.settings import ThresholdSettings, TunedExportSettings
from crosstune.progress import say
from crosstune.records import Qrels, Run
from crosstune.serve.calibration import Kind

MIN_QUERIES = 30
"""Dev queries with a relevant and another candidate. A share of one half over 30 is known to within .18
(95 %); over fewer, a probability would say no more than likely or not."""


@dataclass(frozen=True)
class Calibration:
    """`manifest`: its keys `calibration`, `threshold` and `uncalibrated`; `page`: HTML, `None` where there is
    none."""

    manifest: Mapping[str, Any]
    page: str | None


def _uncalibrated(reasons: Sequence[str]) -> Calibration:
    return Calibration({"calibration": None, "threshold": None, "uncalibrated": [*reasons]}, None)


UNCALIBRATED = _uncalibrated(["no calibration was asked for"])


def calibrate(
    runs: Mapping[Kind, Run], qrels: Qrels, settings: TunedExportSettings, seed: int
) -> Calibration:
    """Calibrates each of the `runs`, which hold the same candidates of dev queries; the last one is what the
    export recommends ranking by.

    What cannot be calibrated is left out and said. Raises `CheckFailed` when the recipe names a threshold
    and what the export recommends has none.
    """
    wanted = settings.threshold
    dev = {kind: pairs_of(run, qrels) for kind, run in runs.items()}
    recommended = [*dev][-1]
    if (found := dev[recommended].telling) < MIN_QUERIES:
        reason = (
            f"{found} dev queries have a relevant and another candidate, and at least {MIN_QUERIES} are "
            "needed; judge more dev queries, or let train.verdict_queries and train.dev_depth reach more"
        )
        _without(reason, wanted)
        return _uncalibrated([reason])
    fold_of = folds_of(dev[recommended], seed)
    curves: dict[Kind, Chosen] = {}
    thresholds: dict[Kind, Threshold] = {}
    reasons = []
    for kind, pairs in dev.items():
        chosen = choose(pairs, fold_of)
        must = wanted if kind == recommended else None
        if isinstance(chosen, NoUse):
            reasons.append(_no_use(kind, chosen))
            _without(reasons[-1], must)
            continue
        curves[kind] = chosen
        _say(kind, chosen, pairs)
        if not wanted.named:
            continue
        threshold = find_threshold(_final(chosen, pairs), pairs, wanted, fold_of, seed)
        if isinstance(threshold, Unreached):
            _unreached(kind, threshold, wanted, must)
        else:
            thresholds[kind] = threshold
            _say_threshold(threshold, wanted)
    return _outcome(dev, curves, thresholds, wanted, reasons)


def _final(chosen: Chosen, pairs: Pairs) -> Floats:
    return np.array(chosen.curve.probabilities(pairs.values.tolist()))


def _outcome(
    dev: Mapping[Kind, Pairs],
    curves: Mapping[Kind, Chosen],
    thresholds: Mapping[Kind, Threshold],
    wanted: ThresholdSettings,
    reasons: Sequence[str],
) -> Calibration:
    if not curves:
        return _uncalibrated(reasons)
    calibration = {kind: _entry(curves[kind], dev[kind]) if kind in curves else None for kind in NAMES}
    threshold: dict[str, Any] | None = None
    if wanted.named:
        threshold = {"wanted": wanted.model_dump(exclude_none=True)}
        threshold |= {kind: asdict(thresholds[kind]) if kind in thresholds else None for kind in NAMES}
    manifest = {"calibration": calibration, "threshold": threshold, "uncalibrated": [*reasons]}
    return Calibration(manifest, render_calibration(manifest))


def _entry(chosen: Chosen, pairs: Pairs) -> dict[str, Any]:
    dev = {
        "queries": pairs.queries,
        "pairs": len(pairs.values),
        "relevant": int(pairs.relevant.sum()),
        "log_loss_by_method": chosen.log_losses,
        "log_loss_of_the_share": chosen.base_rate,
        "before": asdict(chosen.before),
        "after": asdict(chosen.after),
        "reliability": {
            "before": [asdict(one) for one in reliability(chosen.sigmoids, pairs.relevant)],
            "after": [asdict(one) for one in reliability(chosen.held_out, pairs.relevant)],
        },
    }
    return {"method": chosen.method, **asdict(chosen.curve), "dev": dev}  # type: ignore[call-overload]


def _without(reason: str, wanted: ThresholdSettings | None) -> None:
    if wanted is not None and wanted.named:
        raise CheckFailed(
            f"export.threshold asks for {wanted.named}, and there is no calibration: {reason}. Nothing was "
            "exported; without export.threshold the model is exported uncalibrated"
        )
    say(f"  not calibrated: {reason}")


def _no_use(kind: Kind, found: NoUse) -> str:
    if found.best is None:
        return f"on dev a higher {NAMES[kind]} does not mean that a document is more often relevant"
    return (
        f"the {NAMES[kind]} tells no more of relevance on dev than the share of relevant candidates does "
        f"(log loss {found.best:.4f} against {found.base_rate:.4f}, cross-validated)"
    )


def _unreached(
    kind: Kind, found: Unreached, wanted: ThresholdSettings, must: ThresholdSettings | None
) -> None:
    best = (
        f"dev has fewer than {LEAST} candidates in all"
        if found.precision is None
        else f"the best is {found.precision:.3f}"
    )
    message = (
        f"dev never reaches {wanted.named} by the {NAMES[kind]} with at least {LEAST} candidates above the "
        f"threshold; {best}"
    )
    if must is not None:
        raise CheckFailed(
            f"export.threshold: {message}. Ask for less, for a recall, or leave export.threshold out. "
            "Nothing was exported"
        )
    say(f"  no threshold: {message}")


def _say(kind: Kind, chosen: Chosen, pairs: Pairs) -> None:
    before, after = chosen.before, chosen.after
    say(
        f"  {NAMES[kind]}, calibrated by {chosen.method} on {pairs.queries} dev queries "
        f"({len(pairs.values)} candidates, {int(pairs.relevant.sum())} relevant; cross-validated): "
        f"log loss {before.log_loss:.4f} -> {after.log_loss:.4f}, Brier {before.brier:.4f} -> "
        f"{after.brier:.4f}, ECE {before.ece:.4f} -> {after.ece:.4f}"
    )


def _say_threshold(found: Threshold, wanted: ThresholdSettings) -> None:
    precision = "-" if found.precision.held_out is None else f"{found.precision.held_out:.3f}"
    recall = "-" if found.recall.held_out is None else f"{found.recall.held_out:.3f}"
    say(
        f"  threshold {found.probability:.3f} [{found.low:.3f}, {found.high:.3f}] for {wanted.named}: "
        f"{found.pairs} candidates above, precision {found.precision.value:.3f}, recall "
        f"{found.recall.value:.3f}; on queries that it was not chosen on {precision} and {recall}"
    )
