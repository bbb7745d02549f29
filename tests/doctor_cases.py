"""Trainings of a tiny model that go well, or wrong in one known way: what has MARK is relevant."""

from __future__ import annotations

import dataclasses
import random
from collections.abc import Callable, Sequence
from pathlib import Path

from crosstune.records import Collection, Group, Run
from crosstune.train import TrainSettings, train
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.report import read_report
from models import tiny_cross_encoder

WORDS = "file list open close sort read write path string number error parse value".split()  # noqa: SIM905
MARK = "token"


def words(rng: random.Random, low: int, high: int) -> list[str]:
    return rng.choices(WORDS, k=rng.randint(low, high))


def marked_groups(count: int, seed: int = 0) -> list[Group]:
    """One relevant document of four each, all of 3 to 9 words."""
    rng = random.Random(seed)
    groups = []
    for number in range(count):
        docs = [words(rng, 3, 9) for _ in range(4)]
        docs[0][rng.randrange(len(docs[0]))] = MARK
        groups.append(group(f"{seed}-{number}", " ".join(words(rng, 2, 4)), [" ".join(d) for d in docs]))
    return groups


def group(name: str, query: str, docs: Sequence[str], labels: Sequence[int] | None = None) -> Group:
    size = len(docs)
    ids = [f"{name}-{place}" for place in range(size)]
    labels = list(labels or [1, *[0] * (size - 1)])
    return Group(name, query, ids, list(docs), labels, [None] * size, [None] * size)


def relabelled(groups: Sequence[Group], labels: Callable[[Group], list[int]]) -> list[Group]:
    return [dataclasses.replace(g, labels=labels(g)) for g in groups]


def dev_split(groups: Sequence[Group]) -> tuple[Collection, Run]:
    """The groups as dev queries, each with its documents as candidates."""
    collection = Collection(
        name="marked",
        passages={d: text for g in groups for d, text in zip(g.doc_ids, g.docs, strict=True)},
        queries={g.query_id: g.query for g in groups},
        qrels={"dev": {g.query_id: dict(zip(g.doc_ids, g.labels, strict=True)) for g in groups}},
    )
    return collection, {g.query_id: dict.fromkeys(g.doc_ids, 1.0) for g in groups}


def settings(**changes: object) -> TrainSettings:
    base = {"max_tokens": 48, "max_query_tokens": 12, "epochs": 6, "evaluations": 3, "learning_rate": 1e-3}
    more = {"precision": "fp32", "teacher": "none", "patience": 1000}
    return TrainSettings.model_validate({**base, **more, **changes})


def run(
    folder: Path,
    groups: Sequence[Group],
    base: Path | None = None,
    dev: Sequence[Group] | None = None,
    **changes: object,
) -> Path:
    """A training of `groups` in `folder`; dev are 40 well labelled queries, or those of `dev`."""
    collection, candidates = dev_split(dev or marked_groups(40, seed=99))
    base = base or tiny_cross_encoder(folder / "base")
    out = folder / "train"
    out.mkdir(parents=True)
    train(groups, collection, candidates, str(base), settings(**changes), 5, out)
    return out


def diagnoses(out: Path) -> dict[str, Diagnosis]:
    return {diagnosis.name: diagnosis for diagnosis in read_report(out).diagnoses}
