"""Probabilities of the helper: never another order, from 0 to 1, and the threshold of what is ranked by."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from calibrated import calibrated
from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.serve.calibration import Curve, Isotonic, Platt, Temperature, read_scales
from served import tiny_export

QUERY = "open the file"
DOCUMENTS = ["close it", "sort the list", "open a file", "read a value", "write the cache to a path"]
FIRST = [9.0, 7.5, 3.0, 2.0, 1.0]

FINITE = st.floats(allow_nan=False, allow_infinity=False)
ABOVE_0 = st.floats(min_value=0, exclude_min=True, allow_infinity=False)
PROBABILITY = st.floats(0, 1)


@st.composite
def isotonics(draw: st.DrawFn) -> Isotonic:
    values = sorted(draw(st.sets(FINITE.map(lambda value: value + 0.0), min_size=1, max_size=12)))
    heights = sorted(draw(st.lists(PROBABILITY, min_size=len(values), max_size=len(values))))
    return Isotonic(tuple(values), tuple(heights))


CURVES = st.one_of(st.builds(Temperature, ABOVE_0), st.builds(Platt, ABOVE_0, FINITE), isotonics())


@given(CURVES, st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_no_curve_changes_an_order_or_leaves_0_to_1(curve: Curve, logits: list[float]) -> None:
    found = curve.probabilities(sorted(logits))
    assert len(found) == len(logits)
    assert found == sorted(found)
    assert all(0 <= probability <= 1 for probability in found)


@given(isotonics())
def test_an_isotonic_curve_goes_through_its_points(curve: Isotonic) -> None:
    assert curve.probabilities(curve.values) == pytest.approx(list(curve.heights))


def test_curves_by_hand() -> None:
    assert Temperature(2.0).probabilities([2.0]) == pytest.approx([1 / (1 + math.exp(-1))])
    assert Platt(0.5, -1.0).probabilities([4.0]) == pytest.approx([1 / (1 + math.exp(-1))])
    steps = Isotonic((0.0, 2.0), (0.2, 0.6))
    assert steps.probabilities([-5.0, 0.5, 9.0]) == pytest.approx([0.2, 0.3, 0.6])


def test_without_a_calibration_there_is_no_probability() -> None:
    reranker = Reranker(tiny_export())
    assert {score.probability for score in reranker.score([(QUERY, text) for text in DOCUMENTS])} == {None}
    assert {hit.probability for hit in reranker.rank(QUERY, DOCUMENTS)} == {None}
    with pytest.raises(InputError, match=r"no threshold for the logit; set export\.threshold"):
        reranker.rank(QUERY, DOCUMENTS, above_threshold=True)


def test_what_is_ranked_by_is_what_is_calibrated(tmp_path: Path) -> None:
    logits = [score.logit for score in Reranker(tiny_export()).score([(QUERY, text) for text in DOCUMENTS])]
    third = sorted(logits, reverse=True)[2]
    export = calibrated(
        tmp_path / "export",
        fusion={"weight": 10.0},
        calibration={
            "logit": {"method": "platt", "slope": 2.0, "intercept": -1.0, "dev": {"pairs": 9}},
            "fused": {"method": "temperature", "temperature": 4.0},
        },
        threshold={
            "wanted": {"recall": 0.9},
            "logit": {"probability": 1 / (1 + math.exp(1 - 2 * third)) - 1e-4},
            "fused": {"probability": 0.9},
        },
    )
    reranker = Reranker(export)
    scores = reranker.score([(QUERY, text) for text in DOCUMENTS])
    expected = [1 / (1 + math.exp(1 - 2 * score.logit)) for score in scores]
    assert [score.probability for score in scores] == pytest.approx(expected)
    plain = reranker.rank(QUERY, DOCUMENTS)
    assert [hit.probability for hit in plain] == pytest.approx([expected[hit.index] for hit in plain])
    above = reranker.rank(QUERY, DOCUMENTS, above_threshold=True)
    assert [hit.index for hit in above] == [hit.index for hit in plain[:3]]
    assert len(reranker.rank(QUERY, DOCUMENTS, 2, above_threshold=True)) == 2

    fused = reranker.rank(QUERY, DOCUMENTS, first_stage_scores=FIRST)
    for hit in fused:
        assert hit.fused is not None
        assert hit.probability == pytest.approx(1 / (1 + math.exp(-hit.fused / 4)))
    kept = reranker.rank(QUERY, DOCUMENTS, first_stage_scores=FIRST, above_threshold=True)
    assert 0 < len(kept) < len(DOCUMENTS)
    assert kept == [hit for hit in fused if hit.probability is not None and hit.probability >= 0.9]


def test_what_a_budget_does_not_reach_is_not_above_a_threshold(tmp_path: Path) -> None:
    export = calibrated(
        tmp_path / "export",
        calibration={"logit": {"method": "temperature", "temperature": 1.0}, "fused": None},
        threshold={"logit": {"probability": 0.0}, "fused": None},
    )
    reranker = Reranker(export)
    many = DOCUMENTS * 40
    hurried = reranker.rank(QUERY, many, budget_ms=1e-3)
    above = reranker.rank(QUERY, many, budget_ms=1e-3, above_threshold=True)
    assert [hit.probability is None for hit in hurried] == [False] * hurried.scored + [True] * (
        len(many) - hurried.scored
    )
    assert hurried.scored < len(many)
    assert len(above) == above.scored < len(many)
    assert len(reranker.rank(QUERY, DOCUMENTS, budget_ms=1e6, above_threshold=True)) == len(DOCUMENTS)


def test_ties_of_an_isotonic_curve_keep_the_order_of_the_logits(tmp_path: Path) -> None:
    flat = {"method": "isotonic", "values": [-100.0, 100.0], "heights": [0.25, 0.25]}
    reranker = Reranker(calibrated(tmp_path / "export", calibration={"logit": flat, "fused": None}))
    ranked = reranker.rank(QUERY, DOCUMENTS)
    assert {hit.probability for hit in ranked} == {0.25}
    assert [hit.index for hit in ranked] == [h.index for h in Reranker(tiny_export()).rank(QUERY, DOCUMENTS)]


def test_a_fusion_that_is_not_calibrated_has_no_probability(tmp_path: Path) -> None:
    platt = {"method": "platt", "slope": 1.0, "intercept": 0.0}
    export = calibrated(
        tmp_path / "export",
        fusion={"weight": 1.0},
        calibration={"logit": platt, "fused": None},
        threshold={"logit": {"probability": 0.5}, "fused": None},
    )
    reranker = Reranker(export)
    assert {h.probability for h in reranker.rank(QUERY, DOCUMENTS, first_stage_scores=FIRST)} == {None}
    with pytest.raises(InputError, match="no threshold for the fused score"):
        reranker.rank(QUERY, DOCUMENTS, first_stage_scores=FIRST, above_threshold=True)


PLATT = {"method": "platt", "slope": 1.0, "intercept": 0.0}


@pytest.mark.parametrize(
    ("calibration", "threshold", "message"),
    [
        (
            {"logit": {"method": "isotonic", "values": [0.0, 1.0], "heights": [0.5, 0.4]}},
            None,
            "heights[1] falls to 0.4 from 0.5",
        ),
        (
            {"logit": {"method": "isotonic", "values": [1.0, 1.0], "heights": [0.1, 0.5]}},
            None,
            "values[1] is 1.0 after 1.0; rising values were expected",
        ),
        (
            {"logit": {"method": "isotonic", "values": [1.0], "heights": [1.5]}},
            None,
            "heights[0] is 1.5; a number from 0 to 1",
        ),
        (
            {"logit": {"method": "isotonic", "values": [], "heights": []}},
            None,
            "found 0 values and 0 heights",
        ),
        (
            {"logit": {"method": "isotonic", "values": [1.0], "heights": [0, 1]}},
            None,
            "1 values and 2 heights",
        ),
        (
            {"logit": {"method": "isotonic", "values": 3, "heights": [0.1]}},
            None,
            "calibration.logit (isotonic)",
        ),
        ({"logit": PLATT | {"slope": -1.0}}, None, "slope is -1.0; a number above 0"),
        ({"logit": PLATT | {"intercept": math.inf}}, None, "intercept is inf; a finite number"),
        ({"logit": {"method": "temperature"}}, None, "calibration.logit (temperature): "),
        ({"logit": {"method": "beta"}}, None, "method is 'beta'; one of temperature, platt, isotonic"),
        ({"logit": [1.0, 2.0]}, None, "calibration.logit is [1.0, 2.0]; an object was expected"),
        (1.0, None, "calibration is 1.0; an object was expected"),
        ({"logits": PLATT}, None, "calibration.logits is not known"),
        ({"logit": PLATT}, {"logit": {"probability": 1.01}}, "threshold.logit.probability is 1.01"),
        ({"logit": PLATT}, {"logit": {}}, "threshold.logit.probability is None"),
        ({"logit": PLATT}, {"logit": 0.5}, "threshold.logit is 0.5; an object was expected"),
        (
            {"logit": None},
            {"logit": {"probability": 0.5}},
            "threshold.logit stands there without calibration",
        ),
    ],
)
def test_a_damaged_calibration_is_named(calibration: object, threshold: object, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        read_scales(calibration, threshold, fused=False)
