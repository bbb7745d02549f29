"""Input that means harm: a refusal with a reason, no traceback, and the next request is answered."""

from __future__ import annotations

import asyncio
import gzip
import json
import re
import socket
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import suppress

import httpx
import pytest

from crosstune.serve.given import MOST_CHARACTERS
from crosstune.serve.http.app import create_app
from crosstune.serve.http.model import load
from crosstune.serve.http.options import Options
from crosstune.serve.http.service import Service
from served import Reply, Served, serving, tiny_export

PATHS = (
    "/cohere/v2/rerank",
    "/jina/v1/rerank",
    "/voyage/v1/rerank",
    "/tei/rerank",
    "/infinity/rerank",
    "/vllm/rerank",
    "/vllm/score",
)
SECRET = "zebrafish"
GOOD = {"model": "tiny", "query": "open", "documents": ["open a file", "close"], "texts": ["a", "b"]}
JSON = {"Content-Type": "application/json"}

NO_TOP_N: tuple[object, ...] = (10**30, "3", 1.5, True, [1], float("nan"))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving(tiny_export(), "--max-body-bytes", 200_000, "--read-seconds", 1.5) as running:
        yield running
        running.process.terminate()
        running.process.wait(20)
    log = json.dumps(running.events("request"))
    assert SECRET not in log, "a client's text is in the log"
    assert "Traceback" not in log


@pytest.fixture(autouse=True)
def goes_on(served: Served) -> Iterator[None]:
    """After each attack a plain request is answered."""
    yield
    assert served.post("/jina/v1/rerank", GOOD).status == 200


def _refused(reply: Reply, *statuses: int) -> None:
    assert reply.status in statuses, (reply.status, reply.body[:300])
    assert "Traceback" not in reply.body.decode()
    assert SECRET not in reply.body.decode(), "the refusal quotes the client's text"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b'"zebrafish"',
        b"{",
        b'{"query": "zebrafish',
        b"[" * 100_000,
        b'{"query":' * 20_000,
        b'{"query": NaN, "documents": [Infinity], "texts": [-Infinity], "model": "tiny"}',
        b'{"model": "tiny", "query": "zebrafish", "documents": 7, "texts": {"zebrafish": 1}}',
        b'{"model": "tiny", "query": "zebrafish", "documents": [["zebrafish"]], "texts": [null]}',
        b'{"model": "tiny", "query": {"zebrafish": []}, "documents": ["a"], "texts": ["a"]}',
        b'{"model": "tiny", "query": "\\ud800", "documents": ["\\udfff"], "texts": ["\\ud800"], '
        b'"queries": "\\ud800"}',
        b'\xff\xfe{"query": "zebrafish"}',
        b'{"query": "\xff", "documents": ["a"], "texts": ["a"], "model": "tiny", "queries": "\xff"}',
    ],
)
def test_bodies_that_are_no_request(served: Served, path: str, body: bytes) -> None:
    _refused(served.call("POST", path, body, JSON), 400, 422)


@pytest.mark.parametrize(
    ("path", "more", "message"),
    [
        (
            "/jina/v1/rerank",
            {"documents": ["a", {"zebrafish": "b"}]},
            "documents.1: Input should be a valid string; documents.1.text: Field required",
        ),
        ("/jina/v1/rerank", {"query": {"text": 3}}, "query: .*; query.text: Input should be a valid string"),
        ("/jina/v1/rerank", {"top_n": "zebrafish"}, "top_n: Input should be a valid integer"),
        ("/vllm/score", {"queries": 3, "documents": [3]}, "queries: [^;]*; .*documents"),
        ("/infinity/rerank", {"documents": [["zebrafish"]]}, "documents.0: Input should be a valid string"),
    ],
)
def test_a_refusal_names_fields_and_no_types_of_ours(
    served: Served, path: str, more: dict[str, object], message: str
) -> None:
    reply = served.post(path, GOOD | more)
    _refused(reply, 400, 422)
    said = json.dumps(reply.json)
    assert re.search(message, said), said
    assert not re.search(r"function|_whole|\bstr\b|Text|list\[|\[\w", said), said


