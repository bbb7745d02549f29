"""The figures that the doctor reads, against plain loops and scipy."""

from __future__ import annotations

import json
import math
import statistics
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

from crosstune.device import no_room
from crosstune.evaluate import per_query
from crosstune.records import Run
from crosstune.train.doctor.curve import curve
from crosstune.train.doctor.dev_signs import DevSigns
from crosstune.train.doctor.diagnose import diagnose
from crosstune.train.doctor.diagnosis import Diagnosis
from crosstune.train.doctor.facts import DataSigns, Plan
from crosstune.train.doctor.log_checks import check
from crosstune.train.doctor.signs import StepSigns, flattened
from crosstune.train.doctor.thresholds import NO_NUMBER
from crosstune.train.losses import LOSSES, Lists
from doctor_cases import marked_groups, run

Groups = list[list[tuple[float, int, int]]]
"""Groups of documents, each its logit, grade and length."""

GROUPS = st.lists(
    st.lists(
        st.tuples(st.integers(-3, 3).map(float), st.integers(0, 2), st.integers(3, 6)), min_size=1, max_size=5
    ),
    min_size=1,
    max_size=4,
)


def _step(groups: Groups) -> tuple[Lists, torch.Tensor]:
    width = max(map(len, groups))
    table = torch.zeros(3, len(groups), width)
    mask = torch.zeros(len(groups), width, dtype=torch.bool)
    for row, group in enumerate(groups):
        mask[row, : len(group)] = True
        for place, document in enumerate(group):
            table[:, row, place] = torch.tensor(document)
    return Lists(table[0], table[1], torch.full_like(table[0], float("nan")), mask), table[2].long()


def _mean(values: list[float]) -> float | None:
    return statistics.fmean(values) if values else None


def _by_loops(groups: Groups) -> dict[str, float | None]:
    right, top, spread = [], [], []
    for group in groups:
        if len(group) > 1:
            spread.append(statistics.pstdev(z for z, _, _ in group))
        pairs = [(z, w) for z, y, _ in group for w, x, _ in group if y > x]
        right += [(z > w) + 0.5 * (z == w) for z, w in pairs]
        if pairs:
            first = [y for z, y, _ in group if z == max(w for w, _, _ in group)]
            top.append(sum(y == max(x for _, x, _ in group) for y in first) / len(first))
    return {"pairs_right": _mean(right), "top": _mean(top), "spread": _mean(spread)}


@settings(deadline=None)
@given(GROUPS)
def test_signs_are_those_of_plain_loops(groups: Groups) -> None:
    signs = StepSigns()
    lists, lengths = _step(groups)
    signs.step(lists, lengths, torch.tensor(2.0))
    found = signs.take()
    for name, value in _by_loops(groups).items():
        assert found.get(name) == pytest.approx(value, abs=1e-6), name
    assert found["flat_loss"] == 2
    assert signs.take() == {}


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-3, 3).map(float), st.just(0), st.integers(3, 6)), min_size=2, max_size=9)
)
def test_the_order_of_lengths_is_kendalls_tau_b(group: list[tuple[float, int, int]]) -> None:
    signs = StepSigns()
    signs.step(*_step([group]), torch.tensor(0.0))
    expected = kendalltau([z for z, _, _ in group], [length for _, _, length in group]).statistic
    found = signs.take().get("length_order")
    assert (found is None) == math.isnan(expected)
    if found is not None:
        assert found == pytest.approx(expected, abs=1e-6)


def test_the_order_of_lengths_leaves_grades_out() -> None:
    """A positive that is longer than all negatives, which are of one length."""
    signs = StepSigns()
    signs.step(*_step([[(9.0, 1, 9), (1.0, 0, 4), (2.0, 0, 4)]]), torch.tensor(0.0))
    assert "length_order" not in signs.take()


@pytest.mark.parametrize("name", ["lce", "bce", "ranknet"])
def test_a_constant_scorers_loss_worked_by_hand(name: str) -> None:
    """Logits 1 and 3 for a positive and a negative: their mean is 2."""
    lists, _ = _step([[(1.0, 1, 3), (3.0, 0, 3)]])
    by_hand = {"lce": 0.6931472, "ranknet": 0.6931472, "bce": (0.1269280 + 2.1269280) / 2}
    assert LOSSES[name](flattened(lists)).item() == pytest.approx(by_hand[name], rel=1e-4)


@pytest.mark.parametrize("name", ["lambda", "lce", "ranknet", "approx_ndcg"])
def test_a_right_order_gains_over_a_constant_scorer_also_far_down(name: str) -> None:
    """16 documents, the positive second: at equal logits `lambda` counts it as the last, below its depth."""
    lists, _ = _step([[(1.5, 1, 3), (2.0, 0, 3), *[(-1.0, 0, 3)] * 14]])
    assert LOSSES[name](lists) < LOSSES[name](flattened(lists))


