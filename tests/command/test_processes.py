"""The real launchers: several processes train what one would, and do all else once."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import write_collection
from safetensors.torch import load_file

from crosstune.run import STAGES
from processes_program import GROUPS
from resumed import ALONE, assert_equal_trainings, crosstune, recipe_with_a_start
from training import assert_same_training

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node")
ACCELERATE = (
    "-m",
    "accelerate.commands.launch",
    "--multi_gpu",
    "--num_machines",
    "1",
    "--num_processes",
    "2",
)
TESTS = Path(__file__).parents[1]
SHORT = ("train.epochs=2", "train.evaluations=2", "train.groups_per_step=8")
LOST = "another process of this launch has ended; the same command goes on from here"
STEP = "crosstune.train.loop:GroupTrainer.compute_loss"


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    return recipe_with_a_start(tmp_path, write_collection(tmp_path / "collection"))


def _errors(said: str) -> list[str]:
    return re.findall(r"^error: .*", said, flags=re.MULTILINE)


@pytest.mark.slow
def test_two_processes_of_accelerate_do_the_run_of_one(tmp_path: Path, recipe: Path) -> None:
    words = ("run", recipe, *SHORT, "train.dropout=0", "train.learning_rate=1e-4")
    plain = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")
    launcher = (*ACCELERATE, *plain, "--main_process_port", "0")
    two = crosstune(*words, f"run_dir={tmp_path / 'two'}", launcher=launcher)
    assert two.returncode == 0, two.stderr
    assert re.findall(r"^(\w+): done", two.stderr, flags=re.MULTILINE) == list(STAGES)
    assert two.stdout.count("run folder") == 1
    one = crosstune(*words, f"run_dir={tmp_path / 'one'}")
    assert one.returncode == 0, one.stderr
    # The start's pooler has a gradient near 0 at its biases, of which Adam makes steps of rounding.
    assert_same_training(tmp_path / "two" / "train", tmp_path / "one" / "train", atol=5e-5, rtol=1e-4)
    files = [
        sorted(p.relative_to(tmp_path / name) for p in (tmp_path / name).rglob("*") if p.is_file())
        for name in ("one", "two")
    ]
    assert files[0] == files[1]


@pytest.mark.slow
def test_three_processes_share_steps_that_cannot_be_shared_out_evenly(tmp_path: Path) -> None:
    paths = os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")]))
    for name, launcher in (("one", ()), ("three", (*TORCHRUN, "3"))):
        (tmp_path / name).mkdir()
        command = [sys.executable, *launcher, str(TESTS / "processes_program.py"), str(tmp_path / name)]
        done = subprocess.run(
            command, env=ALONE | {"PYTHONPATH": paths}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    for training in (*GROUPS, "pairs"):
        model = f"{training}/model/model.safetensors"
        start = load_file(tmp_path / "one" / "model" / "model.safetensors")
        found = load_file(tmp_path / "one" / model)
        moved = [float((found[name] - start[name]).abs().max()) for name in found.keys() & start.keys()]
        assert max(moved) > 1e-4
        assert_same_training(tmp_path / "three" / training, tmp_path / "one" / training, atol=2e-6, rtol=1e-5)


@pytest.mark.slow
def test_one_process_that_is_killed_ends_all_and_the_same_command_goes_on(
    tmp_path: Path, recipe: Path
) -> None:
    for stage in ("retrieve", "mine"):
        assert crosstune(stage, recipe, f"run_dir={tmp_path / 'whole'}", *SHORT).returncode == 0
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")

    def train(name: str, **changes: str) -> subprocess.CompletedProcess[str]:
        words = ("train", recipe, *SHORT, f"run_dir={tmp_path / name}")
        return crosstune(*words, launcher=(*TORCHRUN, "2"), **changes)

    assert train("whole").returncode == 0
    broken = train("killed", KILL_AT=f"{STEP} 5", KILL_PLACE="1")
    assert broken.returncode == 1
    assert f"exitcode  : {-signal.SIGKILL}" in broken.stderr
    assert _errors(broken.stderr) in ([], ["error: " + LOST])
    failed = train("killed", FAIL_AT=f"{STEP} 1", KILL_PLACE="1")
    assert failed.returncode == 1
    assert "continuing from checkpoint-3" in failed.stderr
    assert _errors(failed.stderr) == ["error: disk: Input/output error"]
    assert train("killed").returncode == 0
    assert_equal_trainings(tmp_path / "killed" / "train", tmp_path / "whole" / "train")


@pytest.mark.slow
def test_more_processes_than_groups_and_a_model_that_is_spread_are_refused_once(
    tmp_path: Path, recipe: Path
) -> None:
    done = crosstune("run", recipe, "train.groups_per_step=1", launcher=(*TORCHRUN, "2"))
    assert done.returncode == 1
    (error,) = _errors(done.stderr)
    assert "2 processes share a step, and train.groups_per_step is 1" in error
    done = crosstune("run", recipe, ACCELERATE_USE_FSDP="true")
    assert done.returncode == 2
    assert "FSDP and DeepSpeed spread a model" in done.stderr


@pytest.mark.slow
def test_a_curve_of_several_processes_is_refused_before_any_work(tmp_path: Path, recipe: Path) -> None:
    """Its parts would train on one thing in one process and on another in the others."""
    done = crosstune("run", recipe, "curve=true", f"run_dir={tmp_path / 'two'}", launcher=(*TORCHRUN, "2"))
    assert done.returncode != 0
    assert "the parts of a learning curve train in one process, and this launch has 2" in done.stderr
    assert not (tmp_path / "two").exists()
