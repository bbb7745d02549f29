"""What was measured and exported of a training goes when another takes its place, and not before."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.errors import CheckFailed, InputError
from crosstune.run import RunFolder, Stage, StageName, is_done, run_stage

LATER: tuple[StageName, ...] = ("evaluate", "export")


def _did(folder: RunFolder, name: StageName, mark: str = "a", error: Exception | None = None) -> Stage:
    """A stage that was run, and left a file or raised `error`."""

    def work(out: Path) -> None:
        (out / "file").write_text(mark)
        if error is not None:
            raise error

    stage = Stage(name, mark, work)
    if error is None:
        run_stage(folder, stage)
    else:
        with pytest.raises(type(error)):
            run_stage(folder, stage)
    return stage


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    names: tuple[StageName, ...] = ("mine_1", "train_1", "mine", "train", *LATER)
    for name in names:
        _did(RunFolder(tmp_path), name)
    return RunFolder(tmp_path)


def test_another_training_takes_them_with_it(folder: RunFolder) -> None:
    _did(folder, "train_1", "b")
    _did(folder, "mine", "b")
    _did(folder, "train", "b", InputError("half a training"))
    assert (folder.stage("train") / "file").read_text() == "a"
    assert all(folder.stage(name).is_dir() for name in LATER)
    _did(folder, "train", "b")
    for name in LATER:
        assert not folder.stage(name).exists() and not folder.stamp(name).exists()
    assert all(folder.stage(name).is_dir() for name in ("mine_1", "train_1", "mine"))  # type: ignore[arg-type]


def test_after_a_kill_before_they_went_they_go_with_the_same_command(folder: RunFolder) -> None:
    stage = _did(folder, "train", "b")
    kept = folder.stamp("train").read_text()
    for name in LATER:
        _did(folder, name)
    folder.stamp("train").write_text(kept.replace('"done"', '"whole"'))
    assert not is_done(folder, stage)
    run_stage(folder, stage)
    assert is_done(folder, stage) and not folder.export.exists()


def test_an_export_that_is_refused_leaves_none_of_before(folder: RunFolder) -> None:
    _did(folder, "export", "b", InputError("a setting that cannot be"))
    assert (folder.export / "file").read_text() == "a"
    _did(folder, "export", "b", CheckFailed("not exported"))
    assert not folder.export.exists() and folder.stage("evaluate").is_dir()


def test_the_command_of_another_training(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    assert crosstune("run", recipe).code == 0
    root = tmp_path / "runs" / "tiny"
    assert crosstune("train", recipe, "train.epochs=1").code == 0
    assert not (root / "evaluate").exists() and not (root / "export").exists()
    told = crosstune("report", root)
    assert told.code == 2 and "the run stopped in the stage evaluate" in told.err
