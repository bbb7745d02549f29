"""What a page says of an export's calibration, from its manifest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from crosstune.evaluate.report.plots import reliability_plot

NAMES: dict[Literal["logit", "fused"], str] = {
    "logit": "logit",
    "fused": "logit with the first stage's score",
}
NO_EXPORT = (
    "There is no export of this evaluation, and the export is what calibrates: crosstune run and crosstune "
    "export make one."
)


@dataclass(frozen=True)
class Calibrated:
    """One kind of values: `dev` and `threshold` as in the manifest; `wanted`: what a threshold was looked for
    at, in words; `plot`: inline SVG, `''` for an export of an older crosstune, which kept no bins."""

    name: str
    method: str
    dev: Mapping[str, Any]
    threshold: Mapping[str, Any] | None
    wanted: str | None
    plot: str


def calibrated_parts(manifest: Mapping[str, Any]) -> list[Calibrated]:
    """Of each kind of values that the manifest has a curve of."""
    curves, limits = manifest.get("calibration") or {}, manifest.get("threshold") or {}
    wanted = next((f"a {what} of {share:g}" for what, share in limits.get("wanted", {}).items()), None)
    parts = []
    for kind, name in NAMES.items():
        if (curve := curves.get(kind)) is not None:
            limit, bins = limits.get(kind), curve["dev"].get("reliability")
            plot = reliability_plot(bins, limit, f"calibration-{kind}") if bins else ""
            parts.append(Calibrated(name, curve["method"], curve["dev"], limit, wanted, plot))
    return parts


def without_calibration(manifest: Mapping[str, Any] | None) -> list[str]:
    """Sentences on what is not calibrated, and why."""
    if manifest is None:
        return [NO_EXPORT]
    if not manifest.get("calibration") and not manifest.get("uncalibrated"):
        return ["Not calibrated; this export is of an older crosstune, which did not keep why."]
    return [f"Not calibrated: {reason}." for reason in manifest.get("uncalibrated") or ()]
