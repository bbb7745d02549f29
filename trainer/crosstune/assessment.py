"""What `crosstune evaluate` does with a run: reads it, measures it, writes the folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.evaluate.assess import DEPTHS, FIRST_STAGE, MEASURES, Question, assess, notes, relevant_from
from crosstune.evaluate.breakdown import Part, by_field, by_length, by_positives, read_query_rows
from crosstune.evaluate.folder import check_writable, write_evaluation
from crosstune.evaluate.measures import check_measures, check_names, in_order
from crosstune.files import find_file
from crosstune.progress import say
from crosstune.records import Qrels
from crosstune.rerankers.rerank import with_rest
from crosstune.sources import Source, open_qrels, open_source


@dataclass(frozen=True)
class Request:
    """The words of the command line."""

    target: str
    qrels: Path | None
    measures: tuple[str, ...]
    relevant_from: int | None
    first_stage: Path | None
    queries: Path | None
    by: tuple[str, ...]
    depths: tuple[int, ...]
    out: Path | None
    seed: int
    resamples: int


def evaluate_run(request: Request) -> dict[str, Any]:
    """The metrics of a run. Raises `InputError` for whatever of it cannot be measured."""
    measures = chosen_measures(request.measures, request.relevant_from)
    if request.out is not None:
        check_writable(request.out)
    source = _completed(open_source(request.target, request.first_stage))
    qrels = open_qrels(source, request.qrels)
    say(f"{source.name}: {', '.join(source.systems)} over {len(qrels)} judged queries")
    question = Question(
        measures,
        request.depths or DEPTHS,
        _parts(request, source, qrels),
        request.seed,
        request.resamples,
        request.relevant_from or 1,
    )
    assessment = assess(qrels, source.systems, source.split, question)
    metrics = assessment.metrics | {
        "system": list(source.systems)[-1],
        "notes": [*source.notes, *notes(qrels, source.systems, measures)],
        "milliseconds_per_query": dict((source.metrics or {}).get("milliseconds_per_query", {})),
    }
    if request.out is not None:
        write_evaluation(request.out, metrics, assessment.values, qrels, source.run)
    return metrics


def _completed(source: Source) -> Source:
    """A run of fewer candidates than the first stage's has the others beneath, in the first stage's order."""
    candidates = {q: scores for q, scores in source.systems.get(FIRST_STAGE, {}).items() if q in source.run}
    left = [len(scores.keys() - source.run[q].keys()) for q, scores in candidates.items()]
    if not any(left) or any(source.run[q].keys() - scores.keys() for q, scores in candidates.items()):
        return source
    run = source.run | with_rest(candidates, source.run, in_order)
    said = (
        f"{source.name}: {sum(left)} candidates of the first stage are not in it (of {sum(map(bool, left))} "
        "queries); they stand beneath the others, in the first stage's order"
    )
    systems = {**source.systems, list(source.systems)[-1]: run}
    return replace(source, run=run, systems=systems, notes=(*source.notes, said))


def chosen_measures(names: Sequence[str], grade: int | None) -> list[str]:
    """The measures asked for, or the usual ones; with the threshold of relevance where one is given."""
    chosen = list(names or MEASURES)
    if grade is not None:
        check_names(chosen)
        chosen = [relevant_from(name, grade) for name in chosen]
    check_measures(chosen)
    return chosen


def _parts(request: Request, source: Source, qrels: Qrels) -> dict[str, list[Part]]:
    path = request.queries or (find_file(source.collection / "queries.jsonl") if source.collection else None)
    if path is None:
        if request.by:
            raise InputError(f"--by {request.by[0]}: give the file that holds the field with --queries FILE")
        return {"number of positives": by_positives(qrels)}
    rows = read_query_rows(path)
    return {
        "words of the query": by_length(qrels, rows),
        "number of positives": by_positives(qrels),
        **{field: by_field(qrels, rows, field) for field in request.by},
    }
