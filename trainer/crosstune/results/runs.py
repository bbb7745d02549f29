"""Several runs over the same judgements: read, and made comparable or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crosstune.errors import InputError
from crosstune.evaluate.assess import notes
from crosstune.evaluate.breakdown import read_query_rows
from crosstune.evaluate.measures import cutoff, in_order
from crosstune.files import find_file
from crosstune.records import Qrels, Run
from crosstune.sources import Judgements, Source, check_asked, open_source, read_judgements

Missing = Literal["refuse", "zero", "skip"]
"""What a judged query means that one run answers and another does not."""


@dataclass(frozen=True)
class OpenRuns:
    """Runs by the names they were given under, over the queries of `qrels`; `texts`: query id -> query, where
    a collection is known."""

    runs: Mapping[str, Run]
    qrels: Qrels
    texts: Mapping[str, str]
    notes: tuple[str, ...]


def open_runs(
    arguments: Sequence[str],
    qrels: Path | None,
    measures: Sequence[str],
    missing: Missing,
    depth: int | None,
    queries: Path | None = None,
) -> OpenRuns:
    """Reads the runs. `depth`: cuts each to its best documents first.

    Raises `InputError` for a run named twice, for runs that share no query with the judgements, and for
    runs over different queries or cut at different depths, unless `missing` and `depth` settle it.
    """
    _check_distinct(arguments)
    sources = [open_source(argument) for argument in arguments]
    judgements = _judgements(sources, qrels)
    for source in sources:  # each says why it shares no query
        check_asked(source, judgements)
    judged, said = _same_queries(sources, judgements.qrels, missing)
    runs = {source.name: _cut(_asked(source, judged), depth) for source in sources}
    _check_depths(runs, measures)
    texts = _texts(sources, queries)
    seen = (*(note for source in sources for note in source.notes), *said, *notes(judged, runs, measures))
    return OpenRuns(runs, judged, texts, tuple(dict.fromkeys(seen)))


def _check_distinct(arguments: Sequence[str]) -> None:
    paths = [Path(argument).resolve() for argument in arguments]
    for place, path in enumerate(paths):
        if path in paths[:place]:
            raise InputError(
                f"{arguments[place]}: is named twice; a run against itself tells nothing, name another"
            )


def _judgements(sources: Sequence[Source], given: Path | None) -> Judgements:
    """Those given, or those that the runs' own collections hold, when all agree."""
    own = [source for source in sources if source.qrels is not None] or sources[:1]
    own = sorted(own, key=lambda source: not source.known_alone)
    first = read_judgements(own[0], given)
    for source in own[1:] if given is None else ():
        if source.qrels == own[0].qrels:
            continue
        other = read_judgements(source, None)
        if other.qrels != first.qrels:
            raise InputError(
                f"{own[0].name} and {source.name} have different judgements ({first.path} and {other.path}); "
                "say which count with --qrels FILE"
            )
    return first


def _same_queries(sources: Sequence[Source], qrels: Qrels, missing: Missing) -> tuple[Qrels, list[str]]:
    """The queries to compare over, and what is to be said about the others.

    A query that a run folder's evaluation did not measure was never asked of it, so it is left out. Of a run
    file alone that cannot be told.
    """
    measured = [frozenset(source.only) for source in sources if source.only is not None]
    qrels, said = _keep(qrels, frozenset(qrels).intersection(*measured), "a run folder measured only some")
    answered = {s.name: frozenset(s.only or s.run) & qrels.keys() for s in sources}
    common = frozenset(qrels).intersection(*answered.values())
    if missing == "refuse" and any(ids != common for ids in answered.values()):
        raise InputError(_apart(answered, common))
    if missing == "skip":
        qrels, more = _keep(qrels, common, "not every run has them")
        said += more
    if not qrels:
        raise InputError("the runs have no judged query in common, so nothing can be compared")
    return qrels, said


def _keep(qrels: Qrels, kept: frozenset[str], reason: str) -> tuple[Qrels, list[str]]:
    left = len(qrels) - len(kept)
    said = [f"{left} of {len(qrels)} judged queries are left out: {reason}"] if left else []
    return {query_id: judged for query_id, judged in qrels.items() if query_id in kept}, said


def _apart(answered: Mapping[str, frozenset[str]], common: frozenset[str]) -> str:
    counts = ", ".join(f"{name}: {len(ids)}" for name, ids in answered.items())
    name, query_id = next((n, q) for n, ids in answered.items() for q in sorted(ids) if q not in common)
    return (
        f"the runs are over different judged queries ({counts}; {len(common)} in all of them; {query_id!r} "
        f"is only in some, such as {name}). If the queries were never asked of the other run, compare over "
        "those in common with --missing skip; if it found nothing for them, count 0 with --missing zero"
    )


def _asked(source: Source, qrels: Qrels) -> Run:
    return {query_id: scores for query_id, scores in source.run.items() if query_id in qrels}


def _cut(run: Run, depth: int | None) -> Run:
    if depth is None:
        return run
    return {q: {doc: scores[doc] for doc in in_order(scores)[:depth]} for q, scores in run.items()}


def cut_depth(run: Run) -> int:
    """How many documents a query the run lists at most."""
    return max((len(scores) for scores in run.values()), default=0)


def is_cut(run: Run) -> bool:
    """Whether its lists end because they were cut: half of them or more have exactly the greatest length. A
    first stage that finds fewer documents by itself has lists of many lengths."""
    depth = cut_depth(run)
    return 2 * sum(len(scores) == depth for scores in run.values()) >= len(run)


def _check_depths(runs: Mapping[str, Run], measures: Sequence[str]) -> None:
    """Raises `InputError` for a measure that reads deeper than one run was cut while another goes on."""
    depths = {name: cut_depth(run) for name, run in runs.items()}
    shallow = min((name for name in runs if is_cut(runs[name])), key=depths.__getitem__, default=None)
    if shallow is None:
        return
    for measure in measures:
        reach = cutoff(measure)
        deeper = next((n for n in runs if min(depths[n], reach) > depths[shallow]), None)
        if deeper is not None:
            raise InputError(
                f"{measure} reads deeper than {shallow} goes: it lists {depths[shallow]} documents a query, "
                f"{deeper} up to {depths[deeper]}, and would be marked down for being cut. Compare the same "
                f"depth with --depth {depths[shallow]}, or name measures up to @{depths[shallow]} with -m"
            )


def _texts(sources: Sequence[Source], queries: Path | None) -> dict[str, str]:
    path = queries or next((find_file(s.collection / "queries.jsonl") for s in sources if s.collection), None)
    return {query_id: str(row["text"]) for query_id, row in read_query_rows(path).items()} if path else {}
