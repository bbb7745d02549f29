"""`crosstune report` and the page that the evaluation writes, through the command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

from conftest import Crosstune

from crosstune.data import read_ledger
from crosstune.evaluate.report.browse import unpack
from crosstune.evaluate.report.calibration import NO_EXPORT


def test_the_page_of_a_run_and_the_same_one_again(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    done = crosstune("run", recipe)
    assert done.code == 0, done.err
    root = tmp_path / "runs" / "tiny"
    text = (root / "evaluate" / "report.html").read_text()
    metrics = json.loads((root / "evaluate" / "metrics.json").read_text())
    manifest = json.loads((root / "export" / "manifest.json").read_text())
    assert metrics["context"]["data_fingerprint"] == manifest["data_fingerprint"]
    assert manifest["data_fingerprint"] in text
    assert f"<dd>{version('torch')}</dd>" in text
    assert "at most 48 tokens a pair, on cpu" in text
    assert f"beir:{collection}" in text
    (packed,) = re.findall(r'id="data">([^<]+)', text)
    data = unpack(packed)
    assert data["ids"] == [f"q{number}" for number in range(28, 38)]
    assert data["names"][0] == "first stage"
    (packed,) = re.findall(r'id="mined-data">([^<]+)', text)
    mined = unpack(packed)
    assert sorted(mined["ids"]) == sorted(f"q{number}" for number in range(20))
    place = mined["ids"].index("q3")
    ledger = list(read_ledger(root / "mine" / "ledger.parquet", ["q3"]))
    reasons = {row["doc_id"]: row["reason"] for row in ledger}
    shown = {mined["docs"][row["doc"]]: row["reason"] for row in mined["rows"][place]}
    assert shown.items() <= reasons.items()
    assert {doc for doc, reason in reasons.items() if reason == "taken"} <= shown.keys()
    assert sum(mined["counts"][place].values()) == len(ledger)

    again = crosstune("report", root, "--out", tmp_path / "again.html", "--json")
    assert json.loads(again.out) == {"report": str(tmp_path / "again.html")}
    assert (tmp_path / "again.html").read_text() == text
    (root / "evaluate" / "report.html").unlink()
    assert crosstune("report", root).code == 0
    assert (root / "evaluate" / "report.html").read_text() == text

    # Of another training than the one that was measured there is no page.
    summary = root / "train" / "train.json"
    measured = summary.read_text()
    summary.write_text(json.dumps(json.loads(measured) | {"best_step": -1}))
    refused = crosstune("report", root)
    assert refused.code == 2 and "its training is another than the one that was evaluated" in refused.err
    summary.write_text(measured)

    # The export has written the page once more, which leaves the evaluation up to date.
    assert "dev queries have a relevant and another candidate, and at least 30 are needed" in text
    other = ("run", recipe, "export.calibrate=false")
    done = crosstune(*other)
    assert "evaluate: skipped, up to date" in done.err
    assert "export: skipped" not in done.err
    assert "Not calibrated: no calibration was asked for." in (root / "evaluate" / "report.html").read_text()
    assert "export: skipped, up to date" in crosstune(*other).err
    # What is measured anew has no export, whatever lies there of an older one.
    assert crosstune("evaluate", recipe, "evaluate.measures=[RR@10]").code == 0
    assert NO_EXPORT in (root / "evaluate" / "report.html").read_text()
    assert (root / "export" / "manifest.json").is_file()


def test_a_run_that_was_killed_has_no_report(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    for stage in ("retrieve", "mine"):
        assert crosstune(stage, recipe).code == 0
    root = tmp_path / "runs" / "tiny"
    command = [sys.executable, "-m", "crosstune.cli", "run", str(recipe), "train.epochs=90"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=tmp_path)
    until = time.monotonic() + 120
    while not (root / ".train.partial").exists():
        assert process.poll() is None
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    for words in ((), ("--out", tmp_path / "report.html")):
        refused = crosstune("report", root, *words)
        assert (refused.code, refused.out) == (2, "")
        assert "its evaluation has not ended (the run stopped in the stage train)" in refused.err
    assert not (tmp_path / "report.html").exists()
    assert not (root / "evaluate").exists()


def test_a_folder_that_is_no_run_is_refused(tmp_path: Path, collection: Path, crosstune: Crosstune) -> None:
    for target in (collection, tmp_path / "nowhere"):
        refused = crosstune("report", target)
        assert (refused.code, f"{target}: is no run folder" in refused.err) == (2, True)
