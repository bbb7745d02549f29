"""`crosstune run` and the stage commands, through the real command line."""

from __future__ import annotations

import csv
import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Crosstune

from crosstune.run import STAGES

SYSTEMS = ["first_stage", "base", "tuned", "fused", "ceiling"]


def _skipped(err: str) -> list[str]:
    return re.findall(r"^(\w+): skipped", err, flags=re.MULTILINE)


def _did(err: str) -> list[str]:
    return re.findall(r"^(\w+): done", err, flags=re.MULTILINE)


def test_the_main_job(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    first = crosstune("run", recipe, "--query", "open the file")
    assert first.code == 0, first.err
    assert _did(first.err) == list(STAGES)
    root = tmp_path / "runs" / "tiny"

    metrics = json.loads((root / "evaluate" / "metrics.json").read_text())
    assert metrics["schema"] == 1
    kept = json.loads((root / "train" / "fusion.json").read_text())["kept"]
    systems = [system for system in SYSTEMS if kept or system != "fused"]
    assert list(metrics["splits"]["test"]) == systems
    for system in systems:
        assert 0 <= metrics["splits"]["test"][system]["nDCG@10"] <= 1
        assert f"{metrics['splits']['test'][system]['nDCG@10']:.3f}"[1:] in first.out
    with (root / "evaluate" / "per_query.csv").open() as handle:
        assert len(list(csv.DictReader(handle))) == 10
    assert "<html" in (root / "evaluate" / "report.html").read_text()
    assert (root / "train" / "train_log.jsonl").read_text().count("eval_nDCG@10") == 2
    manifest = json.loads((root / "export" / "manifest.json").read_text())
    assert "onnx/model.onnx" in manifest["files"]
    assert "open the file" in first.out

    again = crosstune("run", recipe)
    assert again.code == 0
    assert _skipped(again.err) == list(STAGES)
    assert [p.name for p in root.iterdir() if p.name.endswith((".partial", ".tmp", ".old"))] == []
    assert len([*root.glob(".cache/tokens/*.arrow")]) == 1
    assert [*root.glob("**/tokens")] == [root / ".cache" / "tokens"]


def test_a_second_call_loads_no_model(recipe: Path, crosstune: Crosstune) -> None:
    """transformers alone takes seconds to import."""
    assert crosstune("run", recipe).code == 0
    code = (
        "import sys; sys.modules['transformers'] = None; from crosstune.cli import main; main(sys.argv[1:])"
    )
    command = [sys.executable, "-c", code, "run", str(recipe)]
    again = subprocess.run(command, cwd=recipe.parent, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert _skipped(again.stderr) == list(STAGES)


@pytest.mark.slow
def test_a_changed_setting_runs_its_stage_and_the_later_ones(recipe: Path, crosstune: Crosstune) -> None:
    crosstune("run", recipe)
    changed = crosstune("run", recipe, "mine.negatives=2")
    assert _skipped(changed.err) == ["collection", "retrieve"]
    assert _did(changed.err) == ["mine", "train", "evaluate", "export"]
    forced = crosstune("run", recipe, "mine.negatives=2", "--force", "evaluate")
    assert _did(forced.err) == ["evaluate", "export"]


def test_a_changed_collection_is_noticed(recipe: Path, collection: Path, crosstune: Crosstune) -> None:
    crosstune("retrieve", recipe)
    corpus = collection / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + '{"_id": "new", "title": "", "text": "a new passage"}\n')
    plan = crosstune("run", recipe, "--dry-run")
    assert re.search(r"^retrieve\s+run$", plan.out, flags=re.MULTILINE)


def test_a_run_folder_in_the_collection_s_folder(
    recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    for stage in ("retrieve", "mine"):
        assert crosstune(stage, recipe, "collection=beir:.", cwd=collection).code == 0
    assert "retrieve: up to date" in crosstune("retrieve", recipe, "collection=beir:.", cwd=collection).err
    converted = crosstune("retrieve", recipe, "collection=auto:.", cwd=collection)
    assert converted.code == 2
    assert "would find it changed; give a run folder elsewhere with run_dir=PATH" in converted.err


def test_a_dry_run_shows_the_recipe_and_the_plan_and_does_nothing(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    plan = crosstune("run", recipe, "train.epochs=1.5", "--dry-run")
    assert plan.code == 0
    assert "epochs: 1.5" in plan.out
    assert len(re.findall(r"^\w+ +run$", plan.out, flags=re.MULTILINE)) == len(STAGES)
    assert not (tmp_path / "runs").exists()


def test_a_plan_and_a_ranking_as_json(recipe: Path, crosstune: Crosstune) -> None:
    plan = crosstune("run", recipe, "train.epochs=1.5", "--dry-run", "--json")
    told = json.loads(plan.out)
    assert told["recipe"]["train"]["epochs"] == 1.5
    assert told["up_to_date"] == dict.fromkeys(STAGES, False)
    done = crosstune("run", recipe, "--json", "--query", "open the file")
    found = json.loads(done.out)["ranked"]
    assert found["query"] == "open the file" and found["candidates"] > 5
    assert len(found["rows"]) == 5 and {*found["rows"][0]} == {"doc_id", "score", "was", "text"}
    assert len({row["doc_id"] for row in found["rows"]}) == 5


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["evaluate", "RECIPE", "--seed", 0], "--seed belongs to a run"),
        (["evaluate", "RECIPE", "--resamples", 200], "--resamples belongs to a run"),
        (["evaluate", "x.trec", "--msmarco", "--qrels", "x", "--seed", 1], "leave --seed out"),
        (["inspect", "runs/tiny", "q1", "--out", "x"], "--out: the story of a query is printed"),
        (["label", "x", "--endpoint", "http://x", "--model", "m", "--likely-positive", 0.5],
         "--likely-positive: belongs to --cross-encoder"),
        (["synthesize", "x", "--out", "y", "--seq2seq", "m", "--teacher-score", 0.9],
         "--teacher-score: belongs to --teacher MODEL"),
    ],
)  # fmt: skip
def test_options_that_would_do_nothing_are_refused(
    words: list[str], message: str, recipe: Path, collection: Path, tmp_path: Path, crosstune: Crosstune
) -> None:
    (tmp_path / "x.trec").write_text("q1 d1 1\n")
    known = {"RECIPE": recipe, "x": collection}
    done = crosstune(*(known.get(word, word) for word in words))
    assert done.code == 2
    assert message in done.err


