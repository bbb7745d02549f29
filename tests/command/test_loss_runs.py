"""Every loss in a real training by the command line, and what the command line says to what does not fit."""

from __future__ import annotations

import json
import math
import random
import shutil
from pathlib import Path

import pytest
from conftest import WORDS, Outcome

from crosstune.cli import main
from crosstune.data import read_groups
from crosstune.train.loss_kinds import KINDS, LossName
from models import tiny_cross_encoder

TAUGHT = [name for name, kind in KINDS.items() if kind.learns_from == "teacher"]
BINARY = [name for name, kind in KINDS.items() if kind.learns_from == "relevance"]


def _write_graded(folder: Path, grades: tuple[int, ...] = (3, 2, 1)) -> Path:
    """A collection in which the document of grade `g` repeats the query's three words `g` times."""
    rng = random.Random(6)
    (folder / "qrels").mkdir(parents=True)
    passages, queries, qrels = [], [], {"train": "", "dev": "", "test": ""}
    for number in range(60):
        split = "train" if number < 36 else "dev" if number < 48 else "test"
        words = rng.sample(WORDS, 3)
        queries.append({"_id": f"q{number}", "text": " ".join(words) + f" {number}"})
        for place, grade in enumerate([*grades, 0, 0]):
            noise = rng.choices(WORDS, k=rng.randint(2, 5))
            text = " ".join(words * grade + noise + (words[:1] if grade == 0 else []))
            passages.append({"_id": f"d{number}-{place}", "title": "", "text": f"{text} {number}"})
            qrels[split] += f"q{number}\td{number}-{place}\t{grade}\n"
    for name, rows in (("corpus", passages), ("queries", queries)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for split, lines in qrels.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + lines)
    return folder


def _write_recipe(folder: Path, collection: Path) -> Path:
    model = tiny_cross_encoder(folder / "model")
    tiny_cross_encoder(folder / "teacher", seed=1)
    path = folder / "graded.yaml"
    path.write_text(
        f"""name: graded
collection: beir:{collection}
model: {model}
first_stage: {{depth: 20}}
mine: {{negatives: 3, last_rank: 20}}
train:
  {{teacher: none, precision: fp32, max_tokens: 48, max_query_tokens: 16, epochs: 5, evaluations: 2,
   learning_rate: 2e-3}}
"""
    )
    return path


@pytest.fixture(scope="module")
def graded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("graded")
    return _write_recipe(folder, _write_graded(folder / "collection"))


