"""A service's life: keys that change, models that are replaced, signals, bad folders."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from crosstune.errors import InputError
from crosstune.serve import Reranker
from crosstune.serve.http.keys import Keys
from crosstune.serve.http.options import Options
from crosstune.serve.http.reload import Reloader
from crosstune.serve.http.service import Service
from sealed import rewrite
from served import Served, serving, tiny_export

OLD, NEW = "old-key-0123456789abcdef", "new-key-0123456789abcdef"
BODY = {
    "model": "export",
    "query": "open the file",
    "documents": ["close it", "open a file", "sort the list"],
}


def _until(condition: Callable[[], bool], seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def _status(served: Served, key: str) -> int:
    return served.post("/jina/v1/rerank", BODY | {"model": "tiny"}, Authorization=f"Bearer {key}").status


def test_keys_are_needed_and_rotated_without_a_restart(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(f"one {OLD}\n")
    with serving(tiny_export(), "--keys", keys) as served:
        assert _status(served, OLD) == 200
        for wrong in (NEW, OLD[:-1], OLD + "x", "", OLD.upper(), "Bearer " + OLD):
            assert _status(served, wrong) == 401, wrong
        nobody = served.post("/tei/rerank", {"query": "a", "texts": ["b"]})
        assert (nobody.status, nobody.headers["www-authenticate"]) == (401, "Bearer")
        assert [served.get(path).status for path in ("/health", "/ready", "/")] == [200, 200, 200]
        assert [served.get(path).status for path in ("/info", "/metrics", "/openapi.json")] == [401] * 3
        keys.write_text(f"one {OLD}\ntwo {NEW}\n")
        assert _until(lambda: _status(served, NEW) == 200)
        assert _status(served, OLD) == 200, "both count while clients change over"
        keys.write_text("damaged\n")
        assert _until(lambda: bool(served.events("keys not replaced, those before go on")))
        assert _status(served, NEW) == 200
        keys.write_text(f"two {NEW}\n")
        assert _until(lambda: _status(served, OLD) == 401)
        assert _status(served, NEW) == 200
        assert {row["key"] for row in served.events("request")} == {"one", "two", None}
        assert OLD not in json.dumps(served.log) and NEW not in json.dumps(served.log)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "holds no key"),
        ("# only a comment\n", "holds no key"),
        ("one short\n", "keys:1: not a key"),
        (f"one {OLD}\none {NEW}\n", "keys:2: the name 'one'"),
        (f"one {OLD} more\n", "keys:1: not a key"),
        (f"o\x07ne {OLD}\n", "keys:1: not a key"),
    ],
)
def test_a_key_file_that_is_none(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "keys").write_text(text)
    with pytest.raises(InputError, match=message) as refused:
        Keys(tmp_path / "keys")
    assert OLD not in str(refused.value)


def test_a_key_of_a_bearer_alone(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text(f"one {OLD}\ntwo {NEW}\n")
    keys = Keys(tmp_path / "keys")
    assert keys.name_of(f"Bearer {OLD}") == "one"
    assert keys.name_of(f"bearer {NEW}") == "two"
    for wrong in (None, "", OLD, f"Basic {OLD}", "Bearer", "Bearer \ud800", f"Bearer {OLD}\u00e9"):
        assert keys.name_of(wrong) is None


def test_keys_that_cannot_be_read_for_a_moment_are_read_again(tmp_path: Path) -> None:
    """A disk may answer with any error; here with that of a link to itself."""
    path = tmp_path / "keys"
    path.write_text(f"old {'o' * 20}\n")
    keys = Keys(path)
    service = Service({}, Options(reload_seconds=0.02))

    def refused() -> float:
        found = service.metrics.registry.get_sample_value("crosstune_reloads_total", {"result": "refused"})
        return found or 0.0

    async def run() -> None:
        task = asyncio.create_task(Reloader(service, {}, keys).run())
        path.unlink()
        path.symlink_to(path)
        while refused() < 2:
            await asyncio.sleep(0.02)
        path.unlink()
        path.write_text(f"new {'n' * 20}\n")
        while keys.name_of(f"Bearer {'n' * 20}") is None:
            await asyncio.sleep(0.02)
        task.cancel()

    asyncio.run(asyncio.wait_for(run(), 60))
    service.close()
    assert keys.name_of(f"Bearer {'o' * 20}") is None


def test_a_new_export_takes_over_without_a_failed_request(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    shutil.copytree(tiny_export(), folder)
    texts = BODY["documents"]
    assert isinstance(texts, list)
    scores = {
        seed: [round(hit.score, 4) for hit in Reranker(tiny_export(seed)).rank("open the file", texts)]
        for seed in (0, 1)
    }
    found: list[tuple[int, list[float]]] = []
    stop = threading.Event()
    with serving(f"export={folder}") as served:

        def ask() -> None:
            while not stop.is_set():
                reply = served.post("/cohere/v2/rerank", BODY)
                rows = reply.json.get("results", [])
                found.append((reply.status, [round(row["relevance_score"], 4) for row in rows]))

        clients = [threading.Thread(target=ask) for _ in range(3)]
        for client in clients:
            client.start()
        try:
            assert _until(lambda: len(found) > 5)
            _replace(folder, tiny_export(1))
            assert _until(lambda: bool(served.events("model replaced")))
            enough = len(found) + 10
            assert _until(lambda: len(found) > enough)
            _damage(folder)
            assert _until(lambda: bool(served.events("model not replaced, the one before goes on")))
            assert "sha256" in served.get("/info").json["models"][0]["reload_error"]
            enough = len(found) + 10
            assert _until(lambda: len(found) > enough)
        finally:
            stop.set()
            for client in clients:
                client.join()
        assert served.metric("crosstune_reloads_total") >= 2
    assert {status for status, _ in found} == {200}
    assert all(row in scores.values() for _, row in found), "an answer is one model's or the other's"
    assert found[0][1] == scores[0] and found[-1][1] == scores[1]


def _replace(folder: Path, by: Path) -> None:
    """As the export stage does: a whole folder beside it, then two renames."""
    shutil.copytree(by, folder.with_name("new"))
    folder.rename(folder.with_name("old"))
    folder.with_name("new").rename(folder)


def _damage(folder: Path) -> None:
    """A manifest that says one thing and a graph that is another."""
    graph = folder / "onnx" / "model.onnx"
    content = bytearray(graph.read_bytes())
    content[len(content) // 2] ^= 1
    graph.write_bytes(content)
    (folder / "manifest.json").write_text((folder / "manifest.json").read_text() + " ")


def test_sigterm_lets_the_requests_in_flight_end(tmp_path: Path) -> None:
    body = {"query": "open", "texts": ["open the file " * 30] * 1000}
    replies: list[int] = []
    with serving(tiny_export(), "--batch-tokens", 256, "--drain-seconds", 0.5) as served:
        client = threading.Thread(target=lambda: replies.append(served.post("/tei/rerank", body).status))
        client.start()
        assert _until(lambda: served.metric("crosstune_queued_seconds") > 0)
        served.process.send_signal(signal.SIGTERM)
        assert _until(lambda: served.get("/ready").status == 503, 5), "told before the door closes"
        client.join()
        assert replies == [200]
        assert served.process.wait(30) == 0


def test_a_killed_service_starts_again_on_its_port(tmp_path: Path) -> None:
    with serving(tiny_export()) as served:
        port = served.address[1]
        served.process.kill()
        served.process.wait()
        with serving(tiny_export(), "--port", port) as again:
            assert again.get("/ready").status == 200


def test_the_page_is_off_in_production() -> None:
    with serving(tiny_export(), "--production") as served:
        assert [served.get(path).status for path in ("/", "/demo.js", "/demo.css")] == [404] * 3
        assert served.get("/ready").status == 200


def test_texts_are_logged_only_when_asked_for() -> None:
    for options, expected in (((), False), (("--log-texts",), True)):
        with serving(tiny_export(), *options) as served:
            served.post("/jina/v1/rerank", BODY | {"model": "tiny"})
            assert _until(lambda: bool(served.events("request")))
            assert ("sort the list" in json.dumps(served.log)) is expected


def _refused(*words: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "crosstune.cli", "serve", *map(str, words)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    return done.stderr


def test_what_cannot_be_served_is_one_message(tmp_path: Path) -> None:
    assert "manifest.json: no such file" in _refused(tmp_path)
    assert "already served; give another as NAME=" in _refused(tiny_export(), tiny_export())
    assert "cannot be a model's name" in _refused(f"a b={tiny_export()}")
    assert "no such wire format" in _refused(tiny_export(), "--style", "soap")
    assert "keys: no such file" in _refused(tiny_export(), "--keys", tmp_path / "keys")
    with serving(tiny_export()) as served:
        assert "cannot be used" in _refused(tiny_export(), "--port", served.address[1])


def test_an_export_without_parity_is_refused(tmp_path: Path) -> None:
    shutil.copytree(tiny_export(), tmp_path / "model")
    rewrite(tmp_path / "model", parity=None)
    assert "has no parity result" in _refused(tmp_path / "model")