def test_stage_commands_one_by_one(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    early = crosstune("train", recipe)
    assert early.code == 2
    assert "the stage retrieve has not been run with these settings" in early.err
    for stage in STAGES[1:]:
        done = crosstune(stage, recipe, "--json")
        assert done.code == 0, done.err
        assert Path(json.loads(done.out)["folder"]).name == stage
    mining = json.loads((tmp_path / "runs" / "tiny" / "mine" / "mining.json").read_text())
    assert mining


def test_json_output_is_one_object(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", recipe, "--json")
    value = json.loads(done.out)
    assert value["splits"]["test"]["tuned"]["nDCG@10"] >= 0
    assert value["run_dir"] == "runs/tiny"


@pytest.mark.slow
def test_two_runs_give_equal_results(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    for name in ("a", "b"):
        crosstune("run", recipe, f"run_dir={tmp_path / name}")
    runs = [(tmp_path / name / "evaluate" / "test.tuned.trec").read_bytes() for name in "ab"]
    assert runs[0] == runs[1]


def test_the_second_of_two_at_once_is_refused_with_the_pid(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "runs" / "tiny"
    holder = subprocess.Popen(
        [sys.executable, "-c", _HOLD.format(root=str(root))], stdout=subprocess.PIPE, text=True
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        refused = crosstune("run", recipe)
    finally:
        holder.kill()
        holder.wait()
    assert refused.code == 2
    assert f"in use by another crosstune (pid {holder.pid})" in refused.err
    assert crosstune("retrieve", recipe).code == 0  # a killed holder leaves no lock behind


_HOLD = """
import time
from pathlib import Path
from crosstune.run import RunFolder, locked
with locked(RunFolder(Path({root!r}))):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_kill_in_each_stage_then_the_same_command(
    tmp_path: Path, recipe: Path, crosstune: Crosstune, stage: str
) -> None:
    whole = tmp_path / "whole"
    assert crosstune("run", recipe, f"run_dir={whole}").code == 0
    killed = tmp_path / "killed"
    _stop_in(stage, recipe, killed, signal.SIGKILL)
    assert not (killed / "export").exists() or stage == "export"
    done = crosstune("run", recipe, f"run_dir={killed}")
    assert done.code == 0, done.err
    for name in ("evaluate/test.tuned.trec", "mine/mining.json", "evaluate/per_query.csv"):
        assert (killed / name).read_bytes() == (whole / name).read_bytes(), name
    assert list(killed.glob(".*.partial")) == []


@pytest.mark.slow
def test_training_goes_on_from_the_last_checkpoint(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    settings = ["train.epochs=30", "train.evaluations=10", "train.patience=30"]
    whole = tmp_path / "whole"
    assert crosstune("run", recipe, f"run_dir={whole}", *settings).code == 0
    killed = tmp_path / "killed"
    process = _start(recipe, killed, *settings)
    _wait(lambda: list(killed.glob(".train.partial/checkpoints/*/complete")), process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = crosstune("run", recipe, f"run_dir={killed}", *settings)
    assert "continuing from checkpoint-" in done.err
    for name in ("model/model.safetensors", "fusion.json", "dev.tuned.trec"):
        assert (killed / "train" / name).read_bytes() == (whole / "train" / name).read_bytes(), name


def test_control_c_is_one_line_and_resumable(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> None:
    root = tmp_path / "stopped"
    process, err = _stop_in("train", recipe, root, signal.SIGINT, "train.epochs=90", "train.evaluations=9")
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.strip().splitlines()[-1] == "stopped; the same command goes on from here"
    assert crosstune("run", recipe, f"run_dir={root}").code == 0


def test_control_c_in_code_run_from_a_string_ends_with_the_code_of_a_stop(tmp_path: Path) -> None:
    # As an import does that makes a dataclass: CPython would die by the signal when it ends.
    (tmp_path / "interrupted.py").write_text(
        "from crosstune import cli\n"
        "cli.app = lambda *words, **settings: exec('raise KeyboardInterrupt')\n"
        "cli.main([])\n"
    )
    command = [sys.executable, "-m", "interrupted"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (130, "stopped; the same command goes on from here\n")


@pytest.mark.slow
def test_control_c_again_and_again_is_one_line_too(
    tmp_path: Path, recipe: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "stopped"
    process = _start(recipe, root, "train.epochs=90", "train.evaluations=9")
    _wait(lambda: list(root.glob(".train.partial/train_log.jsonl")), process)
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
    err = process.communicate()[1]
    assert process.returncode == 130
    assert "Traceback" not in err
    assert err.count("stopped; the same command goes on from here") <= 1
    assert crosstune("run", recipe, f"run_dir={root}").code == 0


def _start(recipe: Path, root: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "crosstune.cli", "run", str(recipe), f"run_dir={root}", *words]
    return subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)


def _stop_in(
    stage: str, recipe: Path, root: Path, how: signal.Signals, *words: str
) -> tuple[subprocess.Popen[str], str]:
    """Starts a run, signals it as soon as `stage` is being worked on, and waits for its end."""
    process = _start(recipe, root, *words)
    # A short stage's folder may come and go between two looks: what is killed then is the stage's end.
    _wait(lambda: (root / f".{stage}.partial").exists() or (root / stage).exists(), process)
    process.send_signal(how)
    return process, process.communicate(timeout=60)[1]


def _wait(condition: object, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 120
    while not condition():  # type: ignore[operator]
        assert process.poll() is None, "the run ended before it could be stopped"
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.slow
def test_checkpoints_of_another_training_are_said_and_kept(
    tmp_path: Path, recipe: Path, collection: Path, crosstune: Crosstune
) -> None:
    root = tmp_path / "runs" / "tiny"
    for stage in ("retrieve", "mine"):
        crosstune(stage, recipe)
    mark = root / ".train.partial" / "checkpoints" / "checkpoint-7" / "complete"
    mark.parent.mkdir(parents=True)
    mark.touch()
    for command in ("train", "run"):
        other = crosstune(command, recipe, "train.epochs=3", "seed=7")
        assert other.code == 2
        assert "other settings (seed: 13 -> 7, train.epochs: 2.0 -> 3.0) up to step 7" in other.err
        assert "Nothing was overwritten" in other.err
        assert "epochs: 2.0" in (root / "recipe.yaml").read_text()
    corpus = collection / "corpus.jsonl"
    corpus.write_text(corpus.read_text() + '{"_id": "new", "title": "", "text": "a new passage"}\n')
    other = crosstune("train", recipe)
    assert other.code == 2
    assert "other data or another crosstune up to step 7" in other.err
    assert mark.is_file()
    begun = crosstune("run", recipe, "--force", "train")
    assert begun.code == 0, begun.err
    assert "continuing" not in begun.err
