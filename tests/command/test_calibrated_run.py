"""Calibration and thresholds through the real command line."""

from __future__ import annotations

import json
import math
import random
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune, write_collection

from calibrated import calibrated
from crosstune.trec import read_qrels, read_run, write_run
from served import serving

WITHOUT = "export.calibrate=false"


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def _knowing_logits(root: Path, qrels: dict[str, dict[str, int]]) -> list[tuple[float, int]]:
    """Puts logits in place of the random model's that know a good deal; returns them with the grades, best
    first. No fusion is kept."""
    rng = random.Random(5)
    candidates = read_run(root / "retrieve" / "dev.trec")
    run = {q: {d: rng.gauss(4.0 * qrels[q].get(d, 0) - 1, 1.5) for d in candidates[q]} for q in candidates}
    for query_id in sorted(run)[:3]:  # so that no threshold has a precision of 1
        run[query_id][next(d for d in run[query_id] if not qrels[query_id].get(d))] = 9.0
    write_run(root / "train" / "dev.tuned.trec", run, "test")
    trial = _json(root / "train" / "fusion.json")
    (root / "train" / "fusion.json").write_text(json.dumps(trial | {"kept": False}))
    run = read_run(root / "train" / "dev.tuned.trec")
    rows = ((logit, qrels[q].get(doc, 0)) for q, scores in run.items() for doc, logit in scores.items())
    return sorted(rows, reverse=True)


def _live_scale(export: Path, crosstune: Crosstune) -> str:
    """What a server's numbers are; equal probabilities are ties on both sides."""
    with serving(export) as served:
        asked = ("--url", f"{served.url}/cohere", "--style", "cohere", "--model", "tiny")
        live = crosstune("parity", export, *asked, "--json")
    assert live.code == 0, live.err
    found = json.loads(live.out)
    assert found["kendall_tau"] == 1.0
    return str(found["scale"])


@pytest.mark.slow
def test_a_calibrated_export(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    collection = write_collection(tmp_path / "larger", {"train": 20, "dev": 60, "test": 10}, 120)
    words = (recipe, f"collection=beir:{collection}")
    done = crosstune("run", *words, WITHOUT)
    assert done.code == 0, done.err
    root = tmp_path / "runs" / "tiny"
    export = root / "export"
    assert _json(export / "manifest.json")["calibration"] is None
    assert not (export / "calibration.html").exists()

    rows = _knowing_logits(root, read_qrels(collection / "qrels" / "dev.tsv"))
    best = max(sum(r for _, r in rows[:n]) / n for n in range(10, len(rows) + 1))
    assert 0.6 < best < 1
    refused = crosstune("export", *words, "export.threshold.precision=1")
    assert refused.code == 1
    assert "dev never reaches a precision of 1 by the logit with at least 10 candidates" in refused.err
    assert f"the best is {best:.3f}. Ask for less" in refused.err

    done = crosstune("export", *words, "export.threshold.precision=0.6")
    assert done.code == 0, done.err
    assert "calibrated by platt on " in done.err or "calibrated by isotonic on " in done.err
    assert "for a precision of 0.6: " in done.err
    manifest = _json(export / "manifest.json")
    assert "calibration.html" in manifest["files"]
    assert "Calibration on dev" in (export / "calibration.html").read_text()
    curve, threshold = manifest["calibration"]["logit"], manifest["threshold"]["logit"]
    assert manifest["calibration"]["fused"] is None
    assert manifest["threshold"]["wanted"] == {"precision": 0.6}
    assert manifest["recipe"]["export"]["threshold"] == {"precision": 0.6, "recall": None}
    above = [relevant for _, relevant in rows[: threshold["pairs"]]]
    assert sum(above) / len(above) == pytest.approx(threshold["precision"]["value"])
    assert threshold["precision"]["value"] >= 0.6

    file = tmp_path / "documents.jsonl"
    file.write_text(
        "".join(json.dumps(f"open the {word}") + "\n" for word in ["file", "list", "cache", "value"])
    )
    ranked = json.loads(crosstune("rank", export, "open", "--documents", file, "--json").out)
    for row in ranked:
        if curve["method"] == "platt":
            expected = 1 / (1 + math.exp(-curve["slope"] * row["logit"] - curve["intercept"]))
            assert row["probability"] == pytest.approx(expected)
        assert 0 < row["probability"] < 1
    kept = crosstune("rank", export, "open", "--documents", file, "--json", "--above-threshold")
    assert json.loads(kept.out) == [r for r in ranked if r["probability"] >= threshold["probability"]]

    assert _live_scale(export, crosstune) == "probability"

    lines = (root / "train" / "dev.tuned.trec").read_text().splitlines(keepends=True)
    few = {line.split()[0] for line in lines[:150]}
    (root / "train" / "dev.tuned.trec").write_text("".join(x for x in lines if x.split()[0] in few))
    small = crosstune("export", *words, "export.threshold.precision=0.5")
    assert small.code == 1
    assert "and at least 30 are needed" in small.err
    done = crosstune("export", *words)
    assert done.code == 0, done.err
    assert "  not calibrated: " in done.err
    assert _json(export / "manifest.json")["calibration"] is None


def test_a_kept_fusion_is_calibrated_too(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    collection = write_collection(tmp_path / "larger", {"train": 20, "dev": 60, "test": 10}, 120)
    done = crosstune("run", recipe, f"collection=beir:{collection}", "export.threshold.recall=0.8")
    assert done.code == 0, done.err
    root = tmp_path / "runs" / "tiny"
    assert _json(root / "train" / "fusion.json")["kept"]
    manifest = _json(root / "export" / "manifest.json")
    assert manifest["calibration"]["fused"]["dev"]["pairs"] == sum(
        map(len, read_run(root / "train" / "dev.tuned.trec").values())
    )
    limit = manifest["threshold"]["fused"]["probability"]
    report = (root / "evaluate" / "report.html").read_text()
    for quality in ("before", "after"):
        assert f"{manifest['calibration']['fused']['dev'][quality]['ece']:.4f}" in report
    assert f"Threshold for a recall of 0.8: <strong>{limit:.3f}</strong>" in report
    file = tmp_path / "documents.jsonl"
    file.write_text("".join(json.dumps({"text": f"open {n}", "s": float(n * n)}) + "\n" for n in range(1, 9)))
    asked = ("rank", root / "export", "open", "--documents", file, "--first-stage-field", "s", "--json")
    rows = json.loads(crosstune(*asked).out)
    probabilities = [row["probability"] for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    kept = json.loads(crosstune(*asked, "--above-threshold").out)
    assert kept == [row for row in rows if row["probability"] >= limit]


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            ("export.threshold.precision=1.5", "export.threshold.recall=0", "export.calibrate=perhaps"),
            (
                "export.threshold.precision: found 1.5 (float)",
                "export.threshold.recall: found 0 (int)",
                "export.calibrate: found 'perhaps' (str)",
            ),
        ),
        (
            ("export.threshold={precision: 0.9, recall: 0.9}",),
            ("export.threshold: precision and recall are both given", "leave one out"),
        ),
        (
            ("export.threshold.precison=0.9",),
            ("export.threshold.precison: unknown key; did you mean export.threshold.precision?",),
        ),
        (
            ("export.threshold.recall=0.9", WITHOUT),
            ("threshold asks for a recall of 0.9, and calibrate is false",),
        ),
    ],
)
def test_settings_that_cannot_be(
    recipe: Path, crosstune: Crosstune, words: tuple[str, ...], messages: tuple[str, ...]
) -> None:
    done = crosstune("run", recipe, *words, "--dry-run")
    assert done.code == 2
    for message in messages:
        assert message in done.err


