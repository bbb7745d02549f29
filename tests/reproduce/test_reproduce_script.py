"""scripts/reproduce_msmarco.sh, fetching from a real HTTP server on loopback that serves ranges."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from test_msmarco_files import write_beir

from crosstune.data import build_mini_msmarco
from families import tiny_base

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/reproduce_msmarco.sh"
TRIPLES, TOP, QRELS = "triples.train.small.tsv", "top1000.dev.tsv", "qrels.dev.small.tsv"
SMALL = "max_tokens=48 max_query_tokens=16 batch_pairs=8 steps=2 warmup_steps=1".split()  # noqa: SIM905


class _Ranges(SimpleHTTPRequestHandler):
    """Serves a file from the byte that is asked for, as MS MARCO's own server does."""

    asked: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append((self.path, wanted))
        file = Path(self.translate_path(self.path))
        if not file.is_file():
            self.send_error(404)
            return
        data = file.read_bytes()
        first = int(re.findall(r"\d+", wanted)[0]) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(data) - first))
        if wanted:
            self.send_header("Content-Range", f"bytes {first}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        self.wfile.write(data[first:])

    def log_message(self, *_: object) -> None:
        pass


class Published:
    """A folder of archives, the server before it, and what a call of the script asked of it."""

    def __init__(self, folder: Path, url: str, asked: list[tuple[str, str | None]]) -> None:
        self.folder, self.url, self.asked = folder, url, asked


@pytest.fixture
def published(tmp_path: Path) -> Iterator[Published]:
    made = tmp_path / "made"
    build_mini_msmarco(made, depth=20, dev_queries=8, negatives=3, source=write_beir(tmp_path / "beir"))
    web = tmp_path / "web"
    web.mkdir()
    for name in (TRIPLES, TOP):
        with tarfile.open(web / name.replace(".tsv", ".tar.gz"), "w:gz") as archive:
            archive.add(made / name, name)
    shutil.copy(made / "qrels.dev.tsv", web / QRELS)
    asked: list[tuple[str, str | None]] = []
    handler = type("Handler", (_Ranges,), {"asked": asked})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(web)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield Published(web, f"http://127.0.0.1:{server.server_port}", asked)
    server.shutdown()


def _checked(script: str, published: Published, made: Path) -> str:
    """The script with the checksums and line counts of the small files in place of MS MARCO's."""
    for name in (TRIPLES, TOP, QRELS):
        archive = published.folder / (name if name == QRELS else name.replace(".tsv", ".tar.gz"))
        lines = (made / name.replace("dev.small", "dev")).read_bytes().count(b"\n")
        digest = hashlib.md5(archive.read_bytes()).hexdigest()
        script, count = re.subn(
            rf"^(fetch {re.escape(name)} \S+) [0-9a-f]{{32}} \d+$",
            rf"\1 {digest} {lines}",
            script,
            flags=re.M,
        )
        assert count == 1, name
    return script


@pytest.fixture
def small(published: Published, tmp_path: Path) -> Path:
    """A project folder whose script expects the small files; its recipes are the shipped ones."""
    (tmp_path / "a project/scripts").mkdir(parents=True)
    shutil.copytree(ROOT / "recipes", tmp_path / "a project/recipes")
    path = tmp_path / "a project/scripts" / SCRIPT.name
    path.write_text(_checked(SCRIPT.read_text(), published, tmp_path / "made"))
    return path


def _call(script: Path, published: Published, cwd: Path, *words: object) -> subprocess.CompletedProcess[str]:
    command = cwd / "crosstune"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m crosstune.cli "$@"\n')
    command.chmod(0o755)
    return subprocess.run(
        ["bash", str(script), *map(str, words)],
        cwd=cwd,
        env=os.environ
        | {"MSMARCO_URL": published.url, "CROSSTUNE": str(command), "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_it_fetches_goes_on_checks_runs_and_compares(
    small: Path, published: Published, tmp_path: Path
) -> None:
    data = tmp_path / "ms marco"
    data.mkdir()
    archive = (published.folder / "triples.train.small.tar.gz").read_bytes()
    (data / "triples.train.small.tar.gz.part").write_bytes(archive[:100])
    words = [
        "base",
        "ms marco",
        f"model={tiny_base(tmp_path / 'base', 'bert')}",
        *(f"train.{w}" for w in SMALL),
    ]
    done = _call(small, published, tmp_path, *words, "evaluate.figure=0.99", "run_dir=out")
    assert done.returncode == 1, done.stderr
    assert "NOT reproduced" in done.stdout
    assert ("/triples.train.small.tar.gz", "bytes=100-") in published.asked
    assert {path.name for path in data.iterdir()} == {TRIPLES, TOP, QRELS, "SHA256SUMS"}
    assert json.loads((tmp_path / "out/evaluate/metrics.json").read_text())["published"]["figure"] == 0.99
    published.asked.clear()
    again = _call(small, published, tmp_path, *words, "evaluate.tolerance=1", "run_dir=out")
    assert (again.returncode, published.asked) == (0, []), again.stderr
    (data / TRIPLES).write_text((data / TRIPLES).read_text().replace("a", "b", 1))
    changed = _call(small, published, tmp_path, *words, "run_dir=out")
    assert changed.returncode == 2
    assert "has changed since it was first checked" in changed.stderr


def test_what_is_not_the_published_file_is_named(small: Path, published: Published, tmp_path: Path) -> None:
    theirs = _call(SCRIPT, published, tmp_path, "base", "data")
    assert theirs.returncode == 2
    assert "data/triples.train.small.tar.gz.whole is damaged or not the published file" in theirs.stderr
    shutil.rmtree(tmp_path / "data")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / TRIPLES).write_text("a\tb\tc\n")
    short = _call(small, published, tmp_path, "large", "data")
    assert short.returncode == 2
    assert f"data/{TRIPLES} has 1 lines, " in short.stderr
    (tmp_path / "data" / TRIPLES).unlink()
    (published.folder / "top1000.dev.tar.gz").unlink()
    gone = _call(small, published, tmp_path, "large", "data")
    assert gone.returncode == 2
    assert "top1000.dev.tar.gz could not be fetched" in gone.stderr
    assert "set MSMARCO_URL to a mirror" in gone.stderr
    wrong = _call(small, published, tmp_path, "tiny", "data")
    assert (wrong.returncode, wrong.stderr) == (2, "reproduce: tiny: base or large was expected\n")
