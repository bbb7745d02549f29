"""With the default settings the groups are, value for value, those of the rule as it was first stated."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from datasets import load_from_disk
from rapidfuzz import fuzz

from crosstune.data import MiningSettings, mine
from crosstune.records import Collection, Run
from mining_cases import random_case


def first_rule(
    collection: Collection, run: Run, negatives: int, first: int, last: int, seed: int
) -> list[dict]:
    """The rule in one piece: of the ranks `first` to `last`, what is neither judged relevant nor a copy of
    a positive, drawn by seed and ids."""
    groups = []
    judged = collection.qrels["train"]
    for query_id, positive in sorted((q, d) for q in judged for d in judged[q] if judged[q][d] > 0):
        relevant = [d for d, grade in judged[query_id].items() if grade > 0]
        scores = run.get(query_id, {})
        order = sorted(scores, key=lambda d: (scores[d], d), reverse=True)
        able = [
            d
            for rank, d in enumerate(order, start=1)
            if first <= rank <= last
            and d not in relevant
            and not any(fuzz.ratio(*(_plain(collection.passages[x]) for x in (d, r))) >= 90 for r in relevant)
        ]
        drawn = random.Random(f"{seed}\0{query_id}\0{positive}").sample(able, min(negatives, len(able)))
        if drawn:
            ids = [positive, *drawn]
            groups.append(
                {
                    "query_id": query_id,
                    "query": collection.queries[query_id],
                    "doc_ids": ids,
                    "docs": [collection.passages[d] for d in ids],
                    "labels": [judged[query_id][positive]] + [0] * len(drawn),
                    "first_stage_scores": [scores.get(d) for d in ids],
                    "teacher_scores": [None] * len(ids),
                }
            )
    return groups


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


@pytest.mark.parametrize("seed", range(12))
def test_default_groups_are_those_of_the_first_rule(tmp_path: Path, seed: int) -> None:
    collection, run = random_case(seed, queries=6)
    expected = first_rule(collection, run, 7, 1, 50, seed)
    assert any(len(group["docs"]) == 8 for group in expected)
    _same_groups(tmp_path, collection, run, MiningSettings(), seed, expected)


@pytest.mark.parametrize("seed", range(4))
def test_the_shipped_recipes_settings_too(tmp_path: Path, seed: int) -> None:
    collection, run = random_case(seed, queries=3)
    settings = MiningSettings(negatives=3, first_rank=2, last_rank=20)
    _same_groups(tmp_path, collection, run, settings, seed, first_rule(collection, run, 3, 2, 20, seed))


def _same_groups(
    folder: Path, collection: Collection, run: Run, settings: MiningSettings, seed: int, expected: list[dict]
) -> None:
    mine(collection, run, settings, seed, folder)
    assert load_from_disk(folder / "groups").to_list() == expected
