"""Two rounds of mining, and mining from several first stages, through the real command line."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.data import read_groups, read_ledger

ROUNDS = ["collection", "retrieve", "mine_1", "train_1", "mine", "train", "evaluate", "export"]
# The random model says .5 of everything: with the usual thresholds nothing would be left.
SECOND = ("mine.round=2", "mine.likely_negative=1", "mine.likely_positive=1")
OTHER = "mine.further=[{first_stage: {kind: trec, path: other.trec, depth: 20}, share: 0.4, name: ours}]"


def _lines(err: str, what: str) -> list[str]:
    return re.findall(rf"^(\w+): {what}", err, flags=re.MULTILINE)


@pytest.fixture
def short(recipe: Path) -> Path:
    """The recipe with a training of a few steps."""
    recipe.write_text(recipe.read_text().replace("epochs: 2, evaluations: 2", "epochs: 1, evaluations: 1"))
    return recipe


def test_a_second_round_goes_on_from_a_first_and_mines_by_its_model(
    tmp_path: Path, short: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "runs" / "tiny"
    for stage in ("retrieve", "mine", "train"):
        assert crosstune(stage, short, *SECOND[1:]).code == 0
    weights = (root / "train" / "model" / "model.safetensors").read_bytes()
    groups = read_groups(root / "mine")

    plan = crosstune("run", short, *SECOND, "--dry-run")
    shown = re.findall(r"^(\w+) +(skip|run)", plan.out, flags=re.MULTILINE)
    assert shown == [(name, "skip" if name in ROUNDS[:4] else "run") for name in ROUNDS]
    assert (root / "train").is_dir()

    mined = crosstune("mine", short, *SECOND)
    assert mined.code == 0, mined.err
    assert _lines(mined.err, "what .* did is taken over") == ["mine_1", "train_1"]
    assert _lines(mined.err, "done") == ["mine"]
    assert (root / "train_1" / "model" / "model.safetensors").read_bytes() == weights
    assert read_groups(root / "mine_1") == groups
    assert json.loads((root / "mine" / "mining.json").read_text())["round"] == 2
    assert {row["model_score"] for row in read_ledger(root / "mine_1" / "ledger.parquet")} == {None}
    rows = list(read_ledger(root / "mine" / "ledger.parquet"))
    for query_id in {row["query_id"] for row in rows}:
        able = [r for r in rows if r["query_id"] == query_id and r["reason"] in ("taken", "not_drawn")]
        taken = [row["model_score"] for row in able if row["taken_for"]]
        assert len(taken) == 3
        assert sorted(taken) == sorted(row["model_score"] for row in able)[-3:]


def test_a_stage_behind_the_first_round_does_not_begin_it(
    tmp_path: Path, short: Path, crosstune: Crosstune
) -> None:
    assert crosstune("retrieve", short).code == 0
    early = crosstune("evaluate", short, *SECOND)
    assert early.code == 2
    assert "the stage mine_1 has not been run with these settings; run crosstune mine first" in early.err
    assert not (tmp_path / "runs" / "tiny" / "mine_1").exists()


@pytest.mark.slow
def test_both_rounds_at_once_and_what_a_change_runs_again(
    tmp_path: Path, short: Path, crosstune: Crosstune
) -> None:
    first = crosstune("run", short, *SECOND)
    assert first.code == 0, first.err
    assert _lines(first.err, "done") == ROUNDS
    assert _lines(crosstune("run", short, *SECOND).err, "skipped") == ROUNDS
    lower = crosstune("run", short, *SECOND, "evaluate.test_queries=5")
    assert _lines(lower.err, "skipped") == ROUNDS[:6]
    one = crosstune("run", short, *SECOND[1:])
    assert _lines(one.err, "done") == ["mine", "train", "evaluate", "export"]
    assert json.loads((tmp_path / "runs/tiny/mine/mining.json").read_text())["round"] == 1
    assert crosstune("run", short, *SECOND[1:], "--force", "mine").code == 0
    forced = crosstune("mine", short, *SECOND)
    assert _lines(forced.err, "what .* did is taken over") == ["mine_1", "train_1"], "not the ones of before"


@pytest.mark.slow
def test_killed_in_the_first_rounds_training_then_the_same_command(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    for root in (whole, killed):
        assert crosstune("retrieve", recipe, *SECOND, f"run_dir={root}").code == 0
    assert crosstune("mine", recipe, *SECOND, f"run_dir={whole}").code == 0
    command = [sys.executable, "-m", "crosstune.cli", "mine", str(recipe), *SECOND, f"run_dir={killed}"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while not list(killed.glob(".train_1.partial/checkpoints/*")) and time.monotonic() < until:
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "train_1").exists()
    done = crosstune("mine", recipe, *SECOND, f"run_dir={killed}")
    assert done.code == 0, done.err
    assert _lines(done.err, "done") == ["train_1", "mine"]
    for name in ("mine/ledger.parquet", "mine/mining.json", "train_1/model/model.safetensors"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes()


def test_candidates_of_two_first_stages_are_mined_together(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "runs" / "tiny"
    lists = {f"q{q}": [f"d{(7 * q + place) % 60}" for place in range(12)] for q in range(20)}
    (tmp_path / "other.trec").write_text(
        "".join(f"{q} Q0 {d} {n} {-n / 4} x\n" for q, ids in lists.items() for n, d in enumerate(ids, 1))
    )
    retrieved = crosstune("retrieve", recipe, OTHER)
    assert retrieved.code == 0, retrieved.err
    facts = json.loads((root / "retrieve" / "retrieve.json").read_text())
    assert (facts["kind"], facts["further"]["ours"]["queries"]) == ("bm25", {"train": 20})
    files = sorted(path.name for path in (root / "retrieve").glob("*.trec"))
    assert files == ["dev.trec", "test.trec", "train.ours.trec", "train.trec"]
    mined = crosstune("mine", recipe, OTHER, "mine.negatives=5")
    assert mined.code == 0, mined.err
    summary = json.loads((root / "mine" / "mining.json").read_text())
    assert summary["taken_from"] == {"first_stage": 60, "ours": 40, "random": 0}
    story = json.loads(crosstune("inspect", root, "q3", "--json").out)["candidates"]
    found = {seen["doc_id"]: seen["further"]["ours"] for seen in story}
    for place, doc_id in enumerate(lists["q3"], start=1):
        assert found[doc_id] == {"rank": place, "score": -place / 4}
    assert sum(place["rank"] is not None for place in found.values()) == 12
    line = next(
        line for line in crosstune("inspect", root, "q3").out.splitlines() if f" {lists['q3'][2]} " in line
    )
    assert re.search(r" 3 +-0\.750 ", line), line


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("[{first_stage: {kind: bm26}, share: 0.5}]", r"mine\.further\.0\.first_stage\.kind: found 'bm26'"),
        ("[{first_stage: {kind: dense}}]", r"mine\.further\.0\.share: missing"),
        ("[{first_stage: {kind: dense}, share: 0.7}, {first_stage: {}, share: 0.7}]", "sum to 1.4"),
        ("[{first_stage: {kind: dense}, share: 0.2, name: random}]", "'random' names more than one source"),
        ("[{first_stage: {}, share: 0.2}, {first_stage: {}, share: 0.2}]", "'bm25' names more than one"),
    ],
)
def test_further_first_stages_that_cannot_be(
    recipe: Path, crosstune: Crosstune, value: str, message: str
) -> None:
    done = crosstune("mine", recipe, f"mine.further={value}")
    assert done.code == 2
    assert re.search(message, done.err), done.err
