"""`crosstune doctor` on the folders of trainings by the command line, and what its document promises."""

from __future__ import annotations

import importlib
import json
import re
import shutil
from pathlib import Path
from typing import get_args

import pytest
from conftest import Crosstune, Outcome

from crosstune.cli import main
from crosstune.train.doctor.diagnosis import DiagnosisName
from doctor_cases import marked_groups, run

DOCUMENT = Path(__file__).parents[2] / "docs" / "doctor.md"


def _call(capsys: pytest.CaptureFixture[str], *words: object) -> Outcome:
    """The command line in this process."""
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in words])
    printed = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return Outcome(ended.value.code, printed.out, printed.err)


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("healthy")
    run(root, marked_groups(64), learning_rate=3e-3)
    return root


def test_a_healthy_run_is_exit_0(healthy: Path, crosstune: Crosstune) -> None:
    done = crosstune("doctor", healthy)
    assert done.code == 0, done.err
    assert "no diagnosis: it looks healthy" in done.out
    assert "step 48 of 48" in done.out


def test_a_healthy_run_as_json(healthy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = _call(capsys, "doctor", healthy, "--json")
    found = json.loads(done.out)
    assert done.code == 0
    assert (found["healthy"], found["diagnoses"], found["state"]) == (True, [], "done")
    assert found["figures"]["gain"] == pytest.approx(
        1 - found["figures"]["loss"] / found["figures"]["flat_loss"], rel=1e-6
    )


def test_figures_that_overflowed_are_no_numbers_in_json(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(healthy, tmp_path / "run")
    (log,) = (tmp_path / "run").rglob("train_log.jsonl")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    last = max(number for number, row in enumerate(rows) if "grad_norm" in row)
    rows[last]["grad_norm"] = float("nan")
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = _call(capsys, "doctor", tmp_path / "run", "--json")

    def refuse(word: str) -> None:
        raise AssertionError(word)

    assert json.loads(done.out, parse_constant=refuse)["figures"]["grad_norm"] is None


def test_a_stopped_run_is_exit_1_and_mended_by_what_is_said(
    recipe: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The whole way: the training stops with the diagnosis, the command repeats it, the settings that it
    names train to the end, and the run then is another one."""
    words = [recipe, f"run_dir={tmp_path / 'run'}", "train.teacher=none", "train.precision=fp32"]
    for stage in ("retrieve", "mine"):
        assert _call(capsys, stage, *words).code == 0
    stopped = _call(capsys, "train", *words, "train.learning_rate=1", "train.warmup=0", "train.epochs=30")
    assert stopped.code == 1
    assert "constant and have no gradient" in stopped.err
    done = _call(capsys, "doctor", tmp_path / "run")
    assert done.code == 1
    assert "the training suffers from learning_rate_too_high" in done.err
    assert "training stopped" in done.out
    change = re.search(r"in the recipe: (.*)", done.out)
    assert change is not None
    mended = _call(capsys, "train", *words, *change[1].split(), "train.epochs=2")
    assert mended.code == 0, mended.err
    after = json.loads(_call(capsys, "doctor", tmp_path / "run", "--json").out)
    assert after["state"] == "done"
    assert after["plan"]["learning_rate"] == 1e-4


def test_the_benchmark_of_quality_keeps_what_the_doctor_says(
    healthy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(DOCUMENT.parents[1] / "scripts")
    bench = importlib.import_module("bench_quality")
    leaking = tmp_path / "14"
    shutil.copytree(healthy / "train", leaking / "train")
    kept = json.loads((leaking / "train" / "doctor.json").read_text())
    kept["data"]["leaks"] |= {"equal": 20}
    (leaking / "train" / "doctor.json").write_text(json.dumps(kept))
    row = {
        "collection": "words",
        "diagnoses": {"13": bench._diagnoses(healthy), "14": bench._diagnoses(leaking)},
    }
    assert [d["name"] for found in row["diagnoses"].values() for d in found] == ["label_leak"]
    (line,) = bench._doctor_says([row])
    assert line.startswith("words, seed 14: the doctor says label_leak")
    assert "'with_the_text_of_a_training_query': 20" in line
    row["diagnoses"].pop("14")
    assert bench._doctor_says([row]) == ["the doctor has no diagnosis of any of the 1 trainings"]


def test_a_folder_without_a_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    done = _call(capsys, "doctor", tmp_path)
    assert done.code == 2
    assert f"{tmp_path}: no training has begun there" in done.err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "doctor.json: no such file; a run of a collection"),
        ('{"schema": 2}', "doctor.json: schema 2, 1 was expected; train again"),
        ('{"schema": 1}', "doctor.json: is not what training writes ('plan'); train again"),
        ("{", "doctor.json:1: not valid JSON"),
    ],
)
def test_a_report_that_cannot_be_read(
    content: str | None, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "train").mkdir()
    if content is not None:
        (tmp_path / "train" / "doctor.json").write_text(content)
    done = _call(capsys, "doctor", tmp_path)
    assert done.code == 2
    assert message in done.err


def test_a_log_that_a_kill_has_cut_is_read_up_to_there(
    healthy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    partial = tmp_path / ".train.partial"
    partial.mkdir()
    log = (healthy / "train" / "train_log.jsonl").read_text().splitlines(keepends=True)
    (partial / "train_log.jsonl").write_text("".join(log[:5]) + log[5][:10])
    (partial / "doctor.json").write_text((healthy / "train" / "doctor.json").read_text())
    assert f"step {json.loads(log[4])['step']} of 48" in _call(capsys, "doctor", tmp_path).out
    (partial / "train_log.jsonl").write_text("".join(log[:2]) + "no entry\n")
    damaged = _call(capsys, "doctor", tmp_path)
    assert damaged.code == 2
    assert "train_log.jsonl:3: not valid JSON" in damaged.err


def test_the_document_has_a_row_for_every_diagnosis() -> None:
    table = DOCUMENT.read_text(encoding="utf-8").split("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)
    assert sorted(rows) == sorted(get_args(DiagnosisName))
