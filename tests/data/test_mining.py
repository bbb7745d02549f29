"""Mining: what holds for any collection, by hypothesis, and each reason by an example."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crosstune.data import MiningSettings, mine, read_groups
from crosstune.errors import InputError
from crosstune.records import Collection, Run

TEXTS = {f"d{i}": f"passage number {i} " + "abcdefghij"[i % 10] * (i + 3) for i in range(30)}


def _case(seed: int, queries: int, depth: int) -> tuple[Collection, Run]:
    rng = random.Random(seed)
    ids = list(TEXTS)
    qrels = {
        f"q{i}": {d: rng.randint(0, 2) for d in rng.sample(ids, rng.randint(1, 5))} for i in range(queries)
    }
    qrels["q0"]["d0"] = 1
    run = {q: {d: float(-i) for i, d in enumerate(rng.sample(ids, depth))} for q in qrels}
    return Collection("c", TEXTS, {q: f"query {q}" for q in qrels}, {"train": qrels}), run


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    queries=st.integers(1, 5),
    depth=st.integers(8, 30),
    negatives=st.integers(1, 9),
    band=st.tuples(st.integers(1, 5), st.integers(6, 30)),
)
def test_rules_of_mining(seed: int, queries: int, depth: int, negatives: int, band: tuple[int, int]) -> None:
    collection, run = _case(seed, queries, depth)
    options = MiningSettings(negatives=negatives, first_rank=band[0], last_rank=band[1])
    with tempfile.TemporaryDirectory() as name:
        try:
            summary = mine(collection, run, options, 1, Path(name))
        except InputError as error:
            assert "no group could be mined" in str(error)
            return
        groups = read_groups(Path(name))
    counts = dict(summary.candidates)
    assert counts.pop("seen") == sum(counts.values())
    assert summary.candidates["taken"] == sum(len(group.docs) - 1 for group in groups)
    assert summary.positives == len(groups) + sum(summary.left_out.values())
    for group in groups:
        judged = collection.qrels["train"][group.query_id]
        order = sorted(run[group.query_id], key=lambda d: -run[group.query_id][d])
        assert judged[group.doc_ids[0]] == group.labels[0] > 0
        assert len(set(group.doc_ids)) == len(group.doc_ids) <= negatives + 1
        for negative in group.doc_ids[1:]:
            assert judged.get(negative, 0) <= 0
            assert band[0] <= order.index(negative) + 1 <= band[1]


def test_the_draw_depends_on_seed_and_ids_alone(tmp_path: Path) -> None:
    collection, run = _case(3, 5, 30)
    turned = Collection(
        "c",
        dict(reversed(TEXTS.items())),
        collection.queries,
        {"train": dict(reversed(collection.qrels["train"].items()))},
    )
    outcomes = []
    for number, (source, seed) in enumerate([(collection, 1), (turned, 1), (collection, 2)]):
        folder = tmp_path / str(number)
        folder.mkdir()
        mine(source, run, MiningSettings(), seed, folder)
        outcomes.append(read_groups(folder))
    assert outcomes[0] == outcomes[1]
    assert outcomes[0] != outcomes[2]


def _small(tmp_path: Path, run: dict[str, float], **options: object) -> dict[str, object]:
    passages = {
        "pos": "the quick brown fox jumps",
        "copy": "The quick  brown fox jumps!",
        "x": "something else",
    }
    collection = Collection("c", passages, {"q": "fox"}, {"train": {"q": {"pos": 1}}})
    mine(collection, {"q": run}, MiningSettings.model_validate(options), 1, tmp_path)
    summary: dict[str, object] = json.loads((tmp_path / "mining.json").read_text())
    return summary


def test_a_near_copy_of_the_positive_is_left_out_and_counted(tmp_path: Path) -> None:
    summary = _small(tmp_path, {"pos": 3.0, "copy": 2.0, "x": 1.0})
    candidates = summary["candidates"]
    assert isinstance(candidates, dict)
    found = {name: count for name, count in candidates.items() if count}
    assert found == {"seen": 3, "taken": 1, "judged_positive": 1, "near_copy": 1}
    assert summary["groups_with_fewer_negatives"] == 1
    assert read_groups(tmp_path)[0].doc_ids == ["pos", "x"]


def test_a_positive_that_was_not_retrieved_is_used_and_counted(tmp_path: Path) -> None:
    summary = _small(tmp_path, {"x": 1.0})
    assert summary["positives_not_retrieved"] == 1
    assert read_groups(tmp_path)[0].first_stage_scores == [None, 1.0]


def test_train_queries_without_a_positive_are_counted(tmp_path: Path) -> None:
    passages = {"pos": "the quick brown fox jumps", "x": "something else"}
    train = {"q": {"pos": 1}, "q1": {"x": 0}}
    counts = {"train_queries_without_judged_passage": 2}
    collection = Collection("c", passages, {"q": "fox", "q1": "dog"}, {"train": train}, counts)
    found = mine(collection, {"q": {"x": 1.0}, "q1": {"x": 1.0}}, MiningSettings(), 1, tmp_path)
    assert (found.groups, found.queries_without_positive) == (1, 3)


def test_no_group_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no group could be mined.*set mine\.random_negatives"):
        _small(tmp_path, {"pos": 1.0})


def test_max_groups_draws_by_seed(tmp_path: Path) -> None:
    collection, run = _case(3, 5, 30)
    summary = mine(collection, run, MiningSettings(max_groups=2), 1, tmp_path)
    assert summary.groups == 2
    assert summary.left_out["over_max_groups"] == summary.positives - 2


def test_what_another_split_judges_relevant_to_the_query_is_no_negative(tmp_path: Path) -> None:
    qrels = {"train": {"q": {"d0": 1}}, "test": {"q": {"d1": 1}}}
    collection = Collection("c", TEXTS, {"q": "a query"}, qrels)
    run = {"q": {f"d{i}": float(-i) for i in range(9)}}
    summary = mine(collection, run, MiningSettings(negatives=9), 1, tmp_path)
    (group,) = read_groups(tmp_path)
    assert group.doc_ids[0] == "d0"
    assert "d1" not in group.doc_ids
    assert summary.candidates["judged_positive"] == 2
