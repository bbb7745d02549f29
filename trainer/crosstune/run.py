"""The run folder: its layout, its lock, and which stages are up to date."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crosstune.errors import CheckFailed, InputError
from crosstune.files import held, read_json, remove_folder, replace_folder, write_json
from crosstune.heap import give_back
from crosstune.processes import shared
from crosstune.progress import duration, say

StageName = Literal[
    "collection", "retrieve", "mine_1", "train_1", "mine", "adapt", "train", "evaluate", "export"
]
RUN_DIR = "run_dir="
STAGES: tuple[StageName, ...] = ("collection", "retrieve", "mine", "train", "evaluate", "export")
"""Of every recipe with a collection; one with `adapt.steps` has `adapt` before its first training."""
ROUND_1: dict[StageName, StageName] = {"mine": "mine_1", "train": "train_1"}
"""With a second round of mining, the stages of the first one: `mine` and `train` are always the last round's,
so that whoever reads a run folder reads those."""


@dataclass(frozen=True)
class RunFolder:
    """The one place that knows where things lie in a run folder."""

    root: Path

    def stage(self, name: StageName) -> Path:
        return self.root / name

    def partial(self, name: StageName) -> Path:
        """Where a stage writes until it is done."""
        return self.root / f".{name}.partial"

    def stamp(self, name: StageName) -> Path:
        return self.root / ".stages" / f"{name}.json"

    def candidates(self, split: str, further: str | None = None) -> Path:
        """The run of the reranked first stage, or of one that mining alone draws from."""
        return self.stage("retrieve") / (f"{split}.{further}.trec" if further else f"{split}.trec")

    def scores(self, split: str, system: str) -> Path:
        """The run of a reranked system (`base`, `tuned` or `fused`)."""
        return self.stage("evaluate") / f"{split}.{system}.trec"

    def collection_folder(self) -> Path:
        """The BEIR folder that the stages read."""
        path = Path(read_json(self.source)["folder"])
        return path if path.is_absolute() else self.source.parent / path

    @property
    def source(self) -> Path:
        """Where the collection lies, and what was counted in it."""
        return self.stage("collection") / "source.json"

    @property
    def recipe(self) -> Path:
        return self.root / "recipe.yaml"

    @property
    def lock(self) -> Path:
        return self.root / ".lock"

    @property
    def cache(self) -> Path:
        """What may be deleted at any time: it is only work that need not be done twice."""
        return self.root / ".cache"

    @property
    def ledger(self) -> Path:
        return self.stage("mine") / "ledger.parquet"

    @property
    def review(self) -> Path:
        return self.root / "review.jsonl"

    @property
    def audit(self) -> Path:
        return self.root / "audit"

    @property
    def retrieval(self) -> Path:
        return self.stage("retrieve") / "retrieve.json"

    @property
    def adapted(self) -> Path:
        """The base after its adaptation to the corpus."""
        return self.stage("adapt") / "model"

    @property
    def model(self) -> Path:
        return self.stage("train") / "model"

    @property
    def start(self) -> Path:
        """What training began with, where that is neither the base nor the base with a fresh head."""
        return self.stage("train") / "start"

    @property
    def model_1(self) -> Path:
        """What round 1 trained, when there are two."""
        return self.stage("train_1") / "model"

    @property
    def train_log(self) -> Path:
        return self.stage("train") / "train_log.jsonl"

    @property
    def train_summary(self) -> Path:
        return self.stage("train") / "train.json"

    @property
    def dev_scores(self) -> Path:
        """The tuned model's logits of the dev queries that decide on fusion and calibration."""
        return self.stage("train") / "dev.tuned.trec"

    @property
    def fusion(self) -> Path:
        return self.stage("train") / "fusion.json"

    def training(self) -> Path:
        """The folder of the training that began last: the stage's, or where it writes until it is done.

        Raises `InputError` where none has begun.
        """
        for folder in (
            *(self.partial("train"), self.partial("train_1")),
            *(self.stage("train"), self.stage("train_1")),
        ):
            if folder.is_dir():
                return folder
        raise InputError(
            f"{self.root}: no training has begun there; a run folder with train/ was expected "
            "(crosstune run RECIPE makes one)"
        )

    def marked_checkpoints(self, name: StageName) -> list[Path]:
        """The marks of the whole checkpoints of a training that has not ended."""
        return [*self.partial(name).glob("checkpoints/checkpoint-*/complete")]

    @property
    def curve(self) -> Path:
        """The run folders of the learning curve, and what came of them."""
        return self.root / "curve"

    @property
    def metrics(self) -> Path:
        return self.stage("evaluate") / "metrics.json"

    @property
    def per_query(self) -> Path:
        return self.stage("evaluate") / "per_query.csv"

    @property
    def report(self) -> Path:
        return self.stage("evaluate") / "report.html"

    @property
    def export(self) -> Path:
        return self.stage("export")


