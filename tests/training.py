"""A tiny random cross-encoder that really trains, on groups of random words."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformers import AutoModelForSequenceClassification

from crosstune.records import Collection, Group, Run
from crosstune.train import TrainSettings, train
from models import tiny_cross_encoder

WORDS = "file list open close sort read write path string number error parse token cache value".split()  # noqa: SIM905


def random_text(rng: random.Random, length: int) -> str:
    return " ".join(rng.choices(WORDS, k=length))


def random_groups(count: int, seed: int = 0) -> list[Group]:
    """The positive repeats the query."""
    rng = random.Random(seed)
    groups = []
    for number in range(count):
        query = random_text(rng, 3)
        docs = [
            query + " " + random_text(rng, rng.randint(1, 9)),
            *(random_text(rng, rng.randint(1, 14)) for _ in "abc"),
        ]
        ids = [f"{number}-{place}" for place in range(4)]
        groups.append(Group(f"q{number}", query, ids, docs, [1, 0, 0, 0], [None] * 4, [None] * 4))
    return groups


def long_groups(count: int, seed: int = 0) -> list[Group]:
    """As `random_groups`, but the documents are of 1 to some 200 words, with the old text at the end."""
    rng = random.Random(seed)
    return [
        dataclasses.replace(
            group, docs=[f"{random_text(rng, rng.choice([1, 30, 60, 190]))} {doc}" for doc in group.docs]
        )
        for group in random_groups(count, seed)
    ]


def dev_of(groups: list[Group]) -> tuple[Collection, Run]:
    """A dev split over the groups' own queries."""
    collection = Collection(
        name="tiny",
        passages={d: text for group in groups for d, text in zip(group.doc_ids, group.docs, strict=True)},
        queries={group.query_id: group.query for group in groups},
        qrels={"dev": {group.query_id: {group.doc_ids[0]: 1} for group in groups}},
    )
    return collection, {g.query_id: dict.fromkeys(g.doc_ids, 1.0) for g in groups}


def positives_last(groups: list[Group]) -> Run:
    """What a first stage returns that ranks all else higher."""
    return {g.query_id: {doc: float(place) for place, doc in enumerate(g.doc_ids)} for g in groups}


def headless_base(folder: Path) -> Path:
    """A base without a ranking head, whose vectors know the words of a text, wherever they stand."""
    base = tiny_cross_encoder(folder)
    bert = AutoModelForSequenceClassification.from_pretrained(base).bert
    with torch.no_grad():
        bert.embeddings.position_embeddings.weight.mul_(0.01)
    bert.save_pretrained(base)
    return base


def tiny_settings(**changes: object) -> TrainSettings:
    base = {"max_tokens": 32, "max_query_tokens": 12, "groups_per_step": 8, "epochs": 2, "evaluations": 2}
    return TrainSettings.model_validate({**base, "precision": "fp32", "learning_rate": 1e-3, **changes})


def train_tiny(
    tmp_path: Path, name: str, count: int = 24, base: dict[str, int] | None = None, **changes: object
) -> tuple[Path, float]:
    """The folder `name` and the best nDCG@10 on dev; `base`: other sizes of the model."""
    model = tiny_cross_encoder(tmp_path / "base", **(base or {}))
    groups = random_groups(count)
    collection, run = dev_of(groups[:12])
    out = tmp_path / name
    out.mkdir()
    summary = train(groups, collection, run, str(model), tiny_settings(**changes), 5, out)
    return out, summary.best_dev_ndcg


def assert_same_training(out: Path, expected: Path, *, atol: float, rtol: float) -> None:
    """The models of two trainings have the same weights."""
    found, wanted = (load_file(folder / "model" / "model.safetensors") for folder in (out, expected))
    for name, tensor in wanted.items():
        # These biases shift all entries of a softmax alike (attention's, and the loss's): their gradient is
        # rounding noise around 0, which Adam blows up to a step of full size.
        if not name.endswith(("key.bias", "classifier.bias")):
            torch.testing.assert_close(found[name], tensor, atol=atol, rtol=rtol, msg=name)