PLATT = {"method": "platt", "slope": 1.0, "intercept": 0.0}


@pytest.mark.parametrize(
    ("calibration", "message"),
    [
        (
            {"logit": {"method": "isotonic", "values": [0.0, 1.0, 2.0], "heights": [0.1, 0.5, 0.4]}},
            "calibration.logit (isotonic): heights[2] falls to 0.4 from 0.5",
        ),
        ({"logit": PLATT | {"slope": math.nan}}, "calibration.logit (platt): slope is nan; a finite number"),
        ({"logit": PLATT | {"intercept": "0"}}, "calibration.logit (platt): intercept is '0'"),
        ({"fused": PLATT}, "calibration.fused stands there without a fusion"),
    ],
)
def test_a_damaged_calibration_is_refused(
    tmp_path: Path, crosstune: Crosstune, calibration: dict[str, object], message: str
) -> None:
    export = calibrated(tmp_path / "export", calibration=calibration)
    done = crosstune("rank", export, "open", "--documents", "-", stdin='"a file"\n')
    assert done.code == 2
    assert f"{export / 'manifest.json'}: damaged (ValueError: " in done.err
    assert message in done.err
    assert "export the model again" in done.err


def test_rank_without_a_threshold_and_score_with_a_calibration(tmp_path: Path, crosstune: Crosstune) -> None:
    export = calibrated(tmp_path / "export", calibration={"logit": PLATT, "fused": None})
    done = crosstune("rank", export, "open", "--documents", "-", "--above-threshold", stdin='"a file"\n')
    assert done.code == 2
    assert "this export has no threshold for the logit; set export.threshold in the recipe" in done.err
    shown = crosstune("rank", export, "open", "--documents", "-", stdin='"a file"\n').out
    pairs = tmp_path / "pairs.jsonl"
    pairs.write_text('{"query": "open", "document": "a file"}\n')
    assert crosstune("score", export, "--pairs", pairs, "--out", tmp_path / "out.jsonl").code == 0
    row = json.loads((tmp_path / "out.jsonl").read_text())
    assert row["probability"] == pytest.approx(1 / (1 + math.exp(-row["logit"])))
    assert f"{row['probability']:.4f}" in shown
