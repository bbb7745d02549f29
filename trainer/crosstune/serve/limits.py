"""What a format of an export must hold to, and whether the values that were measured do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from crosstune.errors import InputError
from crosstune.serve.engines.runtime import PRECISIONS, Format
from crosstune.serve.fusion import is_finite_number

NDCG = "nDCG@10"
ORDER = ("kendall_tau", "ndcg", "fp32_ndcg")


@dataclass(frozen=True)
class Limits:
    """`tolerance`: largest difference of a logit of fp32 formats, see `allowed`; `int8_tau`: least Kendall
    tau of the others to fp32; `int8_ndcg`: largest difference of their nDCG@10 to fp32's."""

    tolerance: float
    int8_tau: float
    int8_ndcg: float

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not is_finite_number(value):
                raise ValueError(f"limits.{name} is {value!r:.40}; a finite number was expected")

    def failures(self, kind: Format, found: Mapping[str, Any]) -> list[str]:
        """What of the measured values is beyond the limits, with the values; empty when the format holds."""
        reasons = []
        if kind != "onnx" and found["steady"] is not True:
            reasons.append("passes over the same pairs gave different logits")
        if PRECISIONS[kind] == "float32":
            most = allowed(self.tolerance, found["spread"])
            if not found["largest_difference"] <= most:
                reasons.append(
                    f"the largest logit difference is {found['largest_difference']:.1e}; export.tolerance = "
                    f"{self.tolerance:g} allows {most:.1e} where logits spread by {found['spread']:.2g}"
                )
            return reasons
        if not found["kendall_tau"] >= self.int8_tau:
            reasons.append(f"Kendall tau is {found['kendall_tau']:.4f} and export.int8_tau {self.int8_tau:g}")
        if not abs(found["ndcg"] - found["fp32_ndcg"]) <= self.int8_ndcg:
            reasons.append(
                f"{NDCG} is {found['ndcg']:.4f} against {found['fp32_ndcg']:.4f} in fp32 and "
                f"export.int8_ndcg {self.int8_ndcg:g}"
            )
        return reasons


def allowed(tolerance: float, spread: float) -> float:
    """The largest difference of a logit. Rounding grows with the logits, and so does what it may change: the
    same ranking in logits of ten times the size may differ by ten times as much."""
    return tolerance * max(1.0, spread)


def check_parity(where: str, values: Mapping[str, Any], kind: Format) -> None:
    """Raises `InputError` unless the manifest `values` say of the format `kind` that it was compared with the
    trained model and held to the limits that stand beside."""
    again = "so nothing says that this export equals the trained model; export it again"
    parity, limits = values.get("parity"), values.get("limits")
    found = parity.get(kind) if isinstance(parity, dict) else None
    if not isinstance(found, dict):
        raise InputError(f"{where}: has no parity result of {kind}, {again}")
    exact = PRECISIONS[kind] == "float32"
    for name in ("pairs", *(("largest_difference", "spread") if exact else ORDER)):
        if not is_finite_number(found.get(name)):
            raise InputError(
                f"{where}: parity.{kind}.{name} is {found.get(name)!r:.40} and no number, {again}"
            )
    try:
        if not isinstance(limits, dict):
            raise TypeError(f"limits is {limits!r:.40}")
        failures = Limits(**limits).failures(kind, {"steady": None, **found})
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: has no limits of the parity check ({error}), {again}") from None
    if found["pairs"] < 1:
        failures.append("no pair was compared")
    if failures:
        raise InputError(f"{where}: {kind} did not hold to its limits ({'; '.join(failures)}), {again}")
