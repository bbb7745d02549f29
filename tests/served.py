"""Real servers for tests: `crosstune serve` as a process on loopback, always ended."""

from __future__ import annotations

import atexit
import functools
import http.client
import json
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from crosstune.serve.windows import Windows
from models import tiny_cross_encoder
from sealed import rewrite

START_SECONDS = 180.0


@functools.cache
def tiny_export(seed: int = 0) -> Path:
    """An export folder called `tiny`, made once a test run."""
    from crosstune.export import ExportSettings, export_model
    from crosstune.serve.pairs import LengthRule

    folder = Path(tempfile.mkdtemp(prefix="crosstune-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    model = tiny_cross_encoder(folder / "model", seed)
    pairs = [("open", "a file"), ("sort", "the list")]
    export_model(model, LengthRule(48, 16), pairs, ExportSettings(), {"base_model": "tiny"}, folder / "tiny")
    return folder / "tiny"


@functools.cache
def windowed_export(windows: Windows) -> Path:
    """The same export, also called `tiny`, that reads long documents in windows."""
    from crosstune.serve.manifest import schema_of
    from crosstune.serve.pairs import LengthRule

    folder = Path(tempfile.mkdtemp(prefix="crosstune-test-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    shutil.copytree(tiny_export(), folder / "tiny")
    rule = LengthRule(48, 16, windows=windows)
    rewrite(folder / "tiny", schema=schema_of(rule), length_rule=rule.as_json())
    return folder / "tiny"


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Served:
    """`log`: the lines of the server's log so far, parsed."""

    process: subprocess.Popen[str]
    url: str = ""
    log: list[dict[str, Any]] = field(default_factory=list)
    lines: queue.Queue[str] = field(default_factory=queue.Queue)

    @property
    def address(self) -> tuple[str, int]:
        parts = urlsplit(self.url)
        assert parts.hostname is not None and parts.port is not None
        return parts.hostname, parts.port

    def call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = 60,
    ) -> Reply:
        connection = http.client.HTTPConnection(*self.address, timeout=timeout)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Reply:
        return self.call("GET", path, headers=headers)

    def post(self, path: str, value: Any, **headers: str) -> Reply:
        names = {name.replace("_", "-"): text for name, text in headers.items()}
        return self.call(
            "POST", path, json.dumps(value).encode(), {"Content-Type": "application/json"} | names
        )

    def metric(self, name: str) -> float:
        """The sum of a metric over its labels."""
        lines = self.get("/metrics").body.decode().splitlines()
        found = [line for line in lines if line.startswith((f"{name} ", f"{name}{{"))]
        return sum(float(line.rsplit(" ", 1)[1]) for line in found)

    def events(self, event: str) -> list[dict[str, Any]]:
        while not self.lines.empty():
            self.log.append(json.loads(self.lines.get()))
        return [row for row in self.log if row["event"] == event]

    def wait_for(self, event: str, seconds: float = 120) -> dict[str, Any]:
        """The first line of the log with this event."""
        deadline = time.monotonic() + seconds
        while not (found := self.events(event)) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found[0]


@contextmanager
def serving(*words: object) -> Iterator[Served]:
    """Runs `crosstune serve` with these words on a free port; every line of its log must be JSON."""
    process = subprocess.Popen(
        [sys.executable, "-m", "crosstune.cli", "serve", "--port", "0", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"CUDA_VISIBLE_DEVICES": ""},
    )
    served = Served(process)
    reader = threading.Thread(target=_read, args=(process, served.lines), daemon=True)
    reader.start()
    try:
        first = json.loads(served.lines.get(timeout=START_SECONDS))
        while first["event"] != "serving":
            served.log.append(first)
            first = json.loads(served.lines.get(timeout=START_SECONDS))
        served.url = first["url"]
        yield served
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(20)
        reader.join(10)
    assert not served.events("request failed"), served.log


def _read(process: subprocess.Popen[str], lines: queue.Queue[str]) -> None:
    assert process.stderr is not None
    for line in process.stderr:
        lines.put(line)
