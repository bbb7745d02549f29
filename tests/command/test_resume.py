"""`kill -9` at any moment of a training, and the same command again: nothing of the outcome differs."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from conftest import write_collection

from resumed import EVERY, assert_equal_trainings, crosstune, killed_at, recipe_with_a_start

TRAINER = "transformers.trainer:Trainer"
CHECKPOINTS = "crosstune.train.checkpoints:Checkpoints"
STEP = "crosstune.train.loop:GroupTrainer.compute_loss"
WRITE = f"{TRAINER}._save_rng_state"
BLEND = "crosstune.train.dev:DevJudge.sample_ndcg"

EARLIER = [
    # where, and the last of its calls that may be the one
    ("crosstune.train.bi_encoder:in_batch_loss", 1),  # the adaptation of the vectors
    ("crosstune.train.start:replace_folder", 1),  # the start is built, and not in place
    (STEP, EVERY),  # a step before the first checkpoint
    (WRITE, 2),  # a checkpoint: model and optimizer are written, the draws are not
    ("crosstune.train.doctor.signs:StepSigns.head", 2 * EVERY),  # between a step's gradient and its update
    (f"{CHECKPOINTS}._mark", 2),  # a checkpoint is whole, and not marked
    ("crosstune.train.scoring:score_pairs", 16),  # an evaluation
]
LATER = [
    (f"{CHECKPOINTS}._remove_all_but", 3),  # a checkpoint is marked, older ones are there
    ("transformers.trainer_callback:CallbackHandler.on_epoch_end", 3),  # between epochs
    (f"{TRAINER}._load_best_model", 1),  # all steps are done
    (BLEND, 3),  # weights in between are judged
    ("crosstune.train.saving:copy_tokenizer", 1),  # the model is saved
    ("crosstune.train.train:_tidied", 1),  # train.json is written, the checkpoints are there
    ("crosstune.run:replace_folder", 1),  # the stage is done, its folder not in place
]


@pytest.fixture(scope="module")
def mined(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a recipe, and its run up to the training."""
    folder = tmp_path_factory.mktemp("resume")
    recipe_with_a_start(folder, write_collection(folder / "collection"))
    for stage in ("retrieve", "mine"):
        assert crosstune(stage, folder / "tiny.yaml", f"run_dir={folder / 'run'}").returncode == 0
    return folder


def _copy(mined: Path, folder: Path) -> tuple[list[str], Path]:
    """Words that train a copy of the run, and the folder that they fill."""
    shutil.copytree(mined / "run", folder / "run")
    return ["train", str(mined / "tiny.yaml"), f"run_dir={folder / 'run'}"], folder / "run" / "train"


@pytest.fixture(scope="module")
def whole(mined: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the training leaves when nothing interrupts it."""
    words, train = _copy(mined, tmp_path_factory.mktemp("whole"))
    assert crosstune(*words).returncode == 0
    log = [json.loads(line) for line in (train / "train_log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in log if "eval_nDCG@10" in row] == [*range(0, 61, EVERY)]
    return train


@pytest.mark.slow
@pytest.mark.parametrize("points", [EARLIER, LATER], ids=["earlier", "later"])
def test_a_training_killed_at_every_kind_of_moment_ends_as_if_it_had_not_been(
    mined: Path, whole: Path, tmp_path: Path, points: list[tuple[str, int]]
) -> None:
    words, killed = _copy(mined, tmp_path)
    rng = random.Random(13)
    for place, last in points:
        killed_at(place, *words, number=rng.randint(1, last))
    done = crosstune(*words)
    assert done.returncode == 0, done.stderr
    assert_equal_trainings(killed, whole)


@pytest.mark.slow
def test_a_forced_stage_stays_forced_after_a_kill(mined: Path, tmp_path: Path) -> None:
    words, _ = _copy(mined, tmp_path)
    run, root = ["run", *words[1:]], tmp_path / "run"
    killed_at(STEP, *words, number=EVERY + 2)  # one checkpoint is there
    curve = root / "curve" / "share-010"
    curve.mkdir(parents=True)
    assert "continuing" not in killed_at(STEP, *run, "--force", "train")
    assert not curve.exists(), "it was drawn from the training that goes"
    assert crosstune(*words).returncode == 0
    killed_at("crosstune.data.mining.mine:mine_spread", *run, "--force", "retrieve")
    plan = json.loads(crosstune(*run, "--dry-run", "--json").stdout)["up_to_date"]
    done = {"collection", "retrieve"}
    assert plan == {name: name in done for name in ("collection", "retrieve", "mine", "train", *plan)}
