"""`crosstune score --engine ray` on a cluster of this machine: the same bytes, though a worker is killed."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import WORDS, Crosstune

from crosstune.cluster import workers_of
from crosstune.errors import InputError
from crosstune.serve.bulk.pairs import Pair
from ray_cluster import cluster, processes, until
from served import tiny_export

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    with cluster() as running:
        yield running


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    rng = random.Random(2)
    rows = (
        {"query": " ".join(rng.choices(WORDS, k=2)), "document": " ".join(rng.choices(WORDS, k=30))}
        for _ in range(8000)
    )
    path = tmp_path / "pairs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_the_same_bytes_as_locally_though_a_worker_is_killed(
    address: str, pairs: Path, crosstune: Crosstune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    local, spread = tmp_path / "local.jsonl", tmp_path / "spread.jsonl"
    assert crosstune("score", tiny_export(), "--pairs", pairs, "--out", local).code == 0
    words = ["score", tiny_export(), "--pairs", pairs, "--out", spread, "--engine", "ray", "--workers", 2]
    running = subprocess.Popen(
        [sys.executable, "-m", "crosstune.cli", *map(str, words)], stderr=subprocess.PIPE
    )
    part = spread.with_name("spread.jsonl.part")
    try:
        assert until(lambda: running.poll() is not None or (part.exists() and part.stat().st_size > 0))
        workers = processes("ray::Worker")
        assert running.poll() is None and workers, "it was to be killed in the middle"
        workers[0].kill()
    finally:
        _, told = running.communicate(timeout=300)
    assert running.returncode == 0, told.decode()
    assert b"2 workers on 1 machine" in told
    assert spread.read_bytes() == local.read_bytes()


def test_a_machine_without_the_export_is_named(address: str, tmp_path: Path) -> None:
    import ray

    from crosstune.serve.bulk.on_ray import RayScoring, Worker

    worker = ray.remote(num_cpus=0)(Worker).remote(str(tmp_path / "nothing"), "onnx", "0")
    with pytest.raises(
        InputError, match=r"nothing/manifest\.json: is not there or another export on the machine"
    ):
        list(RayScoring([worker], "onnx").scored(iter([[Pair("open", "a file")]])))


def test_what_cannot_be_done_is_one_message(
    address: str, pairs: Path, crosstune: Crosstune, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_ADDRESS", address)
    words = ("score", tiny_export(), "--pairs", pairs, "--out", tmp_path / "out.jsonl")
    assert "no such engine" in crosstune(*words, "--engine", "spark").err
    assert "--workers belongs to --engine ray" in crosstune(*words, "--workers", 2).err
    bad = Path(shutil.copy(pairs, tmp_path / "bad.jsonl"))
    bad.write_text(bad.read_text() + "{}\n")
    done = crosstune(
        "score", tiny_export(), "--pairs", bad, "--out", tmp_path / "out.jsonl", "--engine", "ray"
    )
    assert done.code == 2
    assert "bad.jsonl:8001: a text under 'query' was expected" in done.err
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    assert "look at RAY_ADDRESS" in crosstune(*words, "--engine", "ray").err


@pytest.mark.usefixtures("address")
def test_more_workers_than_processors_are_refused() -> None:
    wanted = "Ray: 3 workers wanted, each with a processor, and the cluster has 2; give workers"
    with pytest.raises(InputError, match=wanted), workers_of(Pair, (), 3):
        pytest.fail("the third would wait for ever")