def test_an_evaluation_against_the_best_before() -> None:
    qrels = {f"q{n}": {"a": 1} for n in range(12)}
    good: Run = {q: {"a": 2.0, "b": 0.0} for q in qrels}
    bad: Run = {q: {"a": 0.0, "b": 2.0} for q in qrels}
    signs = DevSigns(qrels, lambda run: per_query(qrels, run, ["nDCG@10"])["nDCG@10"], seed=1)
    assert signs.after(good) == {
        "nDCG@10": 1.0,
        "spread": 1.0,
        "pairs_right": 1.0,
        "pairs_queries": 12,
    }
    worse = signs.after(bad)
    assert worse["pairs_right"] == 0
    assert worse["drop"] == pytest.approx(1 - 0.6309298)
    assert worse["drop_p"] < 0.01
    assert signs.after({q: {"a": 1.0, "b": 1.0} for q in qrels})["pairs_right"] == 0.5
    assert signs.after(good)["drop"] == 0


def test_windows_cover_enough_groups() -> None:
    """20 entries of 5 steps of 4 groups: a quarter of them is 5, and a tenth, 2, covers 40 groups."""
    plan = Plan("lce", "none", 1e-4, 1.0, 4, 48, 12, 100, 10)
    rows = [{"step": 5 * n, "loss": float(n), "flat_loss": 2.0 * n} for n in range(1, 21)]
    seen = curve(plan, rows)
    assert [row["step"] for _, row in seen.end.rows] == [80, 85, 90, 95, 100]
    assert [row["step"] for _, row in seen.beginning.rows] == [5, 10]
    assert (seen.end.mean("loss"), seen.end.gain) == (18.0, 0.5)
    for best, earliest, steps in (
        (50, 0, [30, 35, 40, 45, 50]),
        (0, 0, [5, 10, 15, 20, 25]),
        (40, 50, [55, 60, 65, 70, 75]),
        (60, 50, [55, 60, 65, 70, 75]),
        (80, 50, [60, 65, 70, 75, 80]),
    ):
        assert [row["step"] for _, row in seen.around(best, earliest).rows] == steps
    assert len(curve(plan, [{"step": n, "loss": 1.0} for n in range(1, 11)]).end.rows) == 8


def test_the_log_of_a_training_holds_the_signs(tmp_path: Path) -> None:
    log = [
        json.loads(line)
        for line in (run(tmp_path, marked_groups(16), epochs=2) / "train_log.jsonl").read_text().splitlines()
    ]
    steps = [row for row in log if "loss" in row]
    assert all({"flat_loss", "spread", "pairs_right", "top", "head_grad"} <= row.keys() for row in steps)
    assert all(row["head_grad"] <= row["grad_norm"] + 1e-4 for row in steps)
    assert all(row["flat_loss"] == pytest.approx(1.386294, rel=1e-5) for row in steps)  # log of 4 documents
    assert "eval_drop" in [row for row in log if "eval_nDCG@10" in row][-1]


def _of_a_log(
    steps: int, learning_rate: float = 1e-4, groups: int = 100, adapters: float | None = None, **row: float
) -> dict[str, Diagnosis]:
    """What is said of a training whose every step had these figures, with 4 groups a step."""
    plan = Plan("lce", "none", learning_rate, 1.0, 4, 48, 12, steps, 1, adapters)
    rows = [
        {"step": step, "flat_loss": 1.0, "spread": 1.0, "grad_norm": 1.0, **row}
        for step in range(1, steps + 1)
    ]
    data = DataSigns(groups, groups, 4 * groups, 0, 0, 0, 0, 0.5, None)
    return {found.name: found for found in check(plan, data, curve(plan, rows), lost=False, explained=False)}


def test_reversed_labels_are_not_read_from_a_few_groups() -> None:
    assert "labels_reversed" not in _of_a_log(7, loss=0.9, pairs_right=0.2)
    assert "labels_reversed" in _of_a_log(8, loss=0.9, pairs_right=0.2)
    assert "labels_reversed" not in _of_a_log(8, groups=31, loss=0.9, pairs_right=0.2), "met again and again"
    plan = Plan("lce", "none", 1e-4, 1.0, 4, 48, 12, 100, 10)
    for groups, expected in ((31, []), (32, ["labels_reversed"])):
        data = DataSigns(groups, groups, 4 * groups, 0, 0, 0, 0, 0.5, teacher_agrees=0.34)
        assert [found.name for found in diagnose(plan, data, [])] == expected


def test_the_rate_that_is_to_be_changed_is_that_of_the_adapters_where_it_was_set() -> None:
    slow = _of_a_log(20, 1e-4, adapters=1e-6, loss=1.0, pairs_right=0.5)["did_not_learn"]
    assert slow.change == {"train.lora.learning_rate": 1e-4}
    fast = _of_a_log(20, 1e-4, adapters=1e-2, loss=1.06, pairs_right=0.5)["did_not_learn"]
    assert fast.change == {"train.lora.learning_rate": 1e-4}
    assert fast.evidence["learning_rate"] == 1e-2


def test_only_a_loss_that_is_no_number_is_called_so() -> None:
    plan = Plan("lce", "none", 1e-4, 1.0, 4, 48, 12, 100, 10)
    data = DataSigns(99, 99, 400, 0, 0, 0, 0, 0.5, None)
    assert diagnose(plan, data, [], str(no_room(512))) == ()
    (found,) = diagnose(plan, data, [], f"{NO_NUMBER} nan at step 3")
    assert found.name == "loss_is_no_number"


