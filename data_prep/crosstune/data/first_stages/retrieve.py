"""The retrieve stage: the candidates of every judged query, whichever engine they come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.data.first_stages.checks import Checker
from crosstune.data.first_stages.kinds import open_first_stage
from crosstune.data.first_stages.searches import LocalSearches
from crosstune.data.first_stages.summary import RECALL_DEPTHS, RetrievalSummary, Tally
from crosstune.errors import InputError
from crosstune.files import sha256_file, sha256_folder, write_json
from crosstune.models import resolve_model
from crosstune.progress import progress, say
from crosstune.records import SPLITS, Collection, Qrels, Run, Split, ranking
from crosstune.trec import run_writer

if TYPE_CHECKING:
    from crosstune.data.first_stages.searches import Searches
    from crosstune.data.first_stages.settings import FirstStageSettings

QUERIES_AT_ONCE = 200
"""Queries of one call of a first stage, whose candidates are written before the next ones are asked."""

OpenSearches = Callable[[Collection, "FirstStageSettings"], "Searches"]

# What to look at when no positive is found, by the kind that found none.
_HINTS = {
    "bm25": "Check {key}.language ({language}) and {key}.tokens ({tokens}); texts without blanks between "
    "words need {key}.kind=dense",
    "dense": "Check that {key}.model ({model}) is an encoder for texts of this kind and language",
    "hybrid": "Check each of {key}.of alone",
    "postgres": "Check {key}.id_column ({id_column}) and {key}.language ({language})",
    "trec": "Check that {path} is a run over this collection",
    "plugin": "Check what {name} indexes",
}


def retrieve(
    collection: Collection,
    settings: FirstStageSettings,
    folder: Path,
    further: Mapping[str, FirstStageSettings] | None = None,
    open_searches: OpenSearches = LocalSearches,
) -> RetrievalSummary:
    """Writes the best `depth` passages of each judged query as `{split}.trec`, and `retrieve.json`.

    `further`: first stages that mining draws from as well, by name; their candidates of the train queries are
    `train.{name}.trec`. `open_searches` says where is searched; the runs do not depend on it. Raises
    `InputError` when no positive of the train split is found at all.
    """
    summary = _retrieve(collection, settings, folder, "first_stage", "", open_searches)
    others = {}
    train = dataclasses.replace(collection, qrels={s: q for s, q in collection.qrels.items() if s == "train"})
    for name, single in (further or {}).items() if train.qrels else ():
        say(f"  first stage {name}, for mining:")
        others[name] = asdict(
            _retrieve(train, single, folder, f"mine.further {name}", f".{name}", open_searches)
        )
    summary = dataclasses.replace(summary, further=others)
    write_json(folder / "retrieve.json", asdict(summary))
    return summary


def _retrieve(
    collection: Collection,
    settings: FirstStageSettings,
    folder: Path,
    key: str,
    suffix: str,
    open_searches: OpenSearches,
) -> RetrievalSummary:
    """One first stage, whose runs are `{split}{suffix}.trec`; `key` is where the recipe names it."""
    searches = open_searches(collection, settings)
    if settings.depth > len(collection.passages):
        say(f"  depth {settings.depth} is more than the {len(collection.passages)} passages")
    tallies: dict[str, Tally] = {}
    left_out: dict[str, dict[str, int]] = {}
    seconds = 0.0
    for split in collection.qrels:
        checker = Checker(collection, settings.depth, _name(settings))
        path = folder / f"{split}{suffix}.trec"
        tallies[split], took = _search_split(searches, collection, split, settings, checker, path)
        seconds += took
        left_out[split] = checker.left_out()
        _show(split, tallies[split], left_out[split], settings.depth)
        if split == "train" and _has_positive(collection.qrels[split]):
            _check_recall(tallies[split], settings, key)
    queries = {split: tally.queries for split, tally in tallies.items()}
    return RetrievalSummary(
        settings.kind,
        settings.depth,
        {split: _recalls(tally, settings.depth) for split, tally in tallies.items()},
        queries,
        {split: tally.empty for split, tally in tallies.items()},
        {split: tally.fewer for split, tally in tallies.items()},
        left_out,
        1000 * seconds / sum(queries.values()),
        searches.notes(),
    )


def _search_split(
    searches: Searches,
    collection: Collection,
    split: Split,
    settings: FirstStageSettings,
    checker: Checker,
    path: Path,
) -> tuple[Tally, float]:
    """Writes the run of a split; returns its counts and the seconds of the search alone."""
    qrels, tally, seconds = collection.qrels[split], Tally(), 0.0
    depths = {*RECALL_DEPTHS, settings.depth}
    label = f"{settings.kind}, {split} queries"
    with run_writer(path, settings.kind) as write, progress(label, len(qrels)) as advance:
        parts = ({q: collection.queries[q] for q in part} for part in _parts(list(qrels)))
        for queries, found, took in searches.found(parts, settings.depth):
            seconds += took
            run = checker.check(found, queries)
            tally.add(qrels, run, settings.depth, depths)
            write(run)
            advance(len(queries))
    return tally, seconds


def _parts(query_ids: list[str]) -> Iterator[list[str]]:
    for start in range(0, len(query_ids), QUERIES_AT_ONCE):
        yield query_ids[start : start + QUERIES_AT_ONCE]


def search(collection: Collection, settings: FirstStageSettings, query: str) -> dict[str, float]:
    """The best passages for one query: document id -> score, best first."""
    scores = search_all(collection, settings, {"query": query})["query"]
    return {doc_id: scores[doc_id] for doc_id in ranking(scores)}


def search_all(collection: Collection, settings: FirstStageSettings, queries: Mapping[str, str]) -> Run:
    """The best passages for each of `queries` (id -> text), which need no judgement. Raises `InputError` for
    a first stage that cannot answer new queries."""
    check_searchable(settings)
    found = open_first_stage(collection, settings).search(queries, settings.depth)
    return Checker(collection, settings.depth, _name(settings)).check(found, queries)


def check_searchable(settings: FirstStageSettings) -> None:
    """Raises `InputError` for a first stage that cannot answer a query of the moment."""
    for stage in getattr(settings, "of", [settings]):
        if stage.kind == "trec":
            raise InputError(
                f"{stage.path} is a TREC run: it answers the queries that it lists and no new one. Give a "
                "first stage that searches (bm25, dense, hybrid, postgres, plugin), or leave the query out"
            )


def input_digests(settings: FirstStageSettings) -> list[str]:
    """Of the files outside the recipe that decide what is found: run files and encoders."""
    digests = []
    for stage in getattr(settings, "of", [settings]):
        if stage.kind == "trec":
            names = sorted({stage.path.replace("{split}", split) for split in SPLITS})
            digests += [sha256_file(path) for name in names if (path := Path(name).expanduser()).is_file()]
        elif stage.kind == "dense" or (stage.kind == "postgres" and stage.search == "vector"):
            digests.append(sha256_folder(resolve_model(stage.model)))
        elif stage.kind == "plugin":
            from crosstune.data.first_stages.plugin import version

            digests.append(version(stage.name))
    return digests


def _name(settings: FirstStageSettings) -> str:
    """How an error names the engine."""
    named: str = getattr(settings, "path", None) or getattr(settings, "name", None) or settings.kind
    return f"first stage {named}"


def _recalls(tally: Tally, depth: int) -> dict[str, float]:
    """At the usual depths, and at the one that bounds every reranker."""
    return {f"R@{k}": tally.recall(k) for k in sorted({*RECALL_DEPTHS, depth}) if k <= depth}


def _show(split: str, tally: Tally, left_out: Mapping[str, int], depth: int) -> None:
    shown = ", ".join(f"{name} {value:.3f}" for name, value in _recalls(tally, depth).items())
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items() if count]
    say(
        f"  {split}: {tally.queries} queries, {shown}; {tally.empty} without a result, "
        f"{tally.fewer} with fewer than asked" + (f"; left out: {', '.join(reasons)}" if reasons else "")
    )


def _has_positive(qrels: Qrels) -> bool:
    return any(grade > 0 for judged in qrels.values() for grade in judged.values())


def _check_recall(tally: Tally, settings: FirstStageSettings, key: str) -> None:
    if tally.recall(settings.depth) == 0.0:
        which = "the first stage" if key == "first_stage" else f"the first stage of {key}"
        hint = _HINTS[settings.kind].format(key=key, **settings.model_dump())
        raise InputError(
            f"{which} retrieves no positive of the train split among its best {settings.depth}: nothing "
            f"can be learned from it. {hint}. Check also that queries and passages are not swapped"
        )
