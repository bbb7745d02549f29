"""A model hub on loopback: what a push and a download need of huggingface.co's API, commits included."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

TOKEN = "hf_loopbackloopbackloopback"
LARGE = 4096
"""Bytes from which a file goes by LFS."""


@dataclass
class Repository:
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    messages: list[str] = field(default_factory=list)

    @property
    def sha(self) -> str:
        return hashlib.sha1(repr((self.messages, sorted(self.files))).encode()).hexdigest()


@dataclass
class Hub:
    """`objects`: what came by LFS, by sha256; `broken`: a path at which the hub fails with 500."""

    url: str = ""
    repositories: dict[str, Repository] = field(default_factory=dict)
    objects: dict[str, bytes] = field(default_factory=dict)
    broken: str | None = None

    def commit(self, name: str, lines: list[dict[str, Any]]) -> str:
        """All of it or nothing, as on the real one."""
        repository = self.repositories[name]
        files = dict(repository.files)
        message = ""
        for line in lines:
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                assert value["encoding"] == "base64"
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.objects[value["oid"]]
            elif line["key"] == "deletedFile":
                del files[value["path"]]
            else:
                raise AssertionError(line["key"])
        repository.files = files
        repository.messages.append(message)
        return repository.sha


Answer = tuple[int, Any]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def do_GET(self) -> None:
        self._answer(b"")

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_POST(self) -> None:
        self._answer(self._body())

    def do_PUT(self) -> None:
        self._answer(self._body())

    def log_message(self, *_: Any) -> None:
        pass

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        status, value = self._route(path, body)
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        self.send_response(status)
        if status == 404:
            self.send_header("X-Error-Code", "EntryNotFound" if "/resolve/" in path else "RepoNotFound")
        if "/resolve/" in path:
            self.send_header("ETag", f'"{hashlib.sha1(data).hexdigest()}"')
            self.send_header("X-Repo-Commit", self.hub.repositories["/".join(path.split("/")[1:3])].sha)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _route(self, path: str, body: bytes) -> Answer:  # noqa: PLR0911
        hub = self.hub
        if hub.broken is not None and hub.broken in path:
            return 400, {"error": "the disk is full"}
        if path.startswith("/upload/"):  # its address is the permission, as with a signed one
            hub.objects[hashlib.sha256(body).hexdigest()] = body
            return 200, {}
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid credentials"}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}
        if found := re.fullmatch(r"/(\w+/[\w-]+)\.git/info/lfs/objects/batch", path):
            objects = json.loads(body)["objects"]
            actions = [
                {**one, "actions": {"upload": {"href": f"{hub.url}/upload/{one['oid']}"}}} for one in objects
            ]
            return 200, {"transfer": "basic", "objects": actions}
        if found := re.fullmatch(r"/(\w+/[\w-]+)/resolve/\w+/(.+)", path):
            files = hub.repositories[found[1]].files
            return (200, files[found[2]]) if found[2] in files else (404, {"error": "no such file"})
        found = re.fullmatch(r"/api/models/(\w+/[\w-]+)(?:/(preupload|commit|revision|tree)/\w+)?", path)
        if found is None or found[1] not in hub.repositories:
            return 404, {"error": f"nothing at {path}"}
        return self._model(found[1], found[2], body)

    def _create(self, asked: dict[str, Any]) -> Answer:
        owner, name = asked.get("organization", "me"), asked["name"]
        known = f"{owner}/{name}" in self.hub.repositories
        url = f"{self.hub.url}/{owner}/{name}"
        if not known:
            self.hub.repositories[f"{owner}/{name}"] = Repository(asked["visibility"] == "private")
        return (409 if known else 200), {"url": url}

    def _model(self, name: str, action: str | None, body: bytes) -> Answer:
        repository = self.hub.repositories[name]
        if action == "preupload":
            files = json.loads(body)["files"]
            modes = [
                {
                    "path": f["path"],
                    "uploadMode": "lfs" if f["size"] >= LARGE else "regular",
                    "shouldIgnore": False,
                    "oid": None,
                }
                for f in files
            ]
            return 200, {"files": modes}
        if action == "commit":
            sha = self.hub.commit(name, [json.loads(line) for line in body.splitlines()])
            return 200, {"commitUrl": f"{self.hub.url}/{name}/commit/{sha}", "commitOid": sha}
        if action == "tree":
            return 200, [
                {"type": "file", "path": path, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for path, data in sorted(repository.files.items())
            ]
        return 200, {
            "id": name,
            "private": repository.private,
            "sha": repository.sha,
            "siblings": [{"rfilename": path} for path in sorted(repository.files)],
        }


@contextmanager
def hub() -> Iterator[Hub]:
    state = Hub()
    handler = type("Handler", (_Handler,), {"hub": state})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