@pytest.mark.parametrize("path", ["/cohere/v2/rerank", "/jina/v1/rerank", "/vllm/rerank", "/infinity/rerank"])
def test_a_list_is_read_up_to_its_first_fault(served: Served, path: str) -> None:
    """A message for each of a million wrong documents would be gigabytes, and a minute without an answer."""
    reply = served.post(path, GOOD | {"documents": ["a", 1, 2, 3, 4, 5, 6, 7, 8, 9]})
    _refused(reply, 400, 422)
    said = json.dumps(reply.json)
    assert "documents.1" in said
    assert not re.search(r"documents\.[2-9]|more", said), said


@pytest.mark.parametrize(
    ("path", "field", "top"),
    [
        *(("/cohere/v2/rerank", "top_n", top) for top in (-1, *NO_TOP_N)),
        *(("/voyage/v1/rerank", "top_k", top) for top in (-1, *NO_TOP_N)),
        *(("/vllm/rerank", "top_n", top) for top in NO_TOP_N),  # -1 is all there
    ],
)
def test_a_top_n_that_is_none(served: Served, path: str, field: str, top: object) -> None:
    _refused(served.post(path, GOOD | {field: top}), 400, 422)


def test_a_number_of_many_digits(served: Served) -> None:
    body = b'{"model": "tiny", "query": "a", "documents": ["b"], "top_n": ' + b"9" * 50_000 + b"}"
    _refused(served.call("POST", "/jina/v1/rerank", body, JSON), 400, 422)


def test_a_huge_top_n_is_all(served: Served) -> None:
    assert len(served.post("/cohere/v2/rerank", GOOD | {"top_n": 2**31 - 1}).json["results"]) == 2


def test_odd_texts_are_texts(served: Served) -> None:
    odd = ["", " ", "\x00", "a\x00b", "\u202e\u200b", "💥" * 1000, "\r\n\r\n", "a" * 100_000]
    answer = served.post("/tei/rerank", {"query": "\x00", "texts": odd, "return_text": True})
    assert answer.status == 200
    assert sorted(row["text"] for row in answer.json) == sorted(odd)


def test_fields_that_are_not_known_take_no_memory_while_a_request_waits() -> None:
    """Parsed, these would be 30 MB each."""
    names = {f"unknown-{number}": 0 for number in range(20_000)}
    body = json.dumps(GOOD | names | {"queries": "a", "objects": [{}] * 200_000}).encode()

    async def waiting(service: Service) -> int:
        """Bytes that are held for a request of each format; nobody works on the queue."""
        transport = httpx.ASGITransport(create_app(service, {}, None))
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            tracemalloc.start()
            asked = [asyncio.create_task(client.post(path, content=body, headers=JSON)) for path in PATHS]
            while len(service.batcher._queue) < len(PATHS):
                await asyncio.sleep(0.01)
            held = tracemalloc.get_traced_memory()[0]
            tracemalloc.stop()
            for task in asked:
                task.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        return held

    service = Service({"tiny": load("tiny", tiny_export())}, Options(timeout_seconds=600))
    assert asyncio.run(waiting(service)) < 20_000_000
    service.close()


def test_many_documents(served: Served) -> None:
    _refused(served.post("/cohere/v2/rerank", GOOD | {"documents": ["x"] * 20_000}), 400)


def test_a_body_that_is_announced_too_large_is_not_read(served: Served) -> None:
    with socket.create_connection(served.address, timeout=10) as connection:
        head = "POST /cohere/v2/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 100000000\r\n\r\n".encode())
        answer = _all(connection)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"larger than 200000 bytes" in answer


