"""What `crosstune sweep` does: a search over keys of a recipe that dev alone decides, a run folder a trial.

The search is Optuna's (tree-structured Parzen estimator, median pruning); a trial is `crosstune train` in a
process of its own, so that a killed search goes on where its trial was.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.data import collection_digest
from crosstune.errors import CheckFailed, InputError, MissingExtra
from crosstune.files import read_json, write_json, write_text
from crosstune.fingerprints import fingerprint
from crosstune.progress import say
from crosstune.recipe import Recipe, dump_recipe, load_collection_recipe
from crosstune.run import RUN_DIR, RunFolder, locked, split_run_dir
from crosstune.search_space import Dimension, parse_space
from crosstune.stage_copies import drop_weights, take_stages
from crosstune.stage_inputs import stage_names

if TYPE_CHECKING:
    from optuna import Study, Trial
    from optuna.trial import FrozenTrial

MEASURE = "eval_nDCG@10"
STARTUP_TRIALS = 4
"""Trials that are never stopped early, with whose median later ones are compared."""
POLL_SECONDS = 0.5
SHARED = ("retrieve", "mine")
CONTENT = "content of the recipe or the collection"


@dataclass(frozen=True)
class TrialResult:
    """`state`: `complete`, `pruned` (stopped early, dev was worse than the median of the others) or `fail`;
    `dev`: nDCG@10 on the verdict's dev queries, of what would be exported, where it is complete; `seconds`:
    from its first start to its end, also where the search stood still in between."""

    number: int
    params: dict[str, Any]
    state: str
    dev: float | None
    seconds: float


@dataclass(frozen=True)
class SweepResult:
    folder: str
    best: TrialResult
    trials: list[TrialResult]


def sweep(path: str, words: Sequence[str], trials: int, seed: int) -> SweepResult:
    """Searches until `trials` trials have ended, those of earlier calls among them; writes `best.yaml` and
    `sweep.json` into the folder.

    Raises `InputError` for words, a recipe or a folder that cannot be used, for another recipe, other data or
    another space than the folder's earlier trials had, while another search has the folder, and `CheckFailed`
    where every trial failed.
    """
    run_dir, others = split_run_dir(words)
    dimensions, fixed = parse_space(others)
    recipe = _check(path, dimensions, fixed)
    root = run_dir or Path("runs") / f"{recipe.name}-sweep"
    about = {
        "recipe": path,
        "space": [*map(repr, dimensions)],
        "fixed": fixed,
        CONTENT: fingerprint(recipe.model_dump(), collection_digest(recipe.collection, recipe.seed)),
    }
    with locked(RunFolder(root)):
        study = _study(root, about, seed)
        _prepare(path, fixed, root / "shared")
        while (trial := _next(study, trials)) is not None:
            params = [f"{dimension.key}={dimension.suggest(trial)}" for dimension in dimensions]
            say(f"trial {trial.number + 1} of {trials}: {' '.join(params)}")
            _run(study, trial, [path, *fixed, *params], root)
            _keep_the_best(study, root)
        return _result(study, root, path, fixed)


def _check(path: str, dimensions: Sequence[Dimension], fixed: Sequence[str]) -> Recipe:
    """Loads the recipe with each end and choice once; returns it without any."""
    for dimension in dimensions:
        for value in dimension.samples():
            others = [f"{other.key}={other.samples()[0]}" for other in dimensions if other is not dimension]
            load_collection_recipe(path, [*fixed, *others, f"{dimension.key}={value}"])
    return load_collection_recipe(path, fixed)


def _study(root: Path, about: dict[str, Any], seed: int) -> Study:
    try:
        import optuna
    except ModuleNotFoundError:
        raise MissingExtra("crosstune sweep", "sweep") from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    root.mkdir(parents=True, exist_ok=True)
    study = optuna.create_study(
        study_name="sweep",
        storage=f"sqlite:///{root / 'study.sqlite'}",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=STARTUP_TRIALS),
        direction="maximize",
        load_if_exists=True,
    )
    earlier = study.user_attrs.get("about")
    if earlier is not None and earlier != about:
        changed = [name for name in about if about[name] != earlier.get(name)]
        was = "" if changed[0] == CONTENT else f" ({earlier[changed[0]]})"
        raise InputError(
            f"{root}: holds a search with another {' and '.join(changed)}{was}; go on with the same words, "
            "recipe and data, or give another folder with run_dir=PATH"
        )
    study.set_user_attr("about", about)
    # A search that goes on draws on, where the same seed would draw its first trials again.
    study.sampler = optuna.samplers.TPESampler(seed=seed + len(study.get_trials(deepcopy=False)))
    return study


def _prepare(path: str, fixed: Sequence[str], shared: Path) -> None:
    """The stages before training with the recipe's own values, which trials that keep them start from."""
    for stage in _before_training([path, *fixed]):
        done = subprocess.run([*_command(stage, path, *fixed), f"{RUN_DIR}{shared}"], check=False)
        if done.returncode:
            raise InputError(f"the stage {stage} of {path} cannot be done; its message is above")