def _call(capsys: pytest.CaptureFixture[str], *words: object) -> Outcome:
    """The command line in this process: 14 trainings need torch loaded once."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Outcome(ended.value.code, printed.out, printed.err)


def _words(loss: LossName, recipe: Path) -> list[str]:
    """Overrides: a query's grades for losses of grades, a cross-encoder's scores for those of a teacher."""
    learns_from = KINDS[loss].learns_from
    words = [f"train.loss={loss}", f"mine.group_by={'positive' if learns_from == 'relevance' else 'query'}"]
    if learns_from == "teacher":
        words += [f"mine.teacher={recipe.parent / 'teacher'}", "mine.distill_teacher=true"]
        words += ["mine.likely_positive=1", "mine.likely_negative=1"]
    return words


@pytest.fixture(scope="module")
def mined(graded: Path) -> dict[str, Path]:
    """What the losses learn from -> a run folder with the stages before training."""
    folders = {}
    for loss in ("bce", "ranknet", "kl"):
        folder = graded.parent / f"mined-{loss}"
        for stage in ("retrieve", "mine"):
            with pytest.raises(SystemExit, match=r"^0$"):
                main([stage, str(graded), *_words(loss, graded), f"run_dir={folder}"])
        folders[KINDS[loss].learns_from] = folder
    return folders


@pytest.mark.parametrize("loss", KINDS)
def test_every_loss_trains_and_falls(
    loss: LossName, graded: Path, mined: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = shutil.copytree(mined[KINDS[loss].learns_from], tmp_path / "run")
    done = _call(capsys, "train", graded, *_words(loss, graded), f"run_dir={root}")
    assert done.code == 0, done.err
    counted = f"train.loss = {loss} takes labels 0 and 1: 72 positives with a grade above 1 count as 1"
    assert (counted in done.err) == (loss in BINARY)
    log = [json.loads(line) for line in (root / "train" / "train_log.jsonl").read_text().splitlines()]
    losses = [row["loss"] for row in log if "loss" in row]
    dev = [row["eval_nDCG@10"] for row in log if "eval_nDCG@10" in row]
    assert all(map(math.isfinite, [*losses, *dev]))
    assert min(losses[len(losses) // 2 :]) < losses[0]
    assert len(dev) == 2
    assert (root / "train" / "model" / "model.safetensors").is_file()


def test_groups_carry_the_grades(mined: dict[str, Path]) -> None:
    assert {tuple(sorted(group.labels)[-3:]) for group in read_groups(mined["grades"] / "mine")} == {
        (1, 2, 3)
    }


@pytest.mark.parametrize("loss", BINARY)
def test_grades_are_refused_by_a_loss_of_0_and_1(
    loss: str, graded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [graded, f"train.loss={loss}", "mine.group_by=query", f"run_dir={tmp_path / 'run'}"]
    done = _call(capsys, "run", *words)
    assert done.code == 2
    assert f"train.loss = {loss} takes labels 0 and 1" in done.err
    assert "holds the grades [3, 2, 1, 0]" in done.err
    assert "ranknet" in done.err
    assert "mine.group_by=positive" in done.err


@pytest.mark.parametrize("loss", TAUGHT)
def test_a_loss_of_a_teacher_without_one_names_both_keys(
    loss: str, graded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = _call(capsys, "run", graded, f"train.loss={loss}")
    assert done.code == 2
    assert f"train.loss = {loss} learns from a teacher, and train.teacher = none" in done.err
    assert "set train.teacher to base or adapted" in done.err
    assert "mine.distill_teacher=true" in done.err


def test_a_teacher_that_has_nothing_to_teach_leaves_no_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """No vectors rank dev better than a first stage without an error."""
    recipe = _write_recipe(tmp_path, _write_graded(tmp_path / "collection", grades=(3,)))
    words = [recipe, "train.loss=margin_mse", "train.teacher=base", f"run_dir={tmp_path / 'run'}"]
    done = _call(capsys, "run", *words)
    assert "1.0000 by the first stage" in done.err
    assert done.code == 2
    assert "nothing to distil" in done.err
    assert "train.loss = margin_mse learns from a teacher's scores, and 36 of 36 groups lack them" in done.err
    assert "mine.teacher" in done.err


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.loss=lamda", "train.loss: found 'lamda' (str); Input should be 'bce', 'mse', 'margin'"),
        ("train.learning_rate=0", "train.learning_rate: found 0 (int); Input should be greater than 0"),
        ("train.learning_rate=.inf", "train.learning_rate: found inf (float)"),
        ("train.learning_rate=.nan", "train.learning_rate: found nan (float)"),
        (
            "train.max_grad_norm=.inf",
            "train.max_grad_norm: found inf (float); Input should be a finite number",
        ),
        ("train.max_query_tokens=48", "max_query_tokens is 48, which leaves no room for a passage"),
        ("train.max_query_tokens=90", "max_query_tokens is 90, which leaves no room for a passage"),
        ("train.pos_weight=2", "pos_weight belongs to loss = bce, and loss is lce"),
        ("train.temperature=0", "train.temperature: found 0 (int)"),
        ("train.ndcg_depth=0", "train.ndcg_depth: found 0 (int)"),
        ("mine.group_by=document", "mine.group_by: found 'document' (str)"),
    ],
)
def test_settings_that_do_not_fit(
    override: str, message: str, graded: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    done = _call(capsys, "run", graded, override)
    assert done.code == 2
    assert message in done.err
