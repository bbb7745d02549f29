"""The diagnoses: from what the groups, the log and the plan say to a name, its evidence and the remedy."""

from __future__ import annotations

from collections.abc import Sequence

from crosstune.train.doctor import data_checks, log_checks
from crosstune.train.doctor.curve import Row, curve
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.thresholds import FLAT_SPREAD, NO_GRADIENT, NO_NUMBER, STOP_AFTER


def certainly_lost(plan: Plan, rows: Sequence[Row]) -> bool:
    """Whether the last entries, past the warm-up, all have constant scores and no gradient."""
    last = [row for row in rows if "loss" in row][-STOP_AFTER:]
    return len(last) == STOP_AFTER and all(
        row["step"] > plan.warmup_steps
        and row.get("spread", FLAT_SPREAD) < FLAT_SPREAD
        and row.get("grad_norm", NO_GRADIENT) < NO_GRADIENT
        for row in last
    )


def _explains(found: Sequence[Diagnosis]) -> bool:
    """Whether one of these keeps a model from learning; labels that leak are learned the better for it."""
    return any(diagnosis.name != "label_leak" for diagnosis in found)


def diagnose(
    plan: Plan, data: DataSigns, rows: Sequence[Row], failure: str | None = None
) -> tuple[Diagnosis, ...]:
    """Every diagnosis that stands, causes in the data first. `failure`: what stopped the training.

    What the data explains is not laid to the settings as well: while such a cause stands, constant scores
    and a loss that does not fall are no diagnosis of their own.
    """
    found = data_checks.check(plan, data)
    seen = curve(plan, rows)
    lost = certainly_lost(plan, rows)
    if failure is not None and failure.startswith(NO_NUMBER):
        found.append(log_checks.not_a_number(plan, failure))
    if seen.steps.rows:
        names = [diagnosis.name for diagnosis in found]
        more = log_checks.check(plan, data, seen, lost=lost, explained=_explains(found))
        found += [diagnosis for diagnosis in more if diagnosis.name not in names]
    return tuple(found)
