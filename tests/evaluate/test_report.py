"""The files of an evaluation: schema, escaping, and a page that needs no network."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from crosstune.evaluate import EvaluationSettings, LeakageReport, evaluate, render_table
from crosstune.evaluate.report import page, render_report
from crosstune.evaluate.report.browse import Form, make_browser, unpack
from crosstune.records import Qrels, Run
from report_cases import large

HOSTILE = "<script>alert('x')</script>"

TRAIN = {
    "dev": {"first_stage": 0.41, "base": None, "tuned": 0.62, "fused": None},
    "best_on_dev": "tuned",
}


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.loads: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loads += [v or "" for k, v in attrs if k in ("src", "href") and not (v or "").startswith("#")]


def _evaluate(folder: Path, leaks: LeakageReport, fused: Run | None = None) -> dict[str, object]:
    qrels: Qrels = {f"q{i}": {"a": 1} for i in range(8)} | {HOSTILE: {"b": 1}}
    first: Run = {q: {"b": 3.0, "a": 2.0, "c": 1.0} for q in qrels}
    tuned: Run = {q: {"a": 3.0, "b": 2.0, "c": 1.0} for q in qrels}
    return evaluate(
        qrels,
        {"first_stage": first, "base": first, "tuned": tuned, **({"fused": fused} if fused else {})},
        settings=EvaluationSettings(resamples=200),
        seed=1,
        split="test",
        folder=folder,
        milliseconds={"first_stage": 0.5, "base": 10.0, "tuned": 10.0},
        leaks=leaks,
        context={"recipe": f"name: {HOSTILE}", "train": TRAIN},
        training_log=[{"step": 1, "loss": 1.0}, {"step": 2, "eval_nDCG@10": 0.5}],
        queries={query_id: f"the query {query_id}" for query_id in qrels},
        passages={doc_id: f"the passage {doc_id}" for doc_id in "abc"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _evaluate(tmp_path, LeakageReport({HOSTILE: "t"}, {}, {"q0": "n"}))
    return tmp_path


def test_metrics_hold_the_four_systems_and_the_headline_without_leaks(folder: Path) -> None:
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics["schema"] == 1
    systems = metrics["splits"]["test"]
    assert list(systems) == ["first_stage", "base", "tuned", "ceiling"]
    assert systems["ceiling"]["nDCG@10"] == 1.0
    assert systems["tuned"]["RR@10"] == pytest.approx((8 + 0.5) / 9)
    assert metrics["leakage"]["headline_without_leaks"]["tuned"] == 1.0
    assert metrics["depths"]["first_stage"]["10"] == pytest.approx(systems["first_stage"]["nDCG@10"])


def test_per_query_has_a_row_for_every_query(folder: Path) -> None:
    with (folder / "per_query.csv").open(newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 9
    assert float(rows[0]["tuned RR@10"]) == 1.0
    assert rows[-1]["query_id"] == HOSTILE


def test_the_report_loads_nothing_and_escapes_everything(folder: Path) -> None:
    text = (folder / "report.html").read_text()
    found = Tags()
    found.feed(text)
    assert found.loads == ["data:,"]  # no icon is asked for
    assert found.tags.count("script") == 2  # the data and the page's own
    assert found.tags.count("figure") == 3
    assert found.tags.count("svg") == 3
    assert HOSTILE not in text
    assert "&lt;script&gt;" in text
    assert "url(http" not in text


def test_the_data_of_the_browser(folder: Path) -> None:
    """Worked by hand: `a` goes from rank 2 to 1, `b` from 1 to 2; `c` is in the best ten of both."""
    packed = re.search(r'id="data">([^<]+)', (folder / "report.html").read_text())
    assert packed is not None
    data = unpack(packed[1])
    assert data["ids"] == [*(f"q{i}" for i in range(8)), HOSTILE]
    assert data["texts"][-1] == f"the query {HOSTILE}"
    assert (data["docs"], data["passages"][0]) == (["b", "a", "c"], "the passage b")
    assert data["rows"][0] == [0, 1, 2, None, 1, 2, 1, 1, 2, 3, 3, None]
    assert data["rows"][-1] == [0, 1, 2, 1, 1, 2, 1, None, 2, 3, 3, None]
    assert (data["before"][0], data["after"][0]) == (0.6309, 1.0)
    assert (data["signs"], data["leaked"], data["missed"]) == ("++++++++-", [8], [])


def test_what_does_not_fit_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    evaluation = large(300)
    ample = make_browser(evaluation, 10_000_000)
    assert (ample.form, ample.queries) == (Form(10, 600), 300)
    less = make_browser(evaluation, len(ample.packed) // 2)
    assert less.queries == 300
    assert len(ample.packed) * 0.4 < len(less.packed) <= len(ample.packed) / 2
    data = unpack(less.packed)
    assert max(len(text) for text in data["passages"]) <= less.form.characters
    assert all(text.endswith("…") for text in data["passages"] if len(text) == less.form.characters)

    monkeypatch.setattr(page, "BUDGET", 10_000)
    (packed,) = re.findall(r'id="data">([^<]+)', text := render_report(evaluation))
    assert len(packed) <= 10_000
    kept = unpack(packed)["ids"]
    assert f"The {300 - len(kept)} queries that changed least are left out" in text
    change = {q: abs(evaluation.values["tuned"][q] - evaluation.values["first_stage"][q]) for q in kept}
    others = evaluation.qrels.keys() - set(kept)
    assert others
    assert min(change.values()) >= max(
        abs(evaluation.values["tuned"][q] - evaluation.values["first_stage"][q]) for q in others
    )


def test_the_table_shows_gain_interval_and_leaks(folder: Path) -> None:
    table = render_table(json.loads((folder / "metrics.json").read_text()))
    assert "first stage" in table
    assert "95 % interval" in table
    assert "8 queries better, 0 equal, 1 worse" in table
    assert "1 test queries equal or nearly equal a train query" in table
    assert "dev nDCG@10: first stage 0.410, tuned 0.620; best: tuned" in table


def test_a_kept_fusion_is_the_headline_and_the_tuned_gain_stays_beside_it(tmp_path: Path) -> None:
    perfect: Run = {q: {"a": 3.0, "b": 2.0, "c": 1.0} for q in (f"q{i}" for i in range(8))}
    fused = perfect | {HOSTILE: {"b": 3.0, "a": 2.0, "c": 1.0}}
    _evaluate(tmp_path, LeakageReport({HOSTILE: "t"}, {}, {}), fused)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert metrics["recommended"] == "fused"
    assert list(metrics["splits"]["test"]) == ["first_stage", "base", "tuned", "fused", "ceiling"]
    assert metrics["comparison"]["fused against tuned"]["nDCG@10"]["wins"] == 1
    table = render_table(metrics)
    assert "8 queries better, 1 equal, 0 worse" in table  # of the fusion
    assert "of the tuned model alone: +0.287 nDCG@10" in table  # (8 - 1) * (1 - 1 / log2(3)) / 9
    assert "nDCG@10 is 0.631 -> 1.000" in table  # without the leaked query
    report = (tmp_path / "report.html").read_text()
    assert "Tuned + first stage against the first stage" in report
    assert "+0.287" in report
    assert '<tr class="recommended"><th scope="row">tuned + first stage <span' in report


def _small(folder: Path, measures: list[str]) -> dict[str, Any]:
    """Six of eight queries gain."""
    qrels: Qrels = {f"q{i}": {"a": 1} for i in range(8)}
    first: Run = {q: {"b": 3.0, "a": 2.0, "c": 1.0} for q in qrels}
    best = {"a": 3.0, "b": 2.0, "c": 1.0}
    return evaluate(
        qrels,
        {"first_stage": first, "base": first, "tuned": first | dict.fromkeys([*qrels][:6], best)},
        settings=EvaluationSettings(resamples=200, measures=measures),
        seed=1,
        split="test",
        folder=folder,
        milliseconds={"first_stage": 0.5, "base": 10.0, "tuned": 10.0},
        leaks=LeakageReport({}, {}, {}),
        context={"recipe": "name: x", "train": TRAIN},
        training_log=[],
        queries={query_id: query_id for query_id in qrels},
        passages={doc_id: doc_id for doc_id in "abc"},
    )


@pytest.mark.parametrize("headline", ["R@1", "Judged@10"])
def test_a_headline_of_recall_is_tested_like_any_other(tmp_path: Path, headline: str) -> None:
    metrics = _small(tmp_path, [headline, "nDCG@10", "R@3"])
    assert [*metrics["comparison"]["tuned against first_stage"]] == [headline, "nDCG@10"]
    assert headline in render_table(metrics)
    assert headline in (tmp_path / "report.html").read_text()


def test_the_verdict_counts_the_tests_that_its_p_is_corrected_for(tmp_path: Path) -> None:
    """Six changes of a sign have p = 2 x 2^-6 = .031: enough alone, and not beside two other measures."""
    alone = _small(tmp_path / "one", ["nDCG@10"])["comparison"]["tuned against first_stage"]["nDCG@10"]
    assert alone["p_holm"] == pytest.approx(2 / 64) and alone["verdict"] == "better than chance explains"
    three = _small(tmp_path / "three", ["nDCG@10", "RR@10", "AP@100"])["comparison"]
    found = three["tuned against first_stage"]["nDCG@10"]
    assert found["p_holm"] == pytest.approx(6 / 64)
    assert found["verdict"] == (
        "too few queries changed to tell (6): even all in one direction would have p = 0.094"
    )
    assert found["detectable"] > alone["detectable"]