@pytest.mark.parametrize("with_teacher", [True, False])
@pytest.mark.parametrize("best", [0, 50, 80])
@pytest.mark.parametrize("rising", [True, False])
def test_over_fitting_is_seen_from_the_start_on_and_in_one_kind_of_loss(
    best: int, rising: bool, with_teacher: bool
) -> None:
    """Dev falls from its best evaluation on. A teacher's loss alone, in the first half, has another gain."""
    plan = Plan("lce", "adapted", 1e-4, 1.0, 4, 48, 12, 100, 10)
    data = DataSigns(99, 99, 400, 0, 0, 0, 0, 0.5, 0.9 if with_teacher else None)

    def gain(step: int) -> float:
        if with_teacher and step <= 50:
            return 0.9 if rising else 0.1
        return 0.3 + (0.005 if rising else -0.005) * (step - 50)

    rows: list[dict[str, float]] = []
    for step in range(0, 101, 5):
        rows += [{"step": step, "loss": 1 - gain(step), "flat_loss": 1.0, "spread": 1.0}] * (step > 0)
        if step in (0, 50, 80, 100):
            if step > best:
                rows.append({"step": step, "eval_nDCG@10": 0.5, "eval_drop": 0.08, "eval_drop_p": 0.001})
            else:
                rows.append({"step": step, "eval_nDCG@10": 0.58 + step / 1000})
    found = check(plan, data, curve(plan, rows), lost=False, explained=False)
    assert [diagnosis.name for diagnosis in found] == ["over_fitting"] * rising
    for diagnosis in found:
        changed = {"train.epochs": best / 100} if best else {"train.learning_rate": 1e-5}
        assert diagnosis.change == changed | {"train.dropout": 0.1}


def test_a_training_that_ends_while_the_teacher_is_alone_is_read_as_one() -> None:
    plan = Plan("lce", "adapted", 1e-4, 1.0, 4, 48, 12, 201, 10)
    data = DataSigns(99, 99, 400, 0, 0, 0, 0, 0.5, 0.9)
    rows: list[dict[str, float]] = [
        {"step": step, "loss": 1 - step / 200, "flat_loss": 1.0, "spread": 1.0} for step in range(5, 106, 5)
    ]
    fell = {"eval_drop": 0.1, "eval_drop_p": 0.001}
    evaluations = [{"step": 20, "eval_nDCG@10": 0.6}, {"step": 60, "eval_nDCG@10": 0.5, **fell}]
    seen = curve(plan, [*rows[:12], *evaluations])
    (found,) = check(plan, data, seen, lost=False, explained=False)
    assert found.name == "over_fitting"
    # 201 steps: the teacher is alone up to step 101, and the entry of 105 begins before.
    assert curve(plan, rows).around(0, 101).rows == []


def _of_a_training(first: float, last: float) -> dict[str, str]:
    """What is said in which words, where the gain over a constant scorer goes from one value to another."""
    plan = Plan("lce", "none", 1e-1, 1.0, 4, 48, 12, 100, 10)
    data = DataSigns(400, 400, 1600, 0, 0, 0, 0, 0.5, None)
    gains = [first + (last - first) * step / 60 if step < 60 else last for step in range(1, 101)]
    rows = [
        {"step": step, "loss": 1 - gain, "flat_loss": 1.0, "spread": 1.0, "pairs_right": 0.5}
        for step, gain in enumerate(gains, start=1)
    ]
    return {found.name: found.what for found in diagnose(plan, data, rows)}


@pytest.mark.parametrize(
    ("first", "last", "above_its_beginning"),
    [
        (0.2, -0.5, True),
        (0.0, -0.2, True),
        (0.2, -0.05, False),  # about a constant scorer's: it did not learn
        (-0.5, -0.5, False),  # no worse than it began
        (-0.5, -0.2, False),
    ],
)
def test_a_loss_that_ended_above_its_beginning_is_a_rate_too_high(
    first: float, last: float, above_its_beginning: bool
) -> None:
    """The spread stays, so that no collapse is said. The log is written by hand: the rate of a whole training
    falls to 0, and a tiny model then settles at a constant score."""
    found = _of_a_training(first, last)
    assert list(found) == ["learning_rate_too_high" if above_its_beginning else "did_not_learn"]
    if above_its_beginning:
        assert found["learning_rate_too_high"].startswith("the loss ended above its beginning")


def test_a_loss_above_a_constant_scorers_is_not_called_equal_to_it() -> None:
    for rate, change in ((1e-3, "train.learning_rate"), (1e-4, "train.epochs")):
        found = _of_a_log(20, rate, loss=1.06, pairs_right=0.5)["did_not_learn"]
        assert found.what.startswith("the loss is above that of a scorer")
        assert [*found.change] == [change]
    level = _of_a_log(20, 1e-3, loss=1.0, pairs_right=0.5)["did_not_learn"]
    assert level.what.startswith("the loss is that of a scorer")
    assert [*level.change] == ["train.epochs"]
