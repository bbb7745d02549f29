"""A small MS MARCO: the embedded collection in exactly MS MARCO's file formats, ids and quirks."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from crosstune.data.collection import read_collection
from crosstune.data.first_stages import Bm25Settings, retrieve
from crosstune.data.stdlib import build_stdlib
from crosstune.errors import InputError
from crosstune.files import staged_file
from crosstune.records import Collection, Qrels, Run, ranking
from crosstune.trec import read_run

BM25 = {"k1": 0.82, "b": 0.68, "tokens": "code"}
NEGATIVE_RANKS = 100
LARGEST_QID = 1_200_000


@dataclass(frozen=True)
class _Numbered:
    """A collection whose ids are integers; `splits`: train, dev, eval -> query ids."""

    passages: dict[str, str]
    queries: dict[str, str]
    qrels: Qrels
    splits: dict[str, list[str]]


def build_mini_msmarco(
    folder: Path,
    *,
    seed: int = 13,
    depth: int = 1000,
    dev_queries: int | None = None,
    negatives: int = 4,
    source: Path | None = None,
) -> dict[str, int]:
    """Writes nine files into `folder` and returns their line counts by name; `run.bm25.dev.tsv` is a tenth.

    As in MS MARCO, passage ids count the collection's lines from 0 while query ids have gaps; `top1000.dev`
    is in random order and lacks the positives that BM25 missed; `queries.dev` holds more queries than are
    judged; eval has no judgements; each training query has `negatives` triples, drawn from BM25's best 100.
    `dev_queries` judged ones are drawn by `seed`. `source` is a BEIR folder in place of the standard
    library's functions.
    """
    if not 1 <= depth <= 1000:
        raise InputError(f"depth is {depth}; MS MARCO's top1000 holds 1 to 1000 passages a query")
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch:
        beir = source or Path(scratch) / "beir"
        if source is None:
            build_stdlib(beir)
        numbered = _numbered(read_collection(beir), rng)
        dev = numbered.splits["dev"]
        if dev_queries is not None and dev_queries < len(dev):
            dev = sorted(rng.sample(dev, dev_queries), key=int)
        judged = {"train": numbered.splits["train"], "dev": dev}
        runs = _bm25(numbered, judged, depth, Path(scratch))
    triples = [
        (qid, positive, negative)
        for qid in judged["train"]
        for positive in numbered.qrels[qid]
        for negative in _draw(runs["train"][qid], numbered.qrels[qid], negatives, rng)
    ]
    rng.shuffle(triples)
    candidates = [(qid, pid) for qid in judged["dev"] for pid in runs["dev"][qid]]
    rng.shuffle(candidates)
    passages, queries = numbered.passages, numbered.queries
    bm25 = [(q, p, str(r)) for q in judged["dev"] for r, p in enumerate(ranking(runs["dev"][q]), start=1)]
    rows: dict[str, Iterable[Sequence[str]]] = {
        "collection.tsv": passages.items(),
        **{f"queries.{s}.tsv": [(q, queries[q]) for q in ids] for s, ids in numbered.splits.items()},
        **{
            f"qrels.{s}.tsv": [(q, "0", p, "1") for q in ids for p in numbered.qrels[q]]
            for s, ids in judged.items()
        },
        "triples.train.small.tsv": [(queries[q], passages[p], passages[n]) for q, p, n in triples],
        "qidpidtriples.train.small.tsv": triples,
        "top1000.dev.tsv": [(q, p, queries[q], passages[p]) for q, p in candidates],
        "run.bm25.dev.tsv": bm25,
    }
    return {name: _write(folder / name, lines) for name, lines in rows.items()}


def _numbered(collection: Collection, rng: random.Random) -> _Numbered:
    """New ids, texts on one line. Half of the judged test queries join dev; the others are eval."""
    documents = list(collection.passages)
    rng.shuffle(documents)
    pids = {doc_id: str(number) for number, doc_id in enumerate(documents)}
    qids = dict(
        zip(
            collection.queries, map(str, rng.sample(range(LARGEST_QID), len(collection.queries))), strict=True
        )
    )
    test = sorted(collection.qrels.get("test", {}))
    rng.shuffle(test)
    members = {
        "train": list(collection.qrels.get("train", {})),
        "dev": [*collection.qrels.get("dev", {}), *test[: len(test) // 2]],
        "eval": test[len(test) // 2 :],
    }
    for split, ids in members.items():
        if not ids:
            raise InputError(
                f"{collection.name}: no judged query for {split}; train, dev and test are needed"
            )
    judged = {q: grades for split in collection.qrels.values() for q, grades in split.items()}
    return _Numbered(
        {pids[doc_id]: _line(collection.passages[doc_id]) for doc_id in documents},
        {qids[query_id]: _line(text) for query_id, text in collection.queries.items()},
        {qids[q]: {pids[d]: 1 for d, grade in grades.items() if grade > 0} for q, grades in judged.items()},
        {split: sorted((qids[q] for q in ids), key=int) for split, ids in members.items()},
    )


def _line(text: str) -> str:
    return " ".join(text.split())


def _bm25(numbered: _Numbered, judged: dict[str, list[str]], depth: int, folder: Path) -> dict[str, Run]:
    qrels = {split: {q: numbered.qrels[q] for q in ids} for split, ids in judged.items()}
    collection = Collection("mini MS MARCO", numbered.passages, numbered.queries, qrels)  # type: ignore[arg-type]
    settings = Bm25Settings.model_validate({**BM25, "depth": max(depth, NEGATIVE_RANKS)})
    retrieve(collection, settings, folder)
    found = {split: read_run(folder / f"{split}.trec") for split in judged}
    return {split: {q: _top(found[split].get(q, {}), depth) for q in ids} for split, ids in judged.items()}


def _top(scores: dict[str, float], depth: int) -> dict[str, float]:
    return {pid: scores[pid] for pid in ranking(scores)[:depth]}


def _draw(scores: dict[str, float], positives: dict[str, int], count: int, rng: random.Random) -> list[str]:
    able = [pid for pid in ranking(scores)[:NEGATIVE_RANKS] if pid not in positives]
    return rng.sample(able, min(count, len(able)))


def _write(path: Path, rows: Iterable[Sequence[str]]) -> int:
    lines = ["\t".join(row) + "\n" for row in rows]
    with staged_file(path) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as handle:
        handle.writelines(lines)
    return len(lines)
