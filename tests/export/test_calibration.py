"""Calibration against scikit-learn's own, plain loops, and data whose probabilities are known."""

from __future__ import annotations

import math
import random
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from crosstune.errors import CheckFailed
from crosstune.export import TunedExportSettings, calibrate
from crosstune.export.calibration.fit import METHODS, targets
from crosstune.export.calibration.pairs import pairs_of
from crosstune.export.calibration.quality import calibration_error, quality
from crosstune.records import Qrels, Run
from crosstune.serve.calibration import read_scales


def _dev(queries: int = 80, depth: int = 20, seed: int = 3, sharp: float = 1.0) -> tuple[Run, Qrels]:
    """Candidates that are relevant with the probability `sigmoid(sharp * logit - 2)`, by construction."""
    rng = random.Random(seed)
    run: Run = {}
    qrels: Qrels = {}
    for number in range(queries):
        scores = {f"d{number}_{place}": rng.gauss(0, 2) for place in range(depth)}
        drawn = {doc: rng.random() < 1 / (1 + math.exp(2 - sharp * logit)) for doc, logit in scores.items()}
        run[f"q{number}"] = scores
        # What is not relevant is now and then judged so, and else not at all.
        qrels[f"q{number}"] = {
            doc: int(relevant) for doc, relevant in drawn.items() if relevant or rng.random() < 0.2
        }
    return run, qrels


