"""`engine: ray`: retrieval and mining on a cluster of two nodes, with the bytes of a local run."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Crosstune, write_collection, write_recipe

from crosstune.errors import InputError
from ray_cluster import processes, two_nodes, until

pytestmark = pytest.mark.slow
TAUGHT = ("mine.likely_negative=0.9", "mine.likely_positive=1", "mine.distill_teacher=true")
RAY = ("engine=ray", "workers=2")


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with two_nodes() as running:
        yield running


@pytest.fixture
def taught(tmp_path: Path) -> tuple[object, ...]:
    """A recipe over enough queries for many slices, with a teacher."""
    folder = write_collection(tmp_path / "many", {"train": 900, "dev": 250, "test": 250}, 1500)
    recipe = write_recipe(tmp_path, folder)
    return recipe, *TAUGHT, f"mine.teacher={tmp_path / 'model'}"


def _files(folder: Path) -> dict[str, bytes]:
    """Of a stage; without what two local runs differ in: a measured time, and the mark that `datasets` makes
    of its file's time."""
    files = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    if "retrieve.json" in files:
        summary = json.loads(files["retrieve.json"])
        assert summary.pop("milliseconds_per_query") > 0
        files["retrieve.json"] = json.dumps(summary).encode()
    if "groups/state.json" in files:
        state = json.loads(files["groups/state.json"])
        del state["_fingerprint"]
        files["groups/state.json"] = json.dumps(state).encode()
    return files


def _killed_in_the_middle(words: tuple[object, ...], title: str, begun: Path) -> None:
    """Runs `crosstune WORDS` and kills a worker when `begun` has bytes."""
    running = subprocess.Popen(
        [sys.executable, "-m", "crosstune.cli", *map(str, words)], stderr=subprocess.PIPE, text=True
    )
    try:
        assert until(lambda: running.poll() is not None or (begun.exists() and begun.stat().st_size > 0))
        workers = processes(title)
        assert running.poll() is None and workers, "it was to be killed in the middle"
        workers[0].kill()
    finally:
        _, told = running.communicate(timeout=300)
    assert running.returncode == 0, told


def test_the_same_bytes_as_locally_though_a_worker_is_killed(
    address: str,
    taught: tuple[object, ...],
    crosstune: Crosstune,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    local, spread = tmp_path / "local", tmp_path / "spread"
    for stage in ("retrieve", "mine"):
        done = crosstune(stage, *taught, f"run_dir={local}")
        assert done.code == 0, done.err
    monkeypatch.setenv("RAY_ADDRESS", address)
    done = crosstune("retrieve", *taught, *RAY, f"run_dir={spread}")
    assert done.code == 0, done.err
    assert "2 workers on 2 machines" in done.err
    assert _files(spread / "retrieve") == _files(local / "retrieve")
    words = ("mine", *taught, *RAY, f"run_dir={spread}")
    scored = next((local / ".cache").glob("*.sqlite")).name
    _killed_in_the_middle(words, "ray::MineWorker", spread / ".cache" / f"{scored}-wal")
    assert _files(spread / "mine") == _files(local / "mine")
    # The outcome is the same, so a run begun with one engine goes on with the other.
    assert "mine: up to date" in crosstune("mine", *taught, f"run_dir={spread}").err


def test_what_cannot_be_spread_is_said(
    address: str, recipe: Path, crosstune: Crosstune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = crosstune("retrieve", recipe, "engine=ray", "mine.max_uses=2")
    assert refused.code == 2
    assert "mine.max_uses = 2" in refused.err and "engine = ray" in refused.err
    assert "workers belongs to engine: ray" in crosstune("retrieve", recipe, "workers=2").err
    assert crosstune("retrieve", recipe).code == 0
    monkeypatch.setenv("RAY_ADDRESS", address)
    lists = f"{tmp_path / 'runs/tiny/retrieve'}/{{split}}.trec"
    listed = ("first_stage.kind=trec", f"first_stage.path={lists}", f"run_dir={tmp_path / 'listed'}")
    done = crosstune("retrieve", recipe, *listed, "engine=ray")
    assert done.code == 0, done.err
    assert "trec: searched by this process and not by Ray, since a TREC run is read" in done.err
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    lost = crosstune("mine", recipe, "engine=ray")
    assert lost.code == 2
    assert "Ray cannot be reached at 127.0.0.1:9" in lost.err and "look at RAY_ADDRESS" in lost.err


def test_a_machine_without_the_collection_is_named(address: str, collection: Path, tmp_path: Path) -> None:
    import ray

    from crosstune.data import Bm25Settings
    from crosstune.preparation_on_ray import Origin, RaySearches, SearchWorker

    ray.init(address, ignore_reinit_error=True, log_to_driver=False, logging_level="ERROR")
    origin = Origin.here(collection)
    collection.rename(tmp_path / "moved")
    worker = ray.remote(num_cpus=0)(SearchWorker).remote(origin, Bm25Settings(), [])
    with pytest.raises(InputError, match=r"on the machine .*collection: is not there or another one"):
        list(RaySearches([worker]).found(iter([{"q": "open"}]), 5))
    ray.shutdown()
