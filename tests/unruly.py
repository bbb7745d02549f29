"""A rerank service on loopback that answers as it is told: late, cut, doubled, or in another form."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Reply:
    """`wait`: seconds before it is sent; `cut`: promises more bytes than it sends."""

    status: int = 200
    body: str = ""
    media_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    wait: float = 0.0
    cut: bool = False


@dataclass
class Unruly:
    """`answer(number, request)` makes the reply to request `number`, counted from 1; `asked` holds the bodies
    of all requests and `logins` their Authorization headers."""

    url: str
    answer: Callable[[int, dict[str, Any]], Reply]
    asked: list[dict[str, Any]] = field(default_factory=list)
    logins: list[str | None] = field(default_factory=list)


def rows(request: dict[str, Any]) -> Rows:
    """A good answer's results, best first: the more words a text shares with the query, the better."""
    query = set(request["query"].split())
    shared = [len(query & set(text.split())) for text in request["documents"]]
    found = [{"index": n, "relevance_score": (count - n / 1000) / 10} for n, count in enumerate(shared)]
    return sorted(found, key=lambda row: -row["relevance_score"])


def results(found: Rows, **more: Any) -> Reply:
    return Reply(body=json.dumps({"results": found, **more}))


def good(number: int, request: dict[str, Any]) -> Reply:
    return results(rows(request))


@contextmanager
def unruly(answer: Callable[[int, dict[str, Any]], Reply] = good) -> Iterator[Unruly]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with lock:
                service.asked.append(request)
                service.logins.append(self.headers["Authorization"])
                number = len(service.asked)
            reply = service.answer(number, request)
            time.sleep(reply.wait)
            data = reply.body.encode()
            try:
                self.send_response(reply.status)
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Type", reply.media_type)
                self.send_header("Content-Length", str(len(data) + 100 * reply.cut))
                self.end_headers()
                self.wfile.write(data)
            except OSError:
                pass  # the client went, as one that waits no longer does

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    service = Unruly(f"http://127.0.0.1:{server.server_port}/rerank", answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join(10)
