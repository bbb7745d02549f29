"""`crosstune label`: grades of candidates by a model, after it was compared with people's."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from crosstune.data import UNANSWERED, FirstStageSettings
from crosstune.errors import CheckFailed, InputError
from crosstune.label_sources import GENERATED
from crosstune.labels.agreement import Agreement, agreement, lines
from crosstune.labels.folder import Labelled, NewLabel, counts_line, shown_counts, write_labelled
from crosstune.labels.graders import ChatGrader, Grader, Pair, Verdict
from crosstune.labels.pairs import (
    Candidates,
    as_pairs,
    assumed_pairs,
    candidates_of,
    label_queries,
    pairs_to_label,
    people_pairs,
    read_candidates,
    reviewed_pairs,
)
from crosstune.labels.plan import Plan
from crosstune.labels.prompts import Example
from crosstune.progress import say
from crosstune.records import Split

RECORD = "labels.jsonl"


@dataclass(frozen=True)
class Choices:
    """What the words of the command line ask for. `run`: a TREC run in place of the first stage; `depth`:
    candidates a query; `queries`: at most; `compare`: pairs of people's to compare with, at most; `review`:
    further ones; `assume_unjudged`: candidates that nobody judged count as not relevant in the comparison;
    `least_kappa`: below it nothing is labelled."""

    split: Split
    run: Path | None
    first_stage: FirstStageSettings
    depth: int
    queries: int | None
    compare: int
    review: Path | None
    assume_unjudged: bool
    least_kappa: float | None
    seed: int


@dataclass(frozen=True)
class Labelling:
    """`pairs`: candidates by what became of them; `grades`: grade -> pairs; `labels`: split -> source ->
    judgements of what was written; `spent`: on an endpoint's answers."""

    out: str | None
    generator: str
    agreement: Agreement
    pairs: dict[str, int]
    grades: dict[str, int]
    labels: dict[str, dict[str, int]]
    spent: dict[str, Any]


def label(
    source: Labelled, out: Path | None, grader: Grader, examples: list[Example], choices: Choices
) -> Labelling:
    """Compares `grader` with people and says how well it agrees; then grades the candidates and writes the
    collection `out`. Without `out` it ends after the comparison.

    Raises `InputError` for what cannot be asked, and `CheckFailed` for an agreement below `least_kappa` and
    when no candidate got a grade; nothing is written then, and answers are kept for the next call.
    """
    found = _candidates(source, choices) if out is not None else None
    compared = _compare(source, grader, examples, choices)
    for line in lines(compared):
        say(line)
    _check(compared, choices.least_kappa)
    if out is None or found is None:
        return Labelling(None, grader.generator, compared, {}, {}, {}, grader.spent())
    say(f"{choices.split}: {shown_counts(found.counts)}; {len(found.pairs)} to grade")
    # In an order by chance, so that a limit leaves a fair sample of the pairs.
    pairs = random.Random(choices.seed).sample(found.pairs, len(found.pairs))
    verdicts = grader.grade(pairs)
    judged = list(zip(pairs, verdicts, strict=True))
    graded = [(pair, verdict.grade) for pair, verdict in judged if verdict.grade is not None]
    counts = Counter({**found.counts, "graded": len(graded), "cut": sum(v.cut for v in verdicts)})
    counts.update(verdict.reason for verdict in verdicts if verdict.reason is not None)
    if not graded:
        raise CheckFailed(f"no candidate got a grade ({shown_counts(counts)}); nothing was written")
    labels = [
        NewLabel(choices.split, pair.query_id, pair.doc_id, grade, grader.generator) for pair, grade in graded
    ]
    grades = {str(g): n for g, n in sorted(Counter(grade for _, grade in graded).items())}
    about = {"generator": grader.generator, "agreement": asdict(compared), "pairs": dict(counts)}
    rows = [_row(pair, verdict, choices.split, grader.generator) for pair, verdict in judged]
    written = write_labelled(source, out, [], labels, {"labelling": about}, (RECORD, rows))
    say(f"{shown_counts(counts)}; grades: {shown_counts(grades)}")
    say(counts_line(written))
    return Labelling(str(out), grader.generator, compared, dict(counts), grades, written, grader.spent())


def _candidates(source: Labelled, choices: Choices) -> Candidates:
    """What there is to grade. Raises `InputError`, before anything is asked, where there is nothing."""
    run = read_candidates(choices.run)
    queries = label_queries(source, choices.split, run, choices.queries, choices.seed)
    searched = candidates_of(source, queries, run, choices.first_stage)
    found = pairs_to_label(source, searched, choices.depth, reviewed_pairs(choices.review))
    if not found.pairs:
        counted = shown_counts(found.counts)
        raise InputError(f"nothing to label: all candidates are judged or cannot be ({counted})")
    return found


def plan(
    source: Labelled, grader: ChatGrader, examples: list[Example], choices: Choices, *, to_label: bool
) -> Plan:
    """What `label` would ask an endpoint for. Raises what it raises before it asks."""
    found = _candidates(source, choices).pairs if to_label else []
    people, assumed = _of_people(source, examples, choices, grader.highest)
    return grader.plan([*as_pairs(source, [*people, *assumed]), *found])


def _of_people(
    source: Labelled, examples: list[Example], choices: Choices, highest: int
) -> tuple[dict[tuple[str, str], int], dict[tuple[str, str], int]]:
    """The pairs to compare with, and those that nobody judged and that count as not relevant. Beside grades
    of 0 and 1 alone, whatever is relevant has the grade 1."""
    people = people_pairs(source, choices.review, examples, choices.compare, choices.seed)
    if highest == 1:
        people = {pair: int(grade > 0) for pair, grade in people.items()}
    if not choices.assume_unjudged or not people:
        return people, {}
    queries = sorted({query_id for query_id, _ in people})
    searched = candidates_of(source, queries, read_candidates(choices.run), choices.first_stage)
    return people, assumed_pairs(source, people, searched, choices.seed, reviewed_pairs(choices.review))


def _compare(source: Labelled, grader: Grader, examples: list[Example], choices: Choices) -> Agreement:
    people, assumed = _of_people(source, examples, choices, grader.highest)
    both = {**people, **assumed}
    verdicts: Sequence[Verdict] = grader.grade(as_pairs(source, list(both))) if both else []
    found = {pair: verdict.grade for pair, verdict in zip(both, verdicts, strict=True)}
    return agreement(both, found, choices.seed, grader.highest, len(assumed))


def _check(found: Agreement, least: float | None) -> None:
    if least is None:
        return
    if found.kappa is None:
        raise CheckFailed(
            f"--min-kappa {least:g}: {found.why}; judge pairs of both kinds (crosstune review, then "
            "--review), or count what nobody judged as not relevant with --assume-unjudged. Nothing was "
            "labelled"
        )
    if found.kappa < least:
        raise CheckFailed(
            f"--min-kappa {least:g}: kappa is {found.kappa:.3f}; mend the prompt, show more --examples or "
            "take another model. Nothing was labelled"
        )


def _row(pair: Pair, verdict: Verdict, split: Split, generator: str) -> dict[str, Any]:
    """Also an answer of a review: `mine.review` reads it, and passes over what got no answer."""
    answer = None
    if verdict.reason not in UNANSWERED:
        answer = "unsure" if verdict.grade is None else "relevant" if verdict.grade > 0 else "not"
    return {
        "query_id": pair.query_id,
        "doc_id": pair.doc_id,
        "split": split,
        "grade": verdict.grade,
        "verdict": answer,
        "sample": "label",
        "reason": verdict.reason,
        "score": verdict.score,
        "source": GENERATED,
        "generator": generator,
    }
