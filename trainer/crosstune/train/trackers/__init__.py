"""Reporting a training to trackers, by Trainer's own integrations. A tracker that fails never stops it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.errors import MissingExtra
from crosstune.files import read_json, write_json
from crosstune.processes import is_first
from crosstune.train.tracker_config import TrackerName
from crosstune.train.trackers.base import Facts, Results, Tracker
from crosstune.train.trackers.failure import tell
from crosstune.train.trackers.mlflow import MLflow
from crosstune.train.trackers.tensorboard import TensorBoard
from crosstune.train.trackers.wandb import Wandb

if TYPE_CHECKING:
    from crosstune.train.trackers.patient import Patient

__all__ = ["Facts", "check_trackers", "report_results", "tracked"]

RUNS = "trackers.json"
"""In the training's folder: tracker -> the name to find its run by."""


def _tracker(name: str, folder: Path) -> Tracker:
    if name == "tensorboard":
        return TensorBoard(folder)
    return Wandb() if name == "wandb" else MLflow()


def check_trackers(names: Sequence[TrackerName]) -> None:
    """Raises `MissingExtra` where the package of a tracker is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise MissingExtra(f"train.report_to: {name}", name)


@contextmanager
def tracked(names: Sequence[TrackerName], facts: Facts | None, folder: Path) -> Iterator[list[Patient]]:
    """Around a training in `folder`: yields a callback for each tracker that can be reached. A training that
    goes on goes on with its runs. What a tracker raises is said, and the training goes on without it; of
    several processes the first one reports."""
    from crosstune.train.trackers.patient import Patient

    if not names or not is_first():
        yield []
        return
    runs = read_json(folder / RUNS) if (folder / RUNS).is_file() else {}
    opened: list[tuple[str, Tracker]] = []
    callbacks: list[Patient] = []
    for name in dict.fromkeys(map(str, names)):
        tracker = _tracker(name, folder)
        with _told(name, "the training goes on without it"):
            runs[name] = tracker.begin(runs.get(name), facts)
            opened.append((name, tracker))
            callbacks.append(Patient(name, tracker.callback()))
    write_json(folder / RUNS, runs)
    failed = True
    try:
        yield callbacks
        failed = False
    finally:
        for name, tracker in opened:
            with _told(name, "its run may lack the end"):
                tracker.end(failed=failed)


def report_results(training: Path, evaluation: Path) -> None:
    """Adds the final table, the metrics and the report in the folder `evaluation` to the runs of the training
    in `training`, which may have none."""
    if not (training / RUNS).is_file():
        return
    files = [evaluation / name for name in ("report.html", "metrics.json")]
    (systems,) = read_json(files[-1])["splits"].values()
    results = Results(systems, [path for path in files if path.is_file()])
    for name, known in read_json(training / RUNS).items():
        with _told(name, "the results are not reported to it"):
            _tracker(name, training).results(known, results)


@contextmanager
def _told(name: str, outcome: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        tell(name, error, outcome)
