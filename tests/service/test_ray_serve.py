"""deploy/ray_serve.yaml on a cluster of this machine: two replicas, of which one is killed under load."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from crosstune.errors import InputError
from crosstune.serve import Reranker
from ports import free_port
from ray_cluster import cluster, processes, until
from served import tiny_export

pytestmark = pytest.mark.slow

FILE = Path(__file__).parents[2] / "deploy" / "ray_serve.yaml"
TEXTS = ["close it", "open a file", "sort the list"]


def _ask(url: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url + path, data, {"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, None
    except OSError:
        return 0, None


def _configured(folder: Path, port: int) -> Path:
    """The file as it is, but for the folder, the port and what a replica may claim of two cores."""
    yaml = YAML(typ="safe", pure=True)
    config = yaml.load(FILE.read_text())
    config["http_options"] = {"host": "127.0.0.1", "port": port}
    application = config["applications"][0]
    application["args"]["exports"] = [f"reranker={tiny_export()}"]
    application["deployments"][0]["ray_actor_options"] = {"num_cpus": 0.5}
    with (folder / "ray_serve.yaml").open("w") as handle:
        yaml.dump(config, handle)
    return folder / "ray_serve.yaml"


def test_a_replica_is_killed_under_load_and_another_takes_its_place(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    body = {"model": "reranker", "query": "open the file", "documents": TEXTS}
    expected = [hit.index for hit in Reranker(tiny_export()).rank("open the file", TEXTS)]
    found: list[tuple[int, Any]] = []
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            found.append(_ask(url, "/cohere/v2/rerank", body))

    with cluster() as address:
        words = ["-m", "ray.serve.scripts", "run", "--address", address, str(_configured(tmp_path, port))]
        running = subprocess.Popen(
            [sys.executable, *words],
            stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=os.environ.copy(),
        )
        clients = [threading.Thread(target=load) for _ in range(3)]
        try:
            assert until(lambda: running.poll() is None and _ask(url, "/ready")[0] == 200)
            assert until(lambda: len(processes("ServeReplica")) == 2)
            for client in clients:
                client.start()
            assert until(lambda: sum(status == 200 for status, _ in found) > 20)
            killed = processes("ServeReplica")[0]
            killed.kill()
            enough = len(found) + 40
            assert until(lambda: len(found) > enough)
            assert until(lambda: len({p.pid for p in processes("ServeReplica")} - {killed.pid}) == 2)
            after = len(found)
            assert until(lambda: len(found) > after + 20)
        finally:
            stop.set()
            for client in clients:
                if client.ident is not None:
                    client.join()
            running.terminate()
            running.wait(60)
    right = [[row["index"] for row in answer["results"]] for status, answer in found if status == 200]
    assert all(order == expected for order in right), "no answer is wrong"
    lost = [status for status, _ in found if status != 200]
    assert len(lost) <= len(clients), "no more than what the killed one had in hand"
    assert all(status == 200 for status, _ in found[after + len(clients) :])


def test_settings_that_are_none_are_refused() -> None:
    from crosstune.serve.http.on_ray import app

    with pytest.raises(InputError, match=r"args: unknown queue; known are backends, batch_tokens"):
        app({"exports": ["x"], "queue": 1})
    with pytest.raises(InputError, match="exports is missing"):
        app({})
    with pytest.raises(InputError, match="args: style soap: no such wire format; one of cohere, jina"):
        app({"exports": ["x"], "style": "soap"})


@pytest.mark.parametrize(
    ("name", "instead"),
    [
        ("host", "http_options"),
        ("port", "http_options"),
        ("max_connections", "max_ongoing_requests"),
        ("drain_seconds", "graceful_shutdown_wait_loop_s"),
        ("shutdown_seconds", "graceful_shutdown_timeout_s"),
        ("backend", "backends, a list"),
    ],
)
def test_settings_that_are_of_ray_serve_are_refused(name: str, instead: str) -> None:
    from crosstune.serve.http.on_ray import app

    with pytest.raises(InputError, match=rf"args: not taken on Ray Serve: {name} \(use {instead}"):
        app({"exports": ["x"], name: 1})
