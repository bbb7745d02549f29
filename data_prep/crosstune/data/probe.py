"""Judged queries with BM25's candidates: a collection of another domain, on which forgetting is seen."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydantic import Field, model_validator

from crosstune.data.collection import collection_digest, prepare_collection, read_collection
from crosstune.data.first_stages.checks import Checker
from crosstune.data.first_stages.settings import Bm25Settings
from crosstune.errors import InputError
from crosstune.progress import say
from crosstune.qrels_files import split_file
from crosstune.records import Qrels, Run, Split
from crosstune.settings import Settings


class ProbeSettings(Settings):
    """A collection of another domain that the model is scored on before and after training; a text in place
    of the keys is the `collection`."""

    collection: str | None = Field(
        None, description="stdlib, beir:PATH, or KIND:PATH that crosstune convert reads; no probe when null"
    )
    queries: int = Field(200, ge=2, description="judged queries reranked, drawn by seed")
    first_stage: Bm25Settings = Field(Bm25Settings(depth=50), description="BM25, with its keys")

    @model_validator(mode="before")
    @classmethod
    def _of_a_text(cls, value: Any) -> Any:
        return {"collection": value} if isinstance(value, str) else value


@dataclass(frozen=True)
class Probe:
    """`name`: what the recipe calls the collection; `candidates`: of every query of the qrels, which are
    those of the `split`, or the sample that was asked for."""

    name: str
    split: Split
    qrels: Qrels
    candidates: Run
    queries: dict[str, str]
    passages: dict[str, str]


def probe_digest(settings: ProbeSettings, splits: Sequence[Split], seed: int) -> str:
    """What the probe is made from. Raises `InputError` where a BEIR folder is not there or has none of the
    `splits`, so that it is said before a training and not after it."""
    spec = settings.collection
    if spec is None:
        return ""
    try:
        digest = collection_digest(spec, seed)
    except InputError as error:
        raise InputError(f"probe: {error}") from None
    kind, _, where = spec.partition(":")
    if kind == "beir":
        qrels = Path(where).expanduser() / "qrels"
        if not any(split_file(qrels, split).is_file() for split in splits):
            raise _no_split(spec, splits, str(qrels))
    return digest


def open_probe(settings: ProbeSettings, splits: Sequence[Split], seed: int) -> Probe:
    """Reads the collection and asks BM25 for the candidates of the first of `splits` that it has.

    Raises `InputError` where it has none of them, and for a collection that cannot be read.
    """
    from crosstune.data.first_stages.bm25 import Bm25

    spec = settings.collection
    if spec is None:
        raise ValueError("there is no probe")
    with TemporaryDirectory() as scratch:
        collection = read_collection(prepare_collection(spec, Path(scratch) / "beir", seed, to_train=False))
    split = next((split for split in splits if split in collection.qrels), None)
    if split is None:
        raise _no_split(spec, splits, "its qrels")
    judged = collection.qrels[split]
    chosen = random.Random(seed).sample(sorted(judged), min(settings.queries, len(judged)))
    queries = {query_id: collection.queries[query_id] for query_id in chosen}
    depth = settings.first_stage.depth
    found = Bm25(collection, settings.first_stage).search(queries, depth)
    run = Checker(collection, depth, "BM25").check(found, queries)
    say(f"  {spec}: {len(chosen)} of {len(judged)} queries of {split}, {depth} candidates each by BM25")
    return Probe(
        spec, split, {query_id: judged[query_id] for query_id in chosen}, run, queries, collection.passages
    )


def _no_split(spec: str, splits: Sequence[Split], where: str) -> InputError:
    wanted = " or ".join(splits)
    return InputError(
        f"probe {spec}: {where} has no split {wanted}; give a collection with judged queries in {wanted}"
    )
