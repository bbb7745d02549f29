"""Runs that are reported to trackers, each read back, and trackers that cannot be reached."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune
from mlflow import MlflowClient
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from crosstune.files import sha256_folder
from wandb_log import records

NOWHERE = "http://127.0.0.1:9"
"""A port on which nothing listens."""


@pytest.fixture
def unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Servers that refuse every connection, and clients that do not try for minutes."""
    for name, value in {
        "WANDB_MODE": "online",
        "WANDB_BASE_URL": NOWHERE,
        "WANDB_API_KEY": "0" * 40,
        "WANDB_INIT_TIMEOUT": "4",
        "MLFLOW_TRACKING_URI": NOWHERE,
        "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)


def _figures(run: Path) -> dict[str, float]:
    splits = json.loads((run / "evaluate" / "metrics.json").read_text())["splits"]["test"]
    return {f"final/{system}/{m}": v for system, values in splits.items() for m, v in values.items()}


def _dev_curve(run: Path) -> dict[int, float]:
    rows = [json.loads(line) for line in (run / "train" / "train_log.jsonl").read_text().splitlines()]
    return {row["step"]: row["eval_nDCG@10"] for row in rows if "eval_nDCG@10" in row}


def _facts(recipe: Path, run: Path) -> dict[str, Any]:
    """What a run is to be found again by."""
    return {
        "name": "tiny",
        "train.epochs": 2.0,
        "train.lora.rank": None,
        "mine.negatives": 3,
        "data_fingerprint": sha256_folder(recipe.parent / "collection"),
    }


def test_tensorboard_has_parameters_dev_curve_and_final_table(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", recipe, "train.report_to=[tensorboard]")
    assert done.code == 0, done.err
    run = recipe.parent / "runs" / "tiny"
    seen = EventAccumulator(str(run / "train" / "tensorboard"))
    seen.Reload()

    def text(name: str) -> str:
        (event,) = seen.Tensors(f"{name}/text_summary")
        return str(event.tensor_proto.string_val[0].decode())

    parameters = json.loads(text("parameters").removeprefix("```json").removesuffix("```"))
    assert parameters.items() >= _facts(recipe, run).items()
    assert {event.step: event.value for event in seen.Scalars("eval/nDCG@10")} == pytest.approx(
        _dev_curve(run)
    )
    for name, value in _figures(run).items():
        assert [event.value for event in seen.Scalars(name)] == [pytest.approx(value)]
    assert f"| tuned | {_figures(run)['final/tuned/nDCG@10']:.4f} |" in text("final/table")
    assert "report.html" in text("final/files")


@pytest.mark.slow
def test_wandb_offline_has_parameters_dev_curve_system_use_table_and_report(
    tmp_path: Path, recipe: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_DIR", str(tmp_path))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path))
    done = crosstune("run", recipe, "train.report_to=[wandb]", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["splits"], "nothing of wandb's is on standard output"
    run = recipe.parent / "runs" / "tiny"
    logs = sorted(tmp_path.glob("wandb/offline-run-*/run-*.wandb"))
    assert len({log.name for log in logs}) == 1, "training and evaluation are one run"
    found = [record for log in logs for record in records(log)]
    config = {i.key: json.loads(i.value_json) for r in found for i in r.run.config.update}
    assert config.items() >= _facts(recipe, run).items()
    rows = [
        {i.key or "/".join(i.nested_key): json.loads(i.value_json) for i in record.history.item}
        for record in found
        if record.HasField("history")
    ]
    curve = {row["train/global_step"]: row["eval/nDCG@10"] for row in rows if "eval/nDCG@10" in row}
    assert curve == pytest.approx(_dev_curve(run))
    assert [row["final/table/nrows"] for row in rows if "final/table/nrows" in row] == [
        len(json.loads(done.out)["splits"]["test"])
    ]
    summary = {i.key: json.loads(i.value_json) for r in found for i in r.summary.update}
    assert summary.items() >= _figures(run).items()
    assert any(item.key.startswith("system.") or "cpu" in item.key for r in found for item in r.stats.item)
    names = {e.path for r in found for e in r.request.log_artifact.artifact.manifest.contents}
    names |= {e.path for r in found for e in r.artifact.manifest.contents}
    assert {"report.html", "metrics.json"} <= names


@pytest.mark.slow
def test_mlflow_has_parameters_dev_curve_system_use_table_and_report(
    tmp_path: Path, recipe: Path, crosstune: Crosstune, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store)
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.2")
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLES_BEFORE_LOGGING", "1")
    done = crosstune("run", recipe, "train.report_to=[mlflow]")
    assert done.code == 0, done.err
    run = recipe.parent / "runs" / "tiny"
    client = MlflowClient(store)
    (experiment,) = client.search_experiments(filter_string="name = 'crosstune'")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.status == "FINISHED"
    assert kept.info.run_name == "tiny"
    assert kept.data.params.items() >= {key: str(v) for key, v in _facts(recipe, run).items()}.items()
    curve = client.get_metric_history(kept.info.run_id, "eval_nDCG_10")
    assert {point.step: point.value for point in curve} == pytest.approx(_dev_curve(run))
    figures = {name.replace("@", "_"): value for name, value in _figures(run).items()}
    assert {name: kept.data.metrics[name] for name in figures} == pytest.approx(figures)
    assert "system/cpu_utilization_percentage" in kept.data.metrics
    files = {file.path for file in client.list_artifacts(kept.info.run_id, "final")}
    assert files == {"final/report.html", "final/metrics.json", "final/table.json"}


@pytest.mark.slow
@pytest.mark.usefixtures("unreachable")
@pytest.mark.parametrize("tracker", ["wandb", "mlflow"])
def test_a_run_goes_on_without_a_tracker_that_cannot_be_reached(
    tracker: str, recipe: Path, crosstune: Crosstune
) -> None:
    done = crosstune("run", recipe, f"train.report_to=[{tracker}]")
    assert done.code == 0, done.err
    assert f"  {tracker}: " in done.err
    assert "the training goes on without it" in done.err
    assert (recipe.parent / "runs" / "tiny" / "export" / "manifest.json").is_file()


def test_a_tracker_that_fails_on_the_way_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As on a disk that is full, or a server that goes away."""
    from torch.utils.tensorboard import SummaryWriter

    from training import train_tiny

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(SummaryWriter, "add_scalar", full)
    out, _ = train_tiny(tmp_path, "out", teacher="none", report_to=["tensorboard"])
    told = capsys.readouterr().err
    assert told.count("tensorboard: OSError: [Errno 28] No space left on device; the training goes on") == 1
    assert (out / "model" / "model.safetensors").is_file()


def test_a_training_that_goes_on_reports_to_its_run(tmp_path: Path) -> None:
    """The dev curve of an interrupted training is whole, in one run."""
    from crosstune.train import train
    from crosstune.train.checkpoints import Checkpoints
    from training import dev_of, random_groups, tiny_settings, train_tiny

    settings = {"epochs": 2, "evaluations": 2, "teacher": "none", "report_to": ["tensorboard"]}
    marked = Checkpoints.on_save

    def killed(self: Checkpoints, *arguments: object, **named: object) -> None:
        marked(self, *arguments, **named)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "on_save", killed)
        with pytest.raises(KeyboardInterrupt):
            train_tiny(tmp_path, "out", **settings)
    groups, out = random_groups(24), tmp_path / "out"
    collection, run = dev_of(groups[:12])
    train(groups, collection, run, str(tmp_path / "base"), tiny_settings(**settings), 5, out)
    seen = EventAccumulator(str(out / "tensorboard"))
    seen.Reload()
    assert [event.step for event in seen.Scalars("eval/nDCG@10")] == [3, 6]


def test_the_old_key_is_told_with_the_new_one(recipe: Path, crosstune: Crosstune) -> None:
    done = crosstune("run", recipe, "train.wandb=true", "--dry-run")
    assert done.code == 2
    assert "train.wandb is no key any more" in done.err
    assert "train.report_to=[wandb]" in done.err
