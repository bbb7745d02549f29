"""The retrieve stage: the candidates of every judged query, whichever engine they come from."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.data.first_stages.checks import check_candidates
from crosstune.data.first_stages.kinds import open_first_stage
from crosstune.data.first_stages.summary import RECALL_DEPTHS, RetrievalSummary, recall
from crosstune.errors import InputError
from crosstune.files import sha256_file, sha256_folder, write_json
from crosstune.models import resolve_model
from crosstune.progress import say
from crosstune.records import SPLITS, Collection, Qrels, Run, ranking
from crosstune.trec import write_run

if TYPE_CHECKING:
    from crosstune.data.first_stages.settings import FirstStageSettings

# What to look at when no positive is found, by the kind that found none.
_HINTS = {
    "bm25": "Check first_stage.language ({language}) and first_stage.tokens ({tokens})",
    "dense": "Check that first_stage.model ({model}) is an encoder for texts of this kind and language",
    "hybrid": "Check each of first_stage.of alone",
    "postgres": "Check first_stage.id_column ({id_column}) and first_stage.language ({language})",
    "trec": "Check that {path} is a run over this collection",
    "plugin": "Check what {name} indexes",
}


def retrieve(collection: Collection, settings: FirstStageSettings, folder: Path) -> RetrievalSummary:
    """Writes the best `depth` passages of each judged query as `{split}.trec`, and `retrieve.json`.

    Raises `InputError` when no positive of the train split is found at all.
    """
    stage = open_first_stage(collection, settings)
    if settings.depth > len(collection.passages):
        say(f"  depth {settings.depth} is more than the {len(collection.passages)} passages")
    shares: dict[str, dict[str, float]] = {}
    sizes: dict[str, int] = {}
    empty: dict[str, int] = {}
    fewer: dict[str, int] = {}
    left_out: dict[str, dict[str, int]] = {}
    seconds = 0.0
    for split, qrels in collection.qrels.items():
        queries = {query_id: collection.queries[query_id] for query_id in qrels}
        started = time.perf_counter()
        found = stage.search(queries, settings.depth)
        seconds += time.perf_counter() - started
        checked = check_candidates(found, queries, collection, settings.depth, _name(settings))
        write_run(folder / f"{split}.trec", checked.run, settings.kind)
        sizes[split] = len(qrels)
        empty[split] = sum(not scores for scores in checked.run.values())
        fewer[split] = sum(len(scores) < settings.depth for scores in checked.run.values())
        left_out[split] = {"unknown_document": checked.unknown_documents, "duplicate": checked.duplicates}
        shares[split] = {
            f"R@{k}": recall(qrels, checked.run, k) for k in RECALL_DEPTHS if k <= settings.depth
        }
        _show(split, shares[split], sizes[split], empty[split], fewer[split], left_out[split])
        if split == "train":
            _check_recall(qrels, checked.run, settings)
    summary = RetrievalSummary(
        settings.kind,
        settings.depth,
        shares,
        sizes,
        empty,
        fewer,
        left_out,
        1000 * seconds / sum(sizes.values()),
        stage.notes(),
    )
    write_json(folder / "retrieve.json", asdict(summary))
    return summary


def search(collection: Collection, settings: FirstStageSettings, query: str) -> dict[str, float]:
    """The best passages for one query: document id -> score, best first."""
    scores = search_all(collection, settings, {"query": query})["query"]
    return {doc_id: scores[doc_id] for doc_id in ranking(scores)}


def search_all(collection: Collection, settings: FirstStageSettings, queries: Mapping[str, str]) -> Run:
    """The best passages for each of `queries` (id -> text), which need no judgement. Raises `InputError` for
    a first stage that cannot answer new queries."""
    check_searchable(settings)
    found = open_first_stage(collection, settings).search(queries, settings.depth)
    return check_candidates(found, queries, collection, settings.depth, _name(settings)).run


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


def _show(
    split: str, shares: Mapping[str, float], size: int, empty: int, fewer: int, left_out: Mapping[str, int]
) -> None:
    shown = ", ".join(f"{name} {value:.3f}" for name, value in shares.items())
    reasons = [f"{count} {reason.replace('_', ' ')}" for reason, count in left_out.items() if count]
    say(
        f"  {split}: {size} queries, {shown}; {empty} without a result, {fewer} with fewer than asked"
        + (f"; left out: {', '.join(reasons)}" if reasons else "")
    )


def _check_recall(qrels: Qrels, run: Run, settings: FirstStageSettings) -> None:
    if recall(qrels, run, settings.depth) == 0.0:
        raise InputError(
            f"the first stage retrieves no positive of the train split among its best {settings.depth}: "
            f"nothing can be learned from it. {_HINTS[settings.kind].format(**settings.model_dump())}, "
            "and that queries and passages are not swapped"
        )
