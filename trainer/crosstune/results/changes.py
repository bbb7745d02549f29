"""The queries that changed most between two runs, with their candidates before and after."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from crosstune.errors import InputError
from crosstune.evaluate.measures import in_order
from crosstune.evaluate.significance import TIE
from crosstune.records import Qrels, Run

TEXT_CHARACTERS = 300


@dataclass(frozen=True)
class Seen:
    """A document at a rank; `other_rank`: its rank in the other run; `grade`: None when unjudged; `text`: its
    beginning, where a corpus was given."""

    rank: int
    doc_id: str
    grade: int | None
    other_rank: int | None
    text: str | None = None


@dataclass(frozen=True)
class ChangedQuery:
    """`before`, `after`: the measure in the two runs; the best documents of both, and the relevant ones that
    stand below them."""

    query_id: str
    text: str | None
    before: float
    after: float
    documents_before: tuple[Seen, ...]
    documents_after: tuple[Seen, ...]


def most_changed(
    values: tuple[Mapping[str, float], Mapping[str, float]],
    runs: tuple[Run, Run],
    qrels: Qrels,
    texts: Mapping[str, str],
    count: int,
    shown: int,
) -> tuple[ChangedQuery, ...]:
    """The `count` queries that gained most, then the `count` that lost most, each with `shown` documents."""
    change = {q: values[1][q] - values[0][q] for q in qrels}
    gains = sorted((q for q in qrels if change[q] > TIE), key=lambda q: (-change[q], q))[:count]
    losses = sorted((q for q in qrels if change[q] < -TIE), key=lambda q: (change[q], q))[:count]
    return tuple(
        _changed(q, texts.get(q), (values[0][q], values[1][q]), runs, qrels[q], shown)
        for q in (*gains, *losses)
    )


def _changed(
    query_id: str,
    text: str | None,
    values: tuple[float, float],
    runs: tuple[Run, Run],
    judged: Mapping[str, int],
    shown: int,
) -> ChangedQuery:
    before, after = (in_order(run.get(query_id, {})) for run in runs)
    return ChangedQuery(
        query_id, text, *values, _seen(before, after, judged, shown), _seen(after, before, judged, shown)
    )


def _seen(
    order: Sequence[str], other: Sequence[str], judged: Mapping[str, int], shown: int
) -> tuple[Seen, ...]:
    elsewhere = {doc: place for place, doc in enumerate(other, start=1)}
    return tuple(
        Seen(place, doc, judged.get(doc), elsewhere.get(doc))
        for place, doc in enumerate(order, start=1)
        if place <= shown or judged.get(doc, 0) > 0
    )


def with_texts(
    changed: Mapping[str, tuple[ChangedQuery, ...]], corpus: Path
) -> dict[str, tuple[ChangedQuery, ...]]:
    """The same with the beginning of every document, from a `corpus.jsonl` that is read as a stream.

    Raises `InputError` for a corpus that holds none of them.
    """
    from crosstune.data.readers.beir import read_corpus

    queries = [query for of_run in changed.values() for query in of_run]
    wanted = {seen.doc_id for query in queries for seen in (*query.documents_before, *query.documents_after)}
    texts = {
        passage.doc_id: f"{passage.title} {passage.text}".strip()[:TEXT_CHARACTERS]
        for passage in read_corpus(corpus)
        if passage.doc_id in wanted
    }
    if wanted and not texts:
        raise InputError(
            f"{corpus}: holds none of the runs' documents ({min(wanted)!r}); is it their corpus?"
        )

    def filled(documents: tuple[Seen, ...]) -> tuple[Seen, ...]:
        return tuple(replace(seen, text=texts.get(seen.doc_id)) for seen in documents)

    return {
        name: tuple(
            replace(
                query,
                documents_before=filled(query.documents_before),
                documents_after=filled(query.documents_after),
            )
            for query in of_run
        )
        for name, of_run in changed.items()
    }
