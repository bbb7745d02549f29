"""Infinity's own server, in an environment of its own, and `crosstune parity` asking it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import Crosstune, tiny_run

from environments import installed
from ports import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),
    pytest.mark.skipif(sys.version_info >= (3, 13), reason="Infinity needs numpy 1, too old for it"),
]

PACKAGES = (
    "torch",
    "infinity-emb[server,torch]==0.0.78",
    "optimum<2",  # it has the BetterTransformer that Infinity imports, as has this transformers
    "transformers==4.48.3",
    "pyarrow<23",  # of numpy 1
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_run(tmp_path_factory.mktemp("infinity"))


@pytest.fixture(scope="module")
def url(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    bin_folder = installed(tmp_path_factory.mktemp("peers") / "venv", *PACKAGES)
    port = free_port()
    words = ("v2", "--model-id", run / "export", "--engine", "torch", "--device", "cpu", "--dtype", "float32")
    address = ("--host", "127.0.0.1", "--port", str(port), "--no-bettertransformer", "--no-model-warmup")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "DO_NOT_TRACK": "1"}
    log = run.parent / "infinity.log"
    with log.open("w") as out:
        server = subprocess.Popen(
            [bin_folder / "infinity_emb", *words, *address], env=environment, stdout=out, stderr=out
        )
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


def test_infinity_ranks_as_the_helper_does(run: Path, url: str, crosstune: Crosstune) -> None:
    done = crosstune("parity", run / "export", "--url", url, "--style", "infinity", "--json")
    assert done.code == 0, done.err
    found = json.loads(done.out)
    assert (found["kendall_tau"], found["top10_overlap"]) == (1.0, 1.0)
    assert found["ndcg"] == found["helper_ndcg"]
    assert (found["scale"], found["pairs"] >= 100) == ("logit", True)
    assert found["largest_difference"] < 1e-4


def _wait(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(address, timeout=5).close()
            return
        except OSError:
            time.sleep(0.5)
    raise AssertionError(log.read_text())