def test_a_body_of_100_mb_in_chunks(served: Served) -> None:
    """The length is not announced; the door closes soon after the limit."""
    sent = 0
    with socket.create_connection(served.address, timeout=10) as connection:
        head = "POST /jina/v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Transfer-Encoding: chunked\r\n\r\n".encode())
        chunk = b"10000\r\n" + b"[" * 65536 + b"\r\n"
        answer = b""
        try:
            while sent < 100_000_000:
                connection.sendall(chunk)
                sent += 65536
            answer = _all(connection)
        except OSError:
            pass  # closed while it was sent
    assert sent < 50_000_000 or answer.startswith(b"HTTP/1.1 413 ")


def test_a_compressed_bomb(served: Served) -> None:
    bomb = gzip.compress(b" " * 10_000_000)
    _refused(served.call("POST", "/vllm/rerank", bomb, JSON | {"Content-Encoding": "gzip"}), 415)


@pytest.mark.parametrize(
    "media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
)
def test_another_content_type(served: Served, media: str) -> None:
    body = json.dumps(GOOD).encode()
    _refused(served.call("POST", "/cohere/v2/rerank", body, {"Content-Type": media}), 415)


@pytest.mark.parametrize(
    "name", ["../../../etc/passwd", "/etc/passwd", "tiny\x00", "TINY", "tiny/../tiny", ""]
)
def test_path_tricks_in_a_models_name(served: Served, name: str) -> None:
    _refused(served.post("/infinity/rerank", GOOD | {"model": name}), 404)


@pytest.mark.parametrize(
    "path", ["/../../etc/passwd", "/%2e%2e/etc/passwd", "/demo.js/../../app.py", "//", "/x"]
)
def test_path_tricks_in_the_address(served: Served, path: str) -> None:
    reply = served.call("GET", path)
    assert reply.status == 404
    assert b"root:" not in reply.body


def test_headers_cannot_be_injected(served: Served) -> None:
    for identity in ("a b", "x" * 65, "é", 'a"b', "a,b", "<script>"):
        reply = served.call(
            "POST", "/jina/v1/rerank", json.dumps(GOOD).encode(), JSON | {"X-Request-Id": identity}
        )
        assert reply.status == 200
        assert len(reply.headers["x-request-id"]) == 32
    with socket.create_connection(served.address, timeout=10) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Request-Id: a\rSet-Cookie: b=1\r\n\r\n")
        answer = _all(connection)
    assert b"set-cookie" not in answer.lower()


def test_the_log_cannot_be_injected(served: Served) -> None:
    """Every line of the log is JSON (the fixture parses each); a path or method of a client is not in it."""
    served.call("GET", "/%0a%7b%22event%22%3a%22forged%22%7d")
    served.call("PROPFIND", "/zebrafish")
    served.post("/jina/v1/rerank", GOOD | {"model": '\n{"event": "forged"}', "query": SECRET})
    deadline = time.monotonic() + 5
    while len(served.events("request")) < 3 and time.monotonic() < deadline:
        time.sleep(0.05)
    assert served.events("request")
    assert not served.events("forged")
    assert {row["method"] for row in served.events("request")} <= {"GET", "POST", "other"}


def test_a_head_that_comes_slowly_is_cut_off(served: Served) -> None:
    with socket.create_connection(served.address, timeout=30) as connection:
        assert _trickle(connection, b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"a" * 1000)
    with socket.create_connection(served.address, timeout=30) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        assert _trickle(connection, b"GET /health HTTP/1.1\r\nX-Slow: " + b"a" * 1000), "the second request"


def test_a_body_that_comes_slowly_is_cut_off(served: Served) -> None:
    with socket.create_connection(served.address, timeout=30) as connection:
        head = "POST /tei/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 1000\r\n\r\n".encode())
        answer = _all(connection)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error_type"] == "Validation"


