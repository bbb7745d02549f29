"""A probe in the metrics and the table: what training did to another domain, with a test."""

from __future__ import annotations

from pathlib import Path

import pytest

from collections_of_words import write_collection
from crosstune.data import ProbeSettings, open_probe, probe_digest
from crosstune.errors import InputError
from crosstune.evaluate import EvaluationSettings, ProbeRuns, compare
from crosstune.evaluate.probe import probe_metrics
from crosstune.evaluate.table import render_table
from crosstune.records import Qrels, Run
from report_cases import small

SETTINGS = EvaluationSettings(measures=["nDCG@10", "RR@10"], resamples=1000)
QRELS: Qrels = {f"q{n}": {"a": 1} for n in range(12)}
FIRST: Run = {q: {"b": 3.0, "a": 2.0, "c": 1.0} for q in QRELS}
BASE: Run = {q: {"a": 3.0, "b": 2.0, "c": 1.0} for q in QRELS}
WORSE: Run = {q: {"c": 3.0, "b": 2.0, "a": 1.0} for q in QRELS}


def test_what_training_spoiled_is_told_with_a_test() -> None:
    runs = {"first_stage": FIRST, "base": BASE, "tuned": WORSE}
    found = probe_metrics(ProbeRuns("beir:other", "dev", QRELS, runs), SETTINGS, 7)
    means = {name: values["RR@10"] for name, values in found["systems"].items()}
    assert means == pytest.approx({"first_stage": 1 / 2, "base": 1.0, "tuned": 1 / 3, "ceiling": 1.0})
    test = found["comparison"]["tuned against base"]["RR@10"]
    wanted = compare(dict.fromkeys(QRELS, 1.0), dict.fromkeys(QRELS, 1 / 3), 7, 1000)
    assert (test["difference"], test["p"], test["losses"]) == (wanted.difference, wanted.p, 12)
    assert test["p_holm"] >= test["p"]
    assert test["verdict"] == "worse than chance explains"
    assert "fused against base" not in found["comparison"]

    metrics = {**small().metrics, "probe": found}
    lines = render_table(metrics).splitlines()
    place = lines.index("probe beir:other (dev, 12 queries): nDCG@10 1.000 by the untrained base model")
    assert lines[place + 1].startswith("  0.500 tuned: -0.500 nDCG@10")
    assert "worse than chance explains" in lines[place + 1]
    assert "probe" not in render_table({**metrics, "probe": None})


def test_runs_that_do_not_rerank_the_candidates_are_refused() -> None:
    runs = {"first_stage": FIRST, "base": BASE, "tuned": {q: {"a": 1.0} for q in QRELS}}
    with pytest.raises(InputError, match=r"run \(tuned\) must score exactly"):
        probe_metrics(ProbeRuns("beir:other", "dev", QRELS, runs), SETTINGS, 7)


def test_the_first_split_that_is_there_is_measured(tmp_path: Path) -> None:
    write_collection(tmp_path / "both", {"dev": 5, "test": 6}, 20)
    write_collection(tmp_path / "one", {"dev": 5}, 20)
    for name, split, queries in (("both", "test", 6), ("one", "dev", 5)):
        settings = ProbeSettings(collection=f"beir:{tmp_path / name}")
        probe = open_probe(settings, ("test", "dev"), 3)
        assert (probe.split, len(probe.qrels), probe.qrels.keys()) == (
            split,
            queries,
            probe.candidates.keys(),
        )
        assert probe_digest(settings, ("test", "dev"), 3)
    few = open_probe(ProbeSettings(collection=f"beir:{tmp_path / 'both'}", queries=3), ("test",), 3)
    assert len(few.qrels) == 3
    with pytest.raises(InputError, match="has no split test"):
        open_probe(ProbeSettings(collection=f"beir:{tmp_path / 'one'}"), ("test",), 3)
    with pytest.raises(InputError, match="probe: collection 'thing' is not known"):
        probe_digest(ProbeSettings(collection="thing"), ("test",), 3)
    assert ProbeSettings.model_validate("beir:x") == ProbeSettings(collection="beir:x")
