"""`crosstune review`: the real server on loopback, and its page in a real browser."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Crosstune

from crosstune.data import read_groups
from ports import free_port

Start = Callable[[], "Server"]


class Server:
    def __init__(self, root: Path) -> None:
        self.port = free_port()
        command = [sys.executable, "-m", "crosstune.cli", "review", str(root), "--port", str(self.port)]
        self.process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        until = time.monotonic() + 120
        while True:
            assert self.process.poll() is None
            try:
                self.get("/")
                return
            except OSError:
                assert time.monotonic() < until
                time.sleep(0.1)

    def get(self, path: str, body: Any = None, **headers: str) -> bytes:
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", headers=headers)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=20) as reply:
            data: bytes = reply.read()
            return data

    def next(self, tab: str) -> Any:
        return json.loads(self.get(f"/next?tab={tab}"))

    def answer(self, item: Any, verdict: str) -> None:
        self.get("/answer", {k: item[k] for k in ("query_id", "doc_id")} | {"verdict": verdict})

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def mined(tmp_path: Path, recipe: Path, crosstune: Crosstune) -> Path:
    for stage in ("retrieve", "mine"):
        assert crosstune(stage, recipe).code == 0
    return tmp_path / "runs" / "tiny"


@pytest.fixture
def start(mined: Path) -> Iterator[Start]:
    servers: list[Server] = []

    def begin() -> Server:
        servers.append(Server(mined))
        return servers[-1]

    yield begin
    for server in servers:
        server.kill()


def test_answers_survive_a_kill_and_two_tabs_and_are_obeyed(
    mined: Path, start: Start, recipe: Path, crosstune: Crosstune
) -> None:
    server = start()
    one, two = server.next("one")["item"], server.next("two")["item"]
    assert (one["query_id"], one["doc_id"]) != (two["query_id"], two["doc_id"])
    server.answer(one, "not")
    server.answer(two, "relevant")
    third = server.next("one")["item"]
    refused = crosstune("review", mined)
    assert refused.code == 2
    assert "another crosstune review writes to it" in refused.err
    server.kill()
    with (mined / "review.jsonl").open("a") as handle:
        handle.write('{"query_id": "q1", "doc')
    again = start()
    state = again.next("new")
    assert state["progress"]["done"] == 2
    assert state["item"] == third
    again.answer(third, "relevant")
    lines = [json.loads(line) for line in (mined / "review.jsonl").read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["not", "relevant", "relevant"]
    done = crosstune("mine", recipe, f"mine.review={mined / 'review.jsonl'}")
    assert done.code == 0, done.err
    pairs = {
        (group.query_id, doc_id) for group in read_groups(mined / "mine") for doc_id in group.doc_ids[1:]
    }
    assert not pairs & {(line["query_id"], line["doc_id"]) for line in lines[1:]}


def test_a_tab_that_was_closed_keeps_no_pair_to_itself(start: Start) -> None:
    server = start()
    first = server.next("closed")["item"]
    asked = []
    while (state := server.next("other"))["item"] is not None:
        asked.append((state["item"]["query_id"], state["item"]["doc_id"]))
        server.answer(state["item"], "not")
    assert asked[-1] == (first["query_id"], first["doc_id"]), "what another tab looks at comes last"
    assert len({*asked}) == len(asked) == state["progress"]["total"] == state["progress"]["done"]


def test_a_port_in_use_is_named_and_nothing_announced(mined: Path, crosstune: Crosstune) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused = crosstune("review", mined, "--port", port)
    assert refused.code == 2
    assert f"--port {port}: cannot be used" in refused.err
    assert "http://" not in refused.err


def test_wrong_questions_and_foreign_hosts_are_refused(start: Start) -> None:
    server = start()
    for body in ({"query_id": "q0", "doc_id": "nowhere", "verdict": "not"}, {}):
        with pytest.raises(urllib.error.HTTPError) as refused:
            server.get("/answer", body)
        assert refused.value.code == 422
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.get("/", Host="elsewhere.example")
    assert refused.value.code == 400


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("chromedriver"), reason="needs chromium and chromium-driver")
def test_the_page_by_keyboard(tmp_path: Path, mined: Path, start: Start) -> None:
    from selenium import webdriver
    from selenium.webdriver.common.by import By
    from selenium.webdriver.support.ui import WebDriverWait

    server = start()
    options = webdriver.ChromeOptions()
    for flag in ("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--window-size=1200,800"):
        options.add_argument(flag)
    for flag in ("--disable-background-networking", "--disable-component-update", "--disable-sync"):
        options.add_argument(flag)
    options.add_argument(f"--user-data-dir={tmp_path / 'browser'}")
    service = webdriver.ChromeService(shutil.which("chromedriver"))
    browser = webdriver.Chrome(options=options, service=service)
    try:
        browser.get(f"http://127.0.0.1:{server.port}/")
        wait = WebDriverWait(browser, 20)
        for number, (key, verdict) in enumerate((("n", "not"), ("r", "relevant"), ("u", "unsure"))):
            wait.until(lambda b, n=number: b.find_element(By.ID, "count").text.startswith(f"{n} of"))
            shown = browser.find_element(By.ID, "negative-head").text
            browser.find_element(By.TAG_NAME, "body").send_keys(key)
            wait.until(lambda b, n=number: b.find_element(By.ID, "count").text.startswith(f"{n + 1} of"))
            last = json.loads((mined / "review.jsonl").read_text().splitlines()[-1])
            assert last["verdict"] == verdict
            assert f"{last['doc_id']}," in shown
        shown = browser.find_element(By.ID, "negative-head").text
        browser.refresh()
        wait.until(lambda b: b.find_element(By.ID, "count").text.startswith("3 of"))
        assert browser.find_element(By.ID, "negative-head").text == shown, "a reload asks the same pair"
        assert browser.find_elements(By.TAG_NAME, "mark")
        shown = browser.find_element(By.ID, "positive")
        assert shown.value_of_css_property("white-space") == "pre-wrap"  # the lines of code stay lines
        assert "95 %" in browser.find_element(By.ID, "estimate").text
        browser.save_screenshot(str(tmp_path / "review.png"))
    finally:
        browser.quit()