def _before_training(words: Sequence[str]) -> list[str]:
    """The stages that the recipe of these words does before it trains."""
    return [*SHARED, *(["adapt"] if load_collection_recipe(words[0], words[1:]).adapt.steps else [])]


def _command(stage: str, *words: str) -> list[str]:
    return [sys.executable, "-m", "crosstune.cli", stage, *words]


def _next(study: Study, trials: int) -> Trial | None:
    """The trial that was interrupted, or a new one; `None` when enough have ended."""
    import optuna

    begun = study.get_trials(deepcopy=False)
    for trial in begun:
        if trial.state == optuna.trial.TrialState.RUNNING:
            return optuna.Trial(study, trial._trial_id)
    return study.ask() if len(begun) < trials else None


def _run(study: Study, trial: Trial, words: Sequence[str], root: Path) -> None:
    """Does the trial and tells the study how it ended."""
    from optuna.trial import TrialState

    folder = RunFolder(_folder(root, trial.number))
    names = stage_names(load_collection_recipe(words[0], words[1:]))
    take_stages(RunFolder(root / "shared"), folder, [n for n in names if not folder.stamp(n).is_file()])
    folder.root.mkdir(exist_ok=True)
    log = folder.root.with_suffix(".log")
    for stage in (*_before_training(words), "train"):
        watched = trial if stage == "train" else None
        code = _watched([*_command(stage, *words), f"{RUN_DIR}{folder.root}"], log, watched, folder)
        if code is None:
            study.tell(trial, state=TrialState.PRUNED)
            say("  stopped early: dev is below the median of the other trials")
            return
        if code:
            study.tell(trial, state=TrialState.FAIL)
            why = log.read_text(encoding="utf-8").strip().splitlines()[-1]
            completed = any(t.state == TrialState.COMPLETE for t in study.get_trials(deepcopy=False))
            if code == InputError.exit_code and not completed:
                raise InputError(f"the first trial cannot be done: {why} (all of it in {log})")
            say(f"  failed: {why}")
            return
    value = _dev(folder)
    study.tell(trial, value)
    say(f"  dev nDCG@10 {value:.4f}")


def _folder(root: Path, number: int) -> Path:
    return root / f"trial-{number:03d}"


def _watched(command: Sequence[str], log: Path, trial: Trial | None, folder: RunFolder) -> int | None:
    """The exit code, or `None` where `trial` was stopped early: its evaluations are reported as they come."""
    with log.open("a", encoding="utf-8") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        try:
            while process.poll() is None:
                time.sleep(POLL_SECONDS)
                if trial is not None and report_evaluations(trial, folder):
                    process.send_signal(signal.SIGINT)
                    process.wait()
                    return None
        finally:
            process.kill()
            process.wait()
    return process.returncode


def report_evaluations(trial: Trial, folder: RunFolder) -> bool:
    """Hands dev's figures so far on; returns whether the trial is to be stopped."""
    path = folder.partial("train") / folder.train_log.name
    if not path.is_file():
        return False
    rows = [
        line for line in path.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("\n")
    ]
    # What some trainings begin with, before their first step, is no match for an evaluation of others.
    found = [row[MEASURE] for row in map(json.loads, rows) if MEASURE in row and row["step"] > 0]
    known = trial.study.get_trials(deepcopy=False)[trial.number].intermediate_values
    for number in range(len(known), len(found)):
        trial.report(found[number], number)
    return bool(found) and trial.should_prune()


def _dev(folder: RunFolder) -> float:
    dev = read_json(folder.train_summary)["dev"]
    return float(dev["tuned"] if dev["fused"] is None else dev["fused"])


def _keep_the_best(study: Study, root: Path) -> None:
    """Only the best trial's model stays; of the others what was measured."""
    best = _best(study)
    for trial in study.get_trials(deepcopy=False):
        if best is None or trial.number != best.number:
            drop_weights(RunFolder(_folder(root, trial.number)))


def _best(study: Study) -> FrozenTrial | None:
    from optuna.trial import TrialState

    ended = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    return max(ended, key=lambda trial: trial.value or 0.0, default=None)


def _result(study: Study, root: Path, path: str, fixed: Sequence[str]) -> SweepResult:
    best = _best(study)
    if best is None:
        raise CheckFailed(f"no trial could be done; {root}/trial-*.log say why")
    params = [f"{key}={value}" for key, value in best.params.items()]
    write_text(root / "best.yaml", dump_recipe(load_collection_recipe(path, [*fixed, *params])))
    trials = [_told(trial) for trial in study.get_trials(deepcopy=False)]
    result = SweepResult(str(root), _told(best), trials)
    write_json(root / "sweep.json", asdict(result))
    return result


def _told(trial: FrozenTrial) -> TrialResult:
    seconds = trial.duration.total_seconds() if trial.duration else 0.0
    state = trial.state.name.lower()
    dev = trial.value if state == "complete" else None  # of a pruned one it is that of an evaluation
    return TrialResult(trial.number, dict(trial.params), state, dev, round(seconds, 1))