def split_run_dir(words: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The folder that the last `run_dir=PATH` names, and the other words of the command line."""
    named = [word.removeprefix(RUN_DIR) for word in words if word.startswith(RUN_DIR)]
    others = [word for word in words if not word.startswith(RUN_DIR)]
    return (Path(named[-1]).expanduser() if named else None), others


@dataclass(frozen=True)
class Stage:
    """A stage, the fingerprint of all that decides its outcome, and the work: called with an
    existing folder to fill."""

    name: StageName
    fingerprint: str
    work: Callable[[Path], None]

    @property
    def resumable(self) -> bool:
        """Whether the work goes on from what an interrupted call left in the partial folder."""
        return self.name in ("adapt", "train_1", "train")

    @property
    def joint(self) -> bool:
        """Whether all processes of a launch take part."""
        return self.name in ("train_1", "train")


@contextmanager
def locked(folder: RunFolder) -> Iterator[None]:
    """Holds the run folder for this process. Raises `InputError` with the pid of the one that has it."""
    folder.root.mkdir(parents=True, exist_ok=True)
    said = "in use by another crosstune (pid {pid}); wait for it, or give another folder with run_dir=PATH"
    with held(folder.lock, f"{folder.root}: {said}"):
        yield


def is_done(folder: RunFolder, stage: Stage) -> bool:
    """Whether the stage's folder holds the outcome for this very fingerprint."""
    return folder.stage(stage.name).is_dir() and _stamp(folder, stage) == "done"


def takes_over(folder: RunFolder, stage: Stage) -> Path | None:
    """What a run of one round mined or trained, when that is what this stage of round 1 would do."""
    for name, first in ROUND_1.items():
        if stage.name == first and is_done(folder, Stage(name, stage.fingerprint, stage.work)):
            return folder.stage(name)
    return None


def take_over(folder: RunFolder, stages: Sequence[Stage]) -> None:
    """Moves it to where round 1 belongs, so that a second round begins where the run had ended."""
    for stage in stages:
        done = takes_over(folder, stage)
        if done is not None and not is_done(folder, stage):
            replace_folder(done, folder.stage(stage.name))
            _write_stamp(folder, stage, "done", 0.0)
            say(f"{stage.name}: what {done.name} did is taken over")


def forget(folder: RunFolder, stages: Sequence[Stage], kept: Sequence[Stage]) -> None:
    """Makes these stages neither done nor begun, on disk, so that a kill does not bring back what they were.
    With a stage goes its first round of a recipe before, unless that is among those `kept`.

    Their folders stay until others take their place; what was drawn from a training that goes, goes too.
    """
    names = [stage.name for stage in stages]
    first = {ROUND_1[name] for name in names if name in ROUND_1} - {stage.name for stage in kept}
    for name in dict.fromkeys((*first, *names)):
        folder.stamp(name).unlink(missing_ok=True)
        shutil.rmtree(folder.partial(name), ignore_errors=True)
        if name == "train":
            shutil.rmtree(folder.curve, ignore_errors=True)


def is_begun(folder: RunFolder, stage: Stage) -> bool:
    """Whether what lies in the stage's partial folder has this very fingerprint."""
    return _stamp(folder, stage) in ("partial", "whole")


def run_stage(folder: RunFolder, stage: Stage) -> None:
    """Does the work in the partial folder, puts it in place and stamps it. With a new training goes what was
    measured and exported of the one before, and with an export that a check refuses the export before."""
    partial, state = folder.partial(stage.name), _stamp(folder, stage)
    started = time.monotonic()
    if state != "whole":
        if not (stage.resumable and state == "partial"):
            shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(exist_ok=True)
        _write_stamp(folder, stage, "partial", 0.0)
        say(f"{stage.name} ...")
        with redirect_stdout(sys.stderr):  # libraries print to standard output, where the result goes
            if stage.joint:
                shared(stage.name)
            try:
                stage.work(partial)
            except CheckFailed:
                if stage.name == "export":  # or it would pass for what was just refused
                    _drop(folder, "export")
                raise
        give_back()
        _write_stamp(folder, stage, "whole", time.monotonic() - started)
    seconds = float(read_json(folder.stamp(stage.name))["seconds"])
    if partial.is_dir():  # else a kill came after it was put in place
        replace_folder(partial, folder.stage(stage.name))
    if stage.name == "train":  # before it counts as done, so that a kill leaves none of them for good
        _drop(folder, "evaluate", "export")
    _write_stamp(folder, stage, "done", seconds)
    say(f"{stage.name}: done in {duration(seconds)}")


def _drop(folder: RunFolder, *names: StageName) -> None:
    for name in names:
        folder.stamp(name).unlink(missing_ok=True)
        remove_folder(folder.stage(name))


def _stamp(folder: RunFolder, stage: Stage) -> str | None:
    """When the stage was begun with this fingerprint: `partial`, `whole` (all is in the partial folder) or
    `done`."""
    path = folder.stamp(stage.name)
    stamp = read_json(path) if path.is_file() else {}
    return str(stamp["state"]) if stamp.get("fingerprint") == stage.fingerprint else None


def _write_stamp(folder: RunFolder, stage: Stage, state: str, seconds: float) -> None:
    write_json(
        folder.stamp(stage.name),
        {"fingerprint": stage.fingerprint, "state": state, "seconds": round(seconds, 2)},
    )
