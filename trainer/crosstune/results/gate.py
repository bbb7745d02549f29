"""Whether a run may be shipped: least values, not worse than another run, latency."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.evaluate.assess import notes
from crosstune.evaluate.measures import check_measures, per_query, total
from crosstune.evaluate.significance import ERROR
from crosstune.results.compare import Tested, against
from crosstune.results.runs import Missing, open_runs
from crosstune.sources import Source, open_qrels, open_source

HEADLINE = "nDCG@10"


@dataclass(frozen=True)
class Minimum:
    """`measure` must reach `value`, or with `strict` lie above it."""

    measure: str
    strict: bool
    value: float


@dataclass(frozen=True)
class GateRequest:
    """The words of the command line. `measures`: those on which the run must not be worse; `margin`: how much
    worse it may be, None for what chance explains; `depth`: of both; `max_latency`: milliseconds."""

    run: str
    qrels: Path | None
    minima: tuple[Minimum, ...]
    not_worse_than: str | None
    measures: tuple[str, ...]
    margin: float | None
    missing: Missing
    depth: int | None
    max_latency: float | None
    seed: int
    resamples: int


@dataclass(frozen=True)
class Check:
    """One line of the gate: what was asked, and what was found."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True)
class GateResult:
    checks: tuple[Check, ...]
    notes: tuple[str, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if not check.passed)


def parse_minimum(text: str) -> Minimum:
    """`MEASURE>=VALUE` or `MEASURE>VALUE`. Raises `InputError` for anything else."""
    for sign in (">=", ">"):
        measure, found, value = text.rpartition(sign)
        if found:
            break
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if not measure.strip() or not math.isfinite(number):
        raise InputError(
            f"--min {text!r}: a measure, >= or > and a number were expected, for example 'nDCG@10>=.6'"
        )
    return Minimum(measure.strip(), sign == ">", number)


def gate(request: GateRequest) -> GateResult:
    """Makes every check that was asked for.

    Raises `InputError` when none was, and for what cannot be checked: an unknown measure, one that a folder
    without judgements does not hold, a latency that was not measured, runs that do not fit each other.
    """
    _check_request(request)
    source = open_source(request.run)
    checks, said = _minima(request, source)
    if request.not_worse_than is not None:
        compared, more = _not_worse(request, request.not_worse_than)
        checks, said = [*checks, *compared], [*said, *more]
    if request.max_latency is not None:
        checks.append(_latency(source, request.max_latency))
    return GateResult(tuple(checks), tuple(dict.fromkeys(said)))


def _check_request(request: GateRequest) -> None:
    if not request.minima and request.not_worse_than is None and request.max_latency is None:
        raise InputError("nothing to check: give --min, --not-worse-than or --max-latency")
    of_comparison = {
        "--measure": request.measures or None,
        "--margin": request.margin,
        "--depth": request.depth,
    }
    name = next((name for name, value in of_comparison.items() if value is not None), None)
    if request.not_worse_than is None and name is not None:
        raise InputError(f"{name} says how a run is compared: give --not-worse-than RUN with it")
    for name, value in (("--margin", request.margin), ("--max-latency", request.max_latency)):
        if value is not None and not (math.isfinite(value) and value > 0):
            raise InputError(f"{name} {value}: a number above 0 was expected")
    check_measures(list(dict.fromkeys(minimum.measure for minimum in request.minima)))
    check_measures(request.measures)


def _minima(request: GateRequest, source: Source) -> tuple[list[Check], list[str]]:
    if not request.minima:
        return [], []
    measures = list(dict.fromkeys(minimum.measure for minimum in request.minima))
    if request.qrels is None and source.qrels is None and source.metrics is not None:
        values, said = _stored(source, measures)
    else:
        values, said = _measured(source, request.qrels, measures)
    return [_minimum(minimum, values[minimum.measure]) for minimum in request.minima], said


def _measured(
    source: Source, qrels: Path | None, measures: Sequence[str]
) -> tuple[dict[str, float], list[str]]:
    judged = open_qrels(source, qrels)
    values = per_query(judged, source.run, measures)
    said = [*source.notes, *notes(judged, {source.name: source.run}, measures)]
    return {measure: total(measure, by_query) for measure, by_query in values.items()}, said


def _stored(source: Source, measures: Sequence[str]) -> tuple[dict[str, float], list[str]]:
    """The values and notes that an evaluation's folder holds. Raises `InputError` for one that it lacks."""
    assert source.metrics is not None
    splits = source.metrics["splits"]
    computed = splits.get(source.split, next(iter(splits.values())))[_system(source)]
    missing = [measure for measure in measures if measure not in computed]
    if missing:
        raise InputError(
            f"{source.name}: {', '.join(missing)} was not computed there (it holds {', '.join(computed)}); "
            "give the judgements with --qrels FILE to compute it now"
        )
    said = [str(note) for note in source.metrics.get("notes", ())]
    return {measure: float(computed[measure]) for measure in measures}, said


def _minimum(minimum: Minimum, value: float) -> Check:
    passed = value > minimum.value if minimum.strict else value >= minimum.value
    sign = ">" if minimum.strict else ">="
    return Check(f"{minimum.measure} {sign} {minimum.value:g}", passed, f"{value:.4f}")


def _not_worse(request: GateRequest, other: str) -> tuple[list[Check], tuple[str, ...]]:
    measures = request.measures or tuple(dict.fromkeys(m.measure for m in request.minima)) or (HEADLINE,)
    opened = open_runs([other, request.run], request.qrels, measures, request.missing, request.depth)
    first, run = opened.runs
    values = {name: per_query(opened.qrels, opened.runs[name], measures) for name in (first, run)}
    tested = against(first, values, request.seed, request.resamples)[run]
    return [_compared(m, other, tested[m], request.margin) for m in measures], opened.notes


def _compared(measure: str, other: str, tested: Tested, margin: float | None) -> Check:
    c = tested.comparison
    shown = f"{c.difference:+.4f}, 95 % interval [{c.low:+.4f}, {c.high:+.4f}]"
    if margin is not None:
        name = f"{measure} at most {margin:g} below {other}"
        return Check(name, c.low >= -margin, f"{shown}; its lower end decides")
    worse = tested.p_holm < ERROR and c.difference < 0
    return Check(
        f"{measure} not worse than {other}", not worse, f"{shown}, p = {tested.p_holm:.2g}: {tested.verdict}"
    )


def _latency(source: Source, limit: float) -> Check:
    system = _system(source)
    metrics = source.metrics or {}
    measured = metrics.get("milliseconds_per_query", {})
    asked = metrics.get("rerankers", {}).get(system, {}).get("p50_ms")
    if system not in measured and asked is None:
        raise InputError(
            f"{source.name}: no latency was measured for it; a recipe's evaluation does that, and crosstune "
            "evaluate --endpoint or --reranker with --out: name such a folder, or leave --max-latency out"
        )
    if system in measured:
        value, of = float(measured[system]), "median of the queries"
    else:
        value, of = float(asked), "median of the requests"
    return Check(f"reranking at most {limit:g} ms a query", value <= limit, f"{value:.1f} ms ({of})")


def _system(source: Source) -> str:
    return list(source.systems)[-1]
