"""`crosstune sweep`: trials, the best of them, a kill in the middle, and words that cannot be followed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pytest
from conftest import Crosstune
from optuna.trial import TrialState

from crosstune.commands.sweep import render
from crosstune.errors import InputError
from crosstune.run import RunFolder, Stage, is_done, locked
from crosstune.search_space import Choice, Span, parse_space
from crosstune.stage_copies import take_stages
from crosstune.sweep import SweepResult, _study, _told, report_evaluations, sweep

SPACE = ("train.learning_rate=1e-5..1e-2:log", "train.loss=lce|ranknet", "train.dropout=0")


def _json(path: Path) -> Any:
    return json.loads(path.read_text())


def test_a_search_keeps_the_best_trial_and_goes_on_after_a_kill(
    recipe: Path, tmp_path: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "search"
    words = ["sweep", str(recipe), *SPACE, f"run_dir={root}", "--trials", "3"]
    process = subprocess.Popen(
        [sys.executable, "-m", "crosstune.cli", *words], stderr=subprocess.PIPE, text=True, cwd=tmp_path,
        start_new_session=True,
    )  # fmt: skip
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("trial 2 of 3"):
            break
    time.sleep(2)  # in the middle of the trial
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    first = (root / "trial-000.log").read_text()

    done = crosstune(*words, "--json")
    assert done.code == 0, done.err
    assert "trial 1 of 3" not in done.err and "trial 2 of 3" in done.err
    assert (root / "trial-000.log").read_text() == first, "what was done is not done again"
    found = json.loads(done.out)
    assert found == {"schema": 1, **_json(root / "sweep.json")}
    trials = found["trials"]
    assert [trial["number"] for trial in trials] == [0, 1, 2]
    assert {trial["state"] for trial in trials} == {"complete"}
    dev = {t["number"]: _json(root / f"trial-{t['number']:03d}/train/train.json")["dev"] for t in trials}
    for trial in trials:  # of what would be exported
        of_trial = dev[trial["number"]]
        assert trial["dev"] == (of_trial["tuned"] if of_trial["fused"] is None else of_trial["fused"])
    best = max(trials, key=lambda trial: trial["dev"])
    assert found["best"] == best
    kept = [path.parents[1].name for path in root.glob("trial-*/train/model")]
    assert kept == [f"trial-{best['number']:03d}"], "one model stays"

    plan = crosstune("run", root / "best.yaml", "--dry-run")
    assert plan.code == 0, plan.err
    for key, value in best["params"].items():
        assert f"{key.removeprefix('train.')}: {value}" in plan.out

    other = crosstune("sweep", recipe, "train.loss=lce|bce", f"run_dir={root}")
    assert other.code == 2
    assert "holds a search with another space" in other.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train.loss=lce"], "nothing to search"),
        (["train.epochs=3..1"], "LOW < HIGH was expected"),
        (["train.learning_rate=0..1e-3:log"], "0 < LOW < HIGH was expected"),
        (["train.loss=lce|bce", "train.loss=mse"], "train.loss is given 2 times"),
        (["train.loss=lce|ranknets"], "ranknets"),
        (["train.learning_rat=1e-5..1e-4"], "train.learning_rate"),
        (["train.epochs=1..1e9"], "train.epochs"),
    ],
)
def test_words_that_cannot_be_followed(
    words: list[str], message: str, recipe: Path, tmp_path: Path, crosstune: Crosstune
) -> None:
    done = crosstune("sweep", recipe, *words)
    assert done.code == 2
    assert message in done.err
    assert not (tmp_path / "runs").exists(), "nothing was begun"


def test_a_space_is_read() -> None:
    dimensions, fixed = parse_space(
        ["mine.negatives=3..15", "train.learning_rate=1e-5..1e-4:log", "train.comparison=true|false",
         "collection=beir:../shared/data", "train.weight_decay=0..0.1"]
    )  # fmt: skip
    assert dimensions == [
        Span("mine.negatives", 3, 15, False, True),
        Span("train.learning_rate", 1e-5, 1e-4, True, False),
        Choice("train.comparison", ("true", "false")),
        Span("train.weight_decay", 0, 0.1, False, False),
    ]
    assert fixed == ["collection=beir:../shared/data"]
    with pytest.raises(InputError, match="nothing to search"):
        parse_space(fixed)


def test_a_trial_below_the_median_of_the_others_is_stopped(tmp_path: Path) -> None:
    study = optuna.create_study(pruner=optuna.pruners.MedianPruner(n_startup_trials=2), direction="maximize")
    for value in (0.5, 0.6):
        earlier = study.ask()
        earlier.report(value, 0)
        study.tell(earlier, value)
    folder = RunFolder(tmp_path)
    log = folder.partial("train") / "train_log.jsonl"
    log.parent.mkdir()
    bad, good = study.ask(), study.ask()
    assert not report_evaluations(bad, folder), "nothing was evaluated yet"
    log.write_text('{"step": 1, "loss": 2.0}\n{"step": 2, "eval_nDCG@10": 0.7}\n{"step": 3, "eval_nD')
    assert not report_evaluations(good, folder)
    log.write_text('{"step": 0, "eval_nDCG@10": 0.3}\n')
    assert not report_evaluations(bad, folder), "before the first step it is no match for a trained one"
    log.write_text('{"step": 0, "eval_nDCG@10": 0.9}\n{"step": 2, "eval_nDCG@10": 0.3}\n')
    assert report_evaluations(bad, folder)


def test_a_search_that_goes_on_draws_other_trials(tmp_path: Path) -> None:
    rate = Span("train.learning_rate", 1e-5, 1e-4, True, False)
    drawn = []
    for _ in range(3):
        study = _study(tmp_path, {"recipe": "domain"}, 13)
        for _ in range(2):
            trial = study.ask()
            drawn.append(rate.suggest(trial))
            study.tell(trial, 0.5)
    assert len({*drawn}) == 6


def test_a_search_that_is_at_work_is_left_alone(tmp_path: Path, recipe: Path) -> None:
    root = tmp_path / "search"
    with locked(RunFolder(root)), pytest.raises(InputError, match=f"in use by another .*{os.getpid()}"):
        sweep(str(recipe), ["train.epochs=1|2", f"run_dir={root}"], 2, 13)
    assert not (root / "study.sqlite").exists()


def test_another_recipe_or_other_data_is_another_search(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    """Dev of one and dev of the other are no match; `best.yaml` is written from what the recipe is now."""
    root = tmp_path / "search"
    words = ["sweep", recipe, "train.epochs=1|2", f"run_dir={root}", "--trials", "1"]
    assert crosstune(*words).code == 0
    assert crosstune(*words).code == 0
    text = recipe.read_text()
    qrels = collection / "qrels/dev.tsv"
    for path, changed in (
        (recipe, text.replace("negatives: 3", "negatives: 2")),
        (qrels, qrels.read_text().replace("\td2", "\td3")),
    ):
        before = path.read_text()
        assert changed != before
        path.write_text(changed)
        done = crosstune(*words)
        assert done.code == 2
        assert (
            "search: holds a search with another content of the recipe or the collection; go on" in done.err
        )
        path.write_text(before)
    assert crosstune(*words).code == 0


def test_a_trial_whose_copies_were_cut_off_takes_them_again(tmp_path: Path) -> None:
    shared, trial = RunFolder(tmp_path / "shared"), RunFolder(tmp_path / "trial-000")
    for name in ("a", "b"):
        path = shared.stage("mine") / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    shared.stamp("mine").parent.mkdir()
    shared.stamp("mine").write_text('{"fingerprint": "f", "state": "done", "seconds": 1}')
    trial.partial("mine").mkdir(parents=True)
    (trial.partial("mine") / "a").write_text("a")
    assert not is_done(trial, Stage("mine", "f", lambda _: None))
    take_stages(shared, trial, ["mine"])
    assert is_done(trial, Stage("mine", "f", lambda _: None))
    assert sorted(path.name for path in trial.stage("mine").iterdir()) == ["a", "b"]
    assert not trial.partial("mine").exists()


def test_what_a_pruned_trial_had_is_not_told_as_its_dev() -> None:
    study = optuna.create_study(direction="maximize")
    for value, state in ((0.7, TrialState.PRUNED), (0.6, TrialState.COMPLETE)):
        trial = study.ask()
        trial.report(value, 0)
        study.tell(trial, None if state == TrialState.PRUNED else value, state=state)
    pruned, complete = map(_told, study.trials)
    assert (pruned.state, pruned.dev) == ("pruned", None)
    assert (complete.state, complete.dev) == ("complete", 0.6)
    lines = render(SweepResult("x", complete, [pruned, complete])).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["2", "1"], "best first"
