"""What `crosstune plan` reads: a run with its first stage, and how fast it was."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.evaluate.assess import FIRST_STAGE, notes
from crosstune.evaluate.measures import check_measures
from crosstune.results.plan import Plan, Speed, pairs_a_query, plan
from crosstune.sources import Source, open_qrels, open_source


@dataclass(frozen=True)
class PlanRequest:
    """The words of the command line; times in milliseconds."""

    run: str
    budget: float
    qrels: Path | None
    measure: str
    first_stage: Path | None
    pair: float | None
    depths: Sequence[int]
    seed: int
    resamples: int


def plan_run(request: PlanRequest) -> Plan:
    """Raises `InputError` when the first stage or the speed is not known, or does not fit the run."""
    check_measures([request.measure])
    for name, value in (("--budget-ms", request.budget), ("--ms-per-pair", request.pair)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} {value}: a number above 0 was expected")
    source = open_source(request.run, request.first_stage)
    if FIRST_STAGE not in source.systems:
        raise InputError(f"{source.name}: name the candidates that it reranks with --first-stage TREC-RUN")
    qrels = open_qrels(source, request.qrels)
    return plan(
        qrels,
        source.systems[FIRST_STAGE],
        source.run,
        request.measure,
        _speed(source, request.pair),
        request.budget,
        request.depths,
        seed=request.seed,
        resamples=request.resamples,
        notes=[*source.notes, *notes(qrels, source.systems, [request.measure])],
    )


def _speed(source: Source, pair: float | None) -> Speed:
    """As the run folder measured it (medians a query, over the pairs of a median query), or as given."""
    measured = (source.metrics or {}).get("milliseconds_per_query", {})
    first = measured.get(FIRST_STAGE)
    if pair is not None:
        return Speed(pair, first)
    system = list(source.systems)[-1]
    if system not in measured:
        raise InputError(
            f"{source.name}: how fast it was is not measured, only a recipe's evaluation does that; name its "
            "run folder, or give --ms-per-pair MS"
        )
    pairs = pairs_a_query(source.systems[FIRST_STAGE], 10**9)
    if pairs == 0 or measured[system] <= 0:
        raise InputError(f"{source.name}: its evaluation scored no pair; give --ms-per-pair MS")
    return Speed(float(measured[system]) / pairs, first)
