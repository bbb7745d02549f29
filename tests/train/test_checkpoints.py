"""A training that was interrupted goes on to the same outcome, and from whole checkpoints alone."""

from __future__ import annotations

import hashlib
import resource
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.train import train
from crosstune.train.checkpoints import last_complete
from models import tiny_cross_encoder
from resumed import assert_equal_trainings
from training import dev_of, random_groups, tiny_settings

SETTINGS = {"epochs": 4, "evaluations": 4, "patience": 4, "dropout": 0.1, "teacher": "none"}
"""12 steps, evaluated every 3."""
AVERAGED = {"groups_per_step": 2, "epochs": 3.8, "evaluations": 2}
"""46 steps, evaluated every 23; an entry of the log is the mean of 2, and 23 is odd."""
EVALUATION = "crosstune.train.dev.DevJudge.evaluation"
STEP = "crosstune.train.loop.GroupTrainer.compute_loss"

Interrupt = Callable[[str, int], None]


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Interrupt:
    """The call of that number of a function is Ctrl-C; those after it are as ever."""

    def at(name: str, number: int) -> None:
        owner, _, last = name.rpartition(".")
        module, _, kind = owner.rpartition(".")
        target = __import__(module, fromlist=[kind])
        original, calls = getattr(getattr(target, kind), last, None) or getattr(target, last), [0]

        def counted(*arguments: object, **named: object) -> object:
            calls[0] += 1
            if calls[0] == number:
                raise KeyboardInterrupt
            return original(*arguments, **named)

        monkeypatch.setattr(name, counted)

    return at


def _train(tmp_path: Path, out: Path, **changes: object) -> None:
    groups = random_groups(24)
    collection, run = dev_of(groups[:12])
    out.mkdir(exist_ok=True)
    settings = tiny_settings(**{**SETTINGS, **changes})
    train(groups, collection, run, str(tiny_cross_encoder(tmp_path / "base")), settings, 5, out)


def _interrupted(tmp_path: Path, out: Path, **changes: object) -> Path:
    """Its checkpoints."""
    with pytest.raises(KeyboardInterrupt):
        _train(tmp_path, out, **changes)
    return out / "checkpoints"


def _digest(folder: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        digest.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return digest.hexdigest()


def test_a_step_between_two_entries_of_the_log_loses_nothing(tmp_path: Path, interrupt: Interrupt) -> None:
    _train(tmp_path, tmp_path / "whole", **AVERAGED)
    interrupt(STEP, 30)
    _interrupted(tmp_path, tmp_path / "out", **AVERAGED)
    _train(tmp_path, tmp_path / "out", **AVERAGED)
    assert_equal_trainings(tmp_path / "out", tmp_path / "whole")


@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(f"{EVALUATION} 3", marks=pytest.mark.slow),
        f"{STEP} 8",
        "crosstune.train.best.best_weights 1",
    ],
)
def test_a_training_that_stops_early_stops_where_it_would_have(
    tmp_path: Path, interrupt: Interrupt, moment: str
) -> None:
    """Nothing is learned, so that the third evaluation is the second without a gain."""
    changes = {"learning_rate": 1e-12, "patience": 2}
    _train(tmp_path, tmp_path / "whole", **changes)
    name, number = moment.split()
    interrupt(name, int(number))
    _interrupted(tmp_path, tmp_path / "out", **changes)
    _train(tmp_path, tmp_path / "out", **changes)
    assert '"steps": 9' in (tmp_path / "out" / "train.json").read_text()
    assert_equal_trainings(tmp_path / "out", tmp_path / "whole")


@pytest.mark.slow
def test_a_run_folder_that_was_moved_goes_on(tmp_path: Path, interrupt: Interrupt) -> None:
    _train(tmp_path, tmp_path / "whole")
    interrupt(STEP, 11)
    _interrupted(tmp_path, tmp_path / "out")
    shutil.move(tmp_path / "out", tmp_path / "moved")
    _train(tmp_path, tmp_path / "moved")
    assert_equal_trainings(tmp_path / "moved", tmp_path / "whole")


def test_a_checkpoint_that_was_cut_is_said_and_the_one_before_it_is_offered(
    tmp_path: Path, interrupt: Interrupt
) -> None:
    changes = {"learning_rate": 1e-12}  # so that the first checkpoint is the best
    _train(tmp_path, tmp_path / "whole", **changes)
    interrupt(STEP, 8)
    checkpoints = _interrupted(tmp_path, tmp_path / "out", **changes)
    cut = checkpoints / "checkpoint-6" / "optimizer.pt"
    content = cut.read_bytes()
    cut.write_bytes(content[: len(content) // 2])
    before = _digest(tmp_path / "out")
    words = (
        rf"optimizer\.pt: has {len(content) // 2} bytes, {len(content)} were written.*Nothing was overwritten"
    )
    with pytest.raises(InputError, match=words + ".*checkpoint-6 to go on from checkpoint-3"):
        _train(tmp_path, tmp_path / "out", **changes)
    assert _digest(tmp_path / "out") == before
    shutil.rmtree(checkpoints / "checkpoint-6")
    _train(tmp_path, tmp_path / "out", **changes)
    assert_equal_trainings(tmp_path / "out", tmp_path / "whole")


def test_the_best_checkpoint_is_missed_before_a_step_is_done(tmp_path: Path, interrupt: Interrupt) -> None:
    interrupt(STEP, 8)
    checkpoints = _interrupted(tmp_path, tmp_path / "out", learning_rate=1e-12)
    shutil.rmtree(checkpoints / "checkpoint-3")
    with pytest.raises(InputError, match=r"checkpoint-3/complete: is missing.*to begin anew"):
        _train(tmp_path, tmp_path / "out", learning_rate=1e-12)


def test_a_disk_that_is_full_at_a_checkpoint_leaves_the_last_good_one(
    tmp_path: Path, interrupt: Interrupt
) -> None:
    """Files may not be as long as the optimizer's state: the system refuses to write its end."""
    _train(tmp_path, tmp_path / "whole")
    interrupt(STEP, 5)
    checkpoints = _interrupted(tmp_path, tmp_path / "out")
    size = (checkpoints / "checkpoint-3" / "optimizer.pt").stat().st_size
    good = _digest(checkpoints / "checkpoint-3")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size - 1, limits[1]))
    try:
        with pytest.raises(OSError, match="No space left on device"):
            _train(tmp_path, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert _digest(checkpoints / "checkpoint-3") == good
    _train(tmp_path, tmp_path / "out")
    assert_equal_trainings(tmp_path / "out", tmp_path / "whole")


def test_a_checkpoint_without_its_mark_is_not_gone_on_from(tmp_path: Path) -> None:
    for step, marked in ((2, True), (10, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "trainer_state.json").write_text('{"best_global_step": null}')
        if marked:
            (folder / "complete").write_text('{"seconds": 1, "files": {"trainer_state.json": 26}}')
    assert last_complete(tmp_path) == tmp_path / "checkpoint-10"
    shutil.rmtree(tmp_path / "checkpoint-10")
    assert last_complete(tmp_path) == tmp_path / "checkpoint-2"
