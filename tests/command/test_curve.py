"""`crosstune run RECIPE curve=true`: parts of parts, a kill in the middle, too few labels."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune

from crosstune.data import read_groups
from crosstune.evaluate import per_query
from crosstune.run import RunFolder, locked
from crosstune.stage_copies import drop_weights
from crosstune.trec import read_qrels, read_run


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


@pytest.mark.slow
def test_a_curve_goes_on_after_a_kill_and_never_reads_test(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "runs/tiny"
    assert crosstune("run", recipe).code == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "crosstune.cli", "run", str(recipe), "curve=true"], cwd=tmp_path,
        stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    until = time.monotonic() + 200
    while not (root / "curve/share-025/.train.partial").exists():
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = (root / "curve/share-010/training.json").read_bytes()

    done = crosstune("run", recipe, "curve=true", "--json")
    assert done.code == 0, done.err
    assert "curve, 10% of the labelled queries: skipped, up to date" in done.err
    assert (root / "curve/share-010/training.json").read_bytes() == first
    curve = _json(root / "curve/curve.json")
    assert json.loads(done.out)["curve"] == curve
    assert [point["queries"] for point in curve["points"]] == [2, 5, 10, 20]

    parts = [root / f"curve/share-{part}" for part in ("010", "025", "050")]
    queries = [{g.query_id for g in read_groups(folder / "mine")} for folder in (*parts, root)]
    assert all(smaller < larger for smaller, larger in pairwise(queries))
    qrels = read_qrels(collection / "qrels/dev.tsv")
    for folder, point in zip((*parts, root), curve["points"], strict=True):
        values = per_query(qrels, read_run(folder / "train/dev.tuned.trec"), ["nDCG@10"])["nDCG@10"]
        assert point["ndcg"] == pytest.approx(sum(values.values()) / len(qrels))
        assert not (folder / "evaluate").exists() or folder == root, "only the run itself is measured on test"
    assert not [*root.glob("curve/*/train/model")], "no part's weights stay"
    for shared in ("retrieve/dev.trec", "collection/source.json"):
        assert (parts[0] / shared).read_bytes() == (root / shared).read_bytes()
    assert curve["sentence"] in crosstune("run", recipe, "curve=true").out

    plan = crosstune("run", recipe, "curve=true", "--dry-run")
    assert "curve       mine and train on parts" in plan.out


@pytest.mark.slow
def test_too_few_labels_for_a_curve(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    train = collection / "qrels/train.tsv"
    train.write_text("".join(train.read_text().splitlines(keepends=True)[:11]))
    done = crosstune("run", recipe, "curve=true")
    assert done.code == 2
    assert "the run trains on 10 labelled queries" in done.err
    assert not (tmp_path / "runs/tiny/retrieve").exists(), "said before the first stage, not after the last"
    shutil.rmtree(tmp_path / "runs")
    taken = crosstune("run", recipe, "curve=true", f"tuned={tmp_path / 'model'}")
    assert taken.code == 2 and "curve is about a training" in taken.err


def test_a_share_of_the_queries_too_small_for_a_curve(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    done = crosstune("run", recipe, "curve=true", "mine.query_share=.5")
    assert done.code == 2
    assert "the run trains on 10 labelled queries" in done.err
    assert not (tmp_path / "runs/tiny/retrieve").exists()


@pytest.mark.slow
def test_a_part_that_fails_hides_no_result(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    part = RunFolder(tmp_path / "runs/tiny/curve/share-010")
    with locked(part):
        done = crosstune("run", recipe, "curve=true", "--json")
    assert done.code == 2 and "share-010: in use by another crosstune" in done.err
    assert json.loads(done.out)["splits"]["test"]["tuned"]["nDCG@10"] >= 0


def test_weights_of_both_rounds_are_dropped_and_what_was_measured_stays(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    kept = [folder.train_log, folder.dev_scores, folder.ledger, folder.stamp("mine")]
    dropped = [folder.model / "a", folder.model_1 / "a", folder.start / "a", folder.adapted / "a",
               folder.stage("train_1") / "start" / "a", folder.partial("train") / "checkpoints" / "a",
               folder.stamp("train"), folder.stamp("train_1")]  # fmt: skip
    for path in (*kept, *dropped):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    drop_weights(folder)
    assert [path.exists() for path in kept] == [True] * len(kept)
    assert [path for path in dropped if path.exists()] == []
