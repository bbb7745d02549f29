"""Labels that leak: trainings that really have such a leak, and those that look like it and have none."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from crosstune.records import Group
from crosstune.train.doctor.data_checks import check
from crosstune.train.doctor.diagnose import diagnose
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.leaks import Leaks, Word, look_for_leaks
from crosstune.train.doctor.report import read_report
from doctor_cases import MARK, dev_split, diagnoses, marked_groups, run

WRITTEN = "judged"


def _written(groups: Sequence[Group], *places: int) -> list[Group]:
    """With a word before the documents at these places of each group."""
    return [
        dataclasses.replace(
            g, docs=[f"{WRITTEN}: {d}" if place in places else d for place, d in enumerate(g.docs)]
        )
        for g in groups
    ]


def _asked(groups: Sequence[Group], others: Sequence[Group], count: int, more: str = "") -> list[Group]:
    """The groups, of which the first `count` have the queries of others."""
    taken = [other.query + more for other in others[:count]]
    asked = [dataclasses.replace(g, query=query) for g, query in zip(groups, taken, strict=False)]
    return [*asked, *groups[count:]]


def _unmarked(groups: Sequence[Group]) -> list[Group]:
    return [dataclasses.replace(g, docs=[d.replace(MARK, "file") for d in g.docs]) for g in groups]


def _of(leaks: Leaks) -> Diagnosis | None:
    plan = Plan("lce", "none", 1e-4, 1.0, 4, 48, 12, 100, 10)
    found = check(plan, DataSigns(99, 99, 400, 0, 0, 0, 0, 0.5, None, leaks))
    assert len(found) <= 1
    return found[0] if found else None


def test_dev_queries_that_are_trained_on(tmp_path: Path) -> None:
    groups = marked_groups(64)
    out = run(tmp_path, groups, dev=_asked(marked_groups(40, seed=99), groups, 8, " !"), learning_rate=3e-3)
    found = diagnoses(out)
    assert list(found) == ["label_leak"]
    assert found["label_leak"].evidence == {
        "dev_queries": 40,
        "with_the_text_of_a_training_query": 8,
        "with_nearly_its_text": 0,
    }
    assert "crosstune convert" in found["label_leak"].do
    assert json.loads((out / "train.json").read_text())["diagnoses"] == ["label_leak"]


def test_dev_queries_that_are_nearly_those_of_training(tmp_path: Path) -> None:
    groups = [
        dataclasses.replace(g, query=f"{g.query} of the file {n:04}") for n, g in enumerate(marked_groups(64))
    ]
    dev = _asked(marked_groups(40, seed=99), groups, 24, "s")
    found = diagnoses(run(tmp_path, groups, dev=dev, learning_rate=3e-3, max_query_tokens=24))
    assert list(found) == ["label_leak"]
    assert found["label_leak"].evidence["with_nearly_its_text"] >= 24


@pytest.mark.parametrize(
    ("queries", "equal", "near", "leaks"),
    [
        (100, 9, 0, False),
        (100, 10, 0, True),
        (14, 2, 0, False),
        (14, 3, 0, True),
        (121, 0, 35, False),  # SciFact
        (100, 9, 40, False),
        (100, 9, 41, True),
        (4, 0, 2, False),
    ],
)
def test_a_few_equal_queries_are_no_leak(queries: int, equal: int, near: int, leaks: bool) -> None:
    assert (_of(Leaks(queries, equal, near)) is not None) is leaks


def test_a_word_of_the_labelling_in_training_alone(tmp_path: Path) -> None:
    """Dev has another rule, so that nothing of what is learned holds there; no rate is blamed for it."""
    groups = _written(_unmarked(marked_groups(64)), 0)
    out = run(tmp_path, groups, learning_rate=3e-3)
    found = diagnoses(out)
    assert list(found) == ["label_leak"]
    evidence = found["label_leak"].evidence
    assert evidence["word"] in (WRITTEN, ":")
    assert {name: value for name, value in evidence.items() if name.startswith("share")} == {
        "share_of_training_positives": 1.0,
        "share_of_training_negatives": 0.0,
        "share_of_dev_positives": 0.0,
        "share_of_dev_negatives": 0.0,
    }
    assert "tells in training what is relevant" in found["label_leak"].what


def test_a_word_that_devs_negatives_have_as_well(tmp_path: Path) -> None:
    dev = _written(marked_groups(40, seed=99), 0, 1, 2, 3)
    found = diagnoses(run(tmp_path, _written(marked_groups(64), 0), dev=dev, learning_rate=3e-3))
    assert list(found) == ["label_leak"]
    assert found["label_leak"].evidence["word"] == WRITTEN
    assert found["label_leak"].evidence["share_of_dev_negatives"] == 1


@pytest.mark.parametrize("word", [None, Word(WRITTEN, 1.0, 0.0, 0.0, 0.0)])
def test_a_dev_that_falls_by_a_word_of_training_is_not_laid_to_the_epochs(word: Word | None) -> None:
    plan = Plan("lce", "none", 1e-4, 1.0, 4, 48, 12, 100, 10)
    rows: list[dict[str, float]] = []
    for step in range(5, 101, 5):
        rows.append({"step": step, "loss": 1 - step / 200, "flat_loss": 1.0, "spread": 1.0})
        if step in (50, 100):
            rows.append(
                {"step": step, "eval_nDCG@10": 0.6 - step / 1000, "eval_drop": 0.05, "eval_drop_p": 0.001}
            )
    data = DataSigns(99, 99, 400, 0, 0, 0, 0, 0.5, None, Leaks(40, word=word))
    names = [found.name for found in diagnose(plan, data, rows)]
    assert names == (["over_fitting"] if word is None else ["label_leak"])


def test_a_word_of_the_negatives(tmp_path: Path) -> None:
    found = diagnoses(run(tmp_path, _written(marked_groups(64), 1, 2, 3), learning_rate=3e-3))
    assert list(found) == ["label_leak"]
    assert "tells in training what is not relevant" in found["label_leak"].what
    assert found["label_leak"].evidence["share_of_training_negatives"] == 1


@pytest.mark.parametrize("places", [(0,), (0, 1, 2, 3)])
def test_a_word_that_dev_has_as_well_is_no_leak(places: tuple[int, ...]) -> None:
    collection, dev = dev_split(_written(marked_groups(40, seed=99), *places))
    groups = _written(marked_groups(64), *places)
    assert look_for_leaks(groups, groups, collection, dev) == Leaks(40)


def test_a_word_of_reversed_labels_is_no_leak() -> None:
    collection, dev = dev_split(_written(marked_groups(40, seed=99), 1, 2, 3))
    groups = _written(_unmarked(marked_groups(64)), 0)
    assert look_for_leaks(groups, groups, collection, dev).word is None


def test_the_words_of_one_text_are_no_leak() -> None:
    """One passage that answers every query of training: it is one text, and no word of many."""
    groups = [dataclasses.replace(g, docs=["a token of its own", *g.docs[1:]]) for g in marked_groups(64)]
    assert look_for_leaks(groups, groups, *dev_split(marked_groups(40, seed=99))).word is None


def test_what_is_kept_of_a_leak_is_read_again(tmp_path: Path) -> None:
    groups = _written(marked_groups(16), 0)
    out = run(tmp_path, groups, dev=_asked(marked_groups(40, seed=99), groups, 16), epochs=1)
    report = read_report(out)
    kept = json.loads((out / "doctor.json").read_text())
    assert json.loads(json.dumps(dataclasses.asdict(report))) == {
        name: value for name, value in kept.items() if name not in ("schema", "healthy")
    }
    (leak,) = (found for found in report.diagnoses if found.name == "label_leak")
    assert {"word", "dev_queries"} <= leak.evidence.keys()
    del kept["data"]["leaks"]
    (out / "doctor.json").write_text(json.dumps(kept))
    assert read_report(out).data.leaks == Leaks()
