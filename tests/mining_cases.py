"""Collections for the tests of mining, drawn by a seed."""

from __future__ import annotations

import random

from crosstune.records import Collection, Run

LETTERS = "abcdefghij"


def random_case(seed: int, queries: int = 5, depth: int = 30, passages: int = 60) -> tuple[Collection, Run]:
    """Passages of a few words (some of them copies of others), 1 to 5 judgements of grade 0 to 2 a query, and
    a run of distinct scores around 0. Ids do not come in order."""
    rng = random.Random(seed)
    ids = [f"d{n}" for n in rng.sample(range(1000), passages)]
    texts = {d: f"{d} " + " ".join(rng.choices(LETTERS, k=rng.randint(3, 12))) for d in ids}
    for original in ids[:5]:
        texts[rng.choice(ids[5:])] = texts[original].upper() + "  "
    qrels = {
        f"q{n}": {d: rng.randint(0, 2) for d in rng.sample(ids, rng.randint(1, 5))} for n in range(queries)
    }
    qrels["q0"][ids[0]] = 1
    run = {q: {d: 5 - 0.3 * place for place, d in enumerate(rng.sample(ids, depth))} for q in qrels}
    return Collection("c", texts, {q: f"query {q} a b" for q in qrels}, {"train": qrels}), run


def other_run(run: Run, collection: Collection, seed: int, name: str, depth: int = 20) -> Run:
    """What another first stage finds: some of the same passages and some of others, with scores around 0."""
    rng = random.Random(f"{seed} {name}")
    ids = list(collection.passages)
    return {q: {d: 2 - 0.25 * place for place, d in enumerate(rng.sample(ids, depth))} for q in run}