@pytest.mark.parametrize("path", ["/health", "/tei/rerank"])
def test_a_body_that_nobody_reads_and_that_never_ends_is_cut_off(served: Served, path: str) -> None:
    """Answered before it is there: a GET's, and that of a request that its head already refuses."""
    method = "GET" if path == "/health" else "POST"
    with socket.create_connection(served.address, timeout=30) as connection:
        connection.sendall(f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{{".encode())
        assert _all(connection)
        assert connection.recv(1) == b"", "closed by the other side"


def test_an_answer_that_nobody_reads_is_dropped() -> None:
    """It would otherwise be held, with its connection, for as long as the client likes."""
    body = json.dumps(GOOD | {"documents": ["x " * 2_500_000]}).encode()
    with serving(tiny_export(), "--read-seconds", 1.5) as roomy, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        client.settimeout(30)
        client.connect(roomy.address)
        head = "POST /jina/v1/rerank HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        client.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        roomy.wait_for("request")
        time.sleep(4)
        with suppress(ConnectionResetError):
            assert len(_all(client)) < 5_000_000


def test_head_is_get_without_a_body(served: Served) -> None:
    for path in ("/", "/health", "/ready", "/info", "/tei/health"):
        assert (served.call("HEAD", path).status, served.call("HEAD", path).body) == (200, b"")
    assert served.call("HEAD", "/tei/rerank").status == 405


def test_a_head_of_many_bytes(served: Served) -> None:
    with socket.create_connection(served.address, timeout=10) as connection:
        try:
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-Long: aaaaaaaaaa\r\n" * 20_000)
            answer = _all(connection)
        except OSError:
            answer = b""
    assert not answer or answer.startswith(b"HTTP/1.1 400 ")


def test_garbage_is_no_request(served: Served) -> None:
    with socket.create_connection(served.address, timeout=10) as connection:
        connection.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03zebrafish\r\n\r\n")
        assert _all(connection).startswith(b"HTTP/1.1 400 ")


def test_no_origin_is_allowed(served: Served) -> None:
    reply = served.get("/info", Origin="https://elsewhere.example")
    assert reply.status == 200
    assert not [name for name in reply.headers if name.startswith("access-control")]
    preflight = {"Origin": "https://elsewhere.example", "Access-Control-Request-Method": "POST"}
    assert served.call("OPTIONS", "/jina/v1/rerank", headers=preflight).status == 405


@pytest.mark.parametrize(
    "origin", ["http://elsewhere.example:8080", "null", "http://[", "http://127.0.0.1.x"]
)
def test_pages_of_other_sites_may_not_ask(served: Served, origin: str) -> None:
    """Also where DNS leads their own name here, so that the browser takes this service for theirs."""
    for path in PATHS:
        headers = JSON | {"Origin": origin, "Host": "elsewhere.example:8080"}
        reply = served.call("POST", path, json.dumps(GOOD).encode(), headers)
        _refused(reply, 403)
        assert "pages of other sites may not ask" in reply.body.decode()


@pytest.mark.parametrize("origin", ["http://localhost:8080", "http://127.0.0.1:1", "http://[::1]:8080"])
def test_pages_of_this_machine_may_ask(served: Served, origin: str) -> None:
    assert served.post("/jina/v1/rerank", GOOD, Origin=origin).status == 200


def _all(connection: socket.socket) -> bytes:
    found = b""
    while chunk := connection.recv(65536):
        found += chunk
        head, _, rest = found.partition(b"\r\n\r\n")
        length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
        if rest and length and len(rest) >= int(length[0].split(b":")[1]):
            break
    return found


def _trickle(connection: socket.socket, data: bytes) -> bool:
    """Sends a byte at a time; True when the other side closes before all are sent."""
    try:
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
            connection.settimeout(0.02)
            try:
                if connection.recv(1) == b"":
                    return True
            except TimeoutError:
                continue
    except OSError:
        return True
    return False


@pytest.mark.slow
def test_a_text_beyond_the_helpers_cap() -> None:
    sizes = ("--max-body-bytes", 120_000_000, "--read-seconds", 60)
    with serving(tiny_export(), *sizes) as roomy:
        reply = roomy.post("/jina/v1/rerank", GOOD | {"documents": ["a", "x" * (MOST_CHARACTERS + 1)]})
        _refused(reply, 422)
        assert "a text of 100000001 characters; at most 100000000 are taken" in reply.json["detail"]
        assert roomy.post("/jina/v1/rerank", GOOD).status == 200