class _Identity(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A classifier whose decision is its only feature."""

    def fit(self, _x: object, _y: object) -> _Identity:
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, x: np.ndarray) -> np.ndarray:
        return x[:, 0]

    def predict(self, x: np.ndarray) -> np.ndarray:
        return (x[:, 0] > 0).astype(int)


def _of_scikit_learn(method: str, values: np.ndarray, relevant: np.ndarray) -> list[float]:
    features, labels = values[:, None], relevant.astype(int)
    frozen = FrozenEstimator(_Identity().fit(features, labels))
    # Each split fits on everything: scikit-learn has no other way to name data for a frozen estimator.
    fitted = CalibratedClassifierCV(frozen, method=method, cv=2, ensemble=False).fit(features, labels)
    found: list[float] = fitted.predict_proba(features)[:, 1].tolist()
    return found


def test_platt_is_that_of_scikit_learn() -> None:
    pairs = pairs_of(*_dev())
    curve = METHODS["platt"](pairs.values, pairs.relevant)
    assert curve is not None
    assert curve.probabilities(pairs.values.tolist()) == pytest.approx(
        _of_scikit_learn("sigmoid", pairs.values, pairs.relevant), abs=1e-4
    )


def test_isotonic_is_that_of_scikit_learn_between_platts_targets() -> None:
    pairs = pairs_of(*_dev())
    curve = METHODS["isotonic"](pairs.values, pairs.relevant)
    assert curve is not None
    low, high = targets(pairs.relevant)
    expected = [low + (high - low) * p for p in _of_scikit_learn("isotonic", pairs.values, pairs.relevant)]
    assert curve.probabilities(pairs.values.tolist()) == pytest.approx(expected, abs=1e-9)


def test_the_temperature_has_the_least_log_loss() -> None:
    pairs = pairs_of(*_dev())
    low, high = targets(pairs.relevant)
    rows = [
        (value, high if relevant else low)
        for value, relevant in zip(pairs.values.tolist(), pairs.relevant.tolist(), strict=True)
    ]

    def loss(temperature: float) -> float:
        total = 0.0
        for value, goal in rows:
            p = 1 / (1 + math.exp(-value / temperature))
            total -= goal * math.log(p) + (1 - goal) * math.log(1 - p)
        return total

    best = minimize_scalar(loss, bounds=(0.05, 50), method="bounded", options={"xatol": 1e-6}).x
    curve = METHODS["temperature"](pairs.values, pairs.relevant)
    assert curve is not None
    assert curve.temperature == pytest.approx(best, rel=1e-3)  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", METHODS)
def test_scores_that_say_the_contrary_have_no_curve(name: str) -> None:
    pairs = pairs_of(*_dev(sharp=-1.0))
    assert METHODS[name](pairs.values - 10 * pairs.relevant, pairs.relevant) is None


@pytest.mark.parametrize("name", METHODS)
def test_scores_that_separate_everything_have_a_finite_curve(name: str) -> None:
    values, relevant = np.array([-2.0, -1.0, 1.0, 2.0]), np.array([False, False, True, True])
    curve = METHODS[name](values, relevant)
    assert curve is not None
    found = curve.probabilities(values.tolist())
    assert 0 < found[0] < found[-1] < 1


def _plain_error(probabilities: list[float], relevant: list[bool]) -> float:
    """The definition in loops: sorted, cut into ten; equal values go where the first of them stands."""
    rows = sorted(zip(probabilities, relevant, strict=True), key=lambda row: row[0])
    bins: list[list[tuple[float, bool]]] = [[] for _ in range(10)]
    for row in rows:
        first = next(place for place, other in enumerate(rows) if other[0] == row[0])
        bins[first * 10 // len(rows)].append(row)
    total = 0.0
    for found in bins:
        if found:
            mean = sum(p for p, _ in found) / len(found)
            share = sum(r for _, r in found) / len(found)
            total += len(found) / len(rows) * abs(mean - share)
    return total


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 1.0]) | st.floats(0, 1), st.booleans()),
        min_size=1,
    ),
    st.randoms(),
)
def test_ece_is_its_definition_whatever_the_order(rows: list[tuple[float, bool]], rng: random.Random) -> None:
    expected = _plain_error([p for p, _ in rows], [r for _, r in rows])
    rng.shuffle(rows)
    found = calibration_error(np.array([p for p, _ in rows]), np.array([r for _, r in rows]))
    assert found == pytest.approx(expected, abs=1e-9)


def test_figures_by_hand() -> None:
    found = quality(np.array([0.2, 0.9]), np.array([False, True]))
    assert found.brier == pytest.approx((0.04 + 0.01) / 2)
    assert found.log_loss == pytest.approx(-(math.log(0.8) + math.log(0.9)) / 2)
    assert found.ece == pytest.approx((0.2 + 0.1) / 2)


def test_known_probabilities_are_found_again() -> None:
    run, qrels = _dev(queries=400)
    found = calibrate({"logit": run}, qrels, TunedExportSettings(), 1)
    entry = found.manifest["calibration"]["logit"]
    assert entry["method"] == "platt"
    assert entry["slope"] == pytest.approx(1.0, abs=0.1)
    assert entry["intercept"] == pytest.approx(-2.0, abs=0.15)
    dev = entry["dev"]
    assert (dev["queries"], dev["pairs"]) == (400, 8000)
    assert dev["relevant"] == sum(grade for judged in qrels.values() for grade in judged.values())
    for name in ("log_loss", "brier", "ece"):
        assert dev["after"][name] < dev["before"][name]
    assert dev["after"]["ece"] < 0.02
    assert dev["after"]["log_loss"] == min(dev["log_loss_by_method"].values()) < dev["log_loss_of_the_share"]
    assert found.manifest["threshold"] is None


def test_a_curve_that_is_no_sigmoid_is_isotonic() -> None:
    rng = random.Random(5)
    run: Run = {f"q{n}": {f"d{n}_{i}": rng.uniform(-3, 3) for i in range(40)} for n in range(150)}
    qrels: Qrels = {
        q: {d: 1 for d, logit in scores.items() if rng.random() < (0.5 if logit > 0 else 0.02)}
        for q, scores in run.items()
    }
    found = calibrate({"logit": run}, qrels, TunedExportSettings(), 1)
    assert found.manifest["calibration"]["logit"]["method"] == "isotonic"


def _rows(run: Run, qrels: Qrels) -> list[tuple[float, int]]:
    return sorted(
        ((value, qrels[q].get(doc, 0)) for q, scores in run.items() for doc, value in scores.items()),
        reverse=True,
    )


def test_a_threshold_at_a_precision_is_the_lowest_that_has_it() -> None:
    run, qrels = _dev()
    wanted = TunedExportSettings(threshold={"precision": 0.7})  # type: ignore[arg-type]
    found = calibrate({"logit": run}, qrels, wanted, 1)
    threshold, curve = found.manifest["threshold"]["logit"], found.manifest["calibration"]["logit"]
    assert found.manifest["threshold"]["wanted"] == {"precision": 0.7}
    rows = _rows(run, qrels)
    lowest = max(n for n in range(10, len(rows) + 1) if sum(r for _, r in rows[:n]) >= 0.7 * n)
    assert threshold["pairs"] == lowest
    expected = 1 / (1 + math.exp(-curve["slope"] * rows[lowest - 1][0] - curve["intercept"]))
    assert threshold["probability"] == pytest.approx(expected)
    assert threshold["precision"]["value"] == pytest.approx(sum(r for _, r in rows[:lowest]) / lowest)
    total = sum(r for _, r in rows)
    assert threshold["recall"]["value"] == pytest.approx(sum(r for _, r in rows[:lowest]) / total)
    for part in (threshold["precision"], threshold["recall"]):
        assert part["low"] < part["value"] < part["high"]
    assert threshold["low"] < threshold["probability"] < threshold["high"]


def test_a_threshold_at_a_recall_is_the_highest_that_has_it() -> None:
    run, qrels = _dev()
    wanted = TunedExportSettings(threshold={"recall": 0.9})  # type: ignore[arg-type]
    threshold = calibrate({"logit": run}, qrels, wanted, 1).manifest["threshold"]["logit"]
    rows = _rows(run, qrels)
    total = sum(r for _, r in rows)
    highest = min(n for n in range(1, len(rows) + 1) if sum(r for _, r in rows[:n]) >= 0.9 * total)
    assert threshold["pairs"] == highest
    assert threshold["recall"]["held_out"] == pytest.approx(0.9, abs=0.05)


def test_a_precision_on_unseen_queries_is_what_the_whole_population_has() -> None:
    """Of a threshold that one dev split chose, by thousands of other queries."""
    run, qrels = _dev(queries=60, seed=11)
    wanted = TunedExportSettings(threshold={"precision": 0.7})  # type: ignore[arg-type]
    manifest = calibrate({"logit": run}, qrels, wanted, 1).manifest
    threshold = manifest["threshold"]["logit"]
    served = read_scales(manifest["calibration"], manifest["threshold"], fused=False)["logit"]
    assert served.threshold == threshold["probability"]
    rows = _rows(*_dev(queries=4000, seed=12))
    probabilities = served.curve.probabilities([value for value, _ in rows])
    above = [r for (_, r), p in zip(rows, probabilities, strict=True) if p >= served.threshold]
    precision = threshold["precision"]
    assert precision["low"] < sum(above) / len(above) < precision["high"]
    assert precision["held_out"] == pytest.approx(sum(above) / len(above), abs=0.08)


def test_a_small_dev_is_said_and_a_threshold_of_it_refused(capsys: pytest.CaptureFixture[str]) -> None:
    run, qrels = _dev(queries=12)
    found = calibrate({"logit": run}, qrels, TunedExportSettings(), 1)
    assert (found.manifest["calibration"], found.manifest["threshold"]) == (None, None)
    assert found.page is None
    said = capsys.readouterr().err
    assert [f"  not calibrated: {reason}" for reason in found.manifest["uncalibrated"]] == [said.rstrip("\n")]
    assert "not calibrated: " in said
    assert "dev queries have a relevant and another candidate, and at least 30 are needed" in said
    wanted = TunedExportSettings(threshold={"recall": 0.9})  # type: ignore[arg-type]
    with pytest.raises(CheckFailed, match=r"asks for a recall of 0\.9, and there is no calibration: \d+ dev"):
        calibrate({"logit": run}, qrels, wanted, 1)


def test_scores_of_noise_are_not_calibrated(capsys: pytest.CaptureFixture[str]) -> None:
    run, qrels = _dev(sharp=0.0)
    found = calibrate({"logit": run}, qrels, TunedExportSettings(), 1)
    assert found.page is None
    assert f"not calibrated: {found.manifest['uncalibrated'][0]}" in capsys.readouterr().err
    contrary: Run = {
        q: {d: v - 30 * qrels[q].get(d, 0) for d, v in scores.items()} for q, scores in run.items()
    }
    assert calibrate({"logit": contrary}, qrels, TunedExportSettings(), 1).manifest["calibration"] is None
    assert "does not mean that a document is more often relevant" in capsys.readouterr().err


def test_what_is_recommended_must_have_the_threshold_and_the_other_may_lack_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    run, qrels = _dev(sharp=0.4)
    sure: Run = {q: {d: v + 9 * qrels[q].get(d, 0) for d, v in scores.items()} for q, scores in run.items()}
    wanted = TunedExportSettings(threshold={"precision": 0.99})  # type: ignore[arg-type]
    manifest = calibrate({"logit": run, "fused": sure}, qrels, wanted, 1).manifest
    assert manifest["threshold"]["logit"] is None
    assert manifest["threshold"]["fused"]["precision"]["value"] >= 0.99
    assert manifest["calibration"]["logit"] is not None
    assert "no threshold: dev never reaches a precision of 0.99 by the logit" in capsys.readouterr().err
    rows = _rows(run, qrels)
    best = max(sum(r for _, r in rows[:n]) / n for n in range(10, len(rows) + 1))
    with pytest.raises(CheckFailed, match=rf"the best is {best:.3f}\. Ask for less"):
        calibrate({"logit": run}, qrels, wanted, 1)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]


def test_the_bins_are_kept_with_the_curve() -> None:
    run, qrels = _dev()
    found = calibrate({"logit": run}, qrels, TunedExportSettings(), 1).manifest
    dev = found["calibration"]["logit"]["dev"]
    rows = _rows(run, qrels)
    for name in ("before", "after"):
        bins = dev["reliability"][name]
        assert sum(one["pairs"] for one in bins) == len(rows)
        assert sum(one["relevant"] for one in bins) == sum(relevant for _, relevant in rows)
        assert [one["mean"] for one in bins] == sorted(one["mean"] for one in bins)
        for one in bins:
            assert one["low"] <= one["relevant"] / one["pairs"] <= one["high"]
    tenths = [min(9, int(10 / (1 + math.exp(-value)))) for value, _ in rows]
    counts = [tenths.count(tenth) for tenth in range(10) if tenth in tenths]
    assert [one["pairs"] for one in dev["reliability"]["before"]] == counts
    assert found["uncalibrated"] == []


def test_the_page_shows_every_calibration_and_loads_nothing() -> None:
    run, qrels = _dev()
    wanted = TunedExportSettings(threshold={"recall": 0.9})  # type: ignore[arg-type]
    found = calibrate({"logit": run, "fused": run}, qrels, wanted, 1)
    assert found.page is not None
    page = _Page()
    page.feed(found.page)
    assert page.loads == ["data:,"]  # no icon is asked for
    assert "script" not in page.tags
    assert (page.tags.count("figure"), page.tags.count("h2")) == (2, 2)
    assert "url(http" not in found.page
    dev = found.manifest["calibration"]["logit"]["dev"]
    assert f"{dev['after']['ece']:.4f}" in found.page
    assert f"{found.manifest['threshold']['logit']['probability']:.3f}" in found.page
