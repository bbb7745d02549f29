"""The service under three times the load that it can serve, with clients that are slow and that vanish.

    python scripts/soak.py EXPORT [--minutes 10] [--load 3] [--json] [--save FILE]

Starts `crosstune serve EXPORT` on loopback, measures what it can serve (tokens a second with eight clients
that wait for their answers), then asks for `--load` times as much at fixed times, whether answers come or
not. Afterwards it kills the process with SIGKILL and starts it again. Exit 0 when all of it held:
every answer is 200 with the helper's own order, 429 or 503; memory does not grow (the 95 % interval of its
slope over the second half reaches below 1 MB a minute); the 99th percentile of answered requests is within
the queue's limit and the time that a full queue takes; and the new process is ready within 5 s.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import platform
import random
import re
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from itertools import pairwise
from pathlib import Path
from typing import Any

import psutil

from crosstune.machine import cpu_name
from crosstune.serve import Reranker

WORDS = "file list open close sort read write path string number error parse token value cache line".split()  # noqa: SIM905
QUEUE_SECONDS = 5.0
TIMEOUT_SECONDS = 20.0
CALIBRATION_SECONDS = 10.0
READY_SECONDS = 5.0
TIE = 1e-4
"""Scores this close may change places: a pair's last bits depend on what it is batched with."""


@dataclass(frozen=True)
class Question:
    """A request, as it is sent, and the helper's own scores."""

    body: bytes
    scores: list[float]
    tokens: int


@dataclass
class Tally:
    statuses: dict[str, int] = field(default_factory=dict)
    seconds: list[float] = field(default_factory=list)
    own_seconds: list[float] = field(default_factory=list)
    """By the service's own clock, in queue and engine: without what the client and its cores add."""
    wrong: int = 0
    memory: list[tuple[float, float]] = field(default_factory=list)

    def add(self, what: str) -> None:
        self.statuses[what] = self.statuses.get(what, 0) + 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("export", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--load", type=float, default=3.0, help="times what the service can serve")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--save", type=Path, help="write the JSON there as well")
    options = parser.parse_args()

    machine = _machine()
    questions = _questions(Reranker(options.export))
    process, address = _start(options.export)
    try:
        result = asyncio.run(_soak(process, address, questions, options))
    finally:
        process.kill()
        process.wait()
    result["machine"] = machine  # its load is that before this one
    result["restart_seconds"] = _restart(options.export, questions[0])
    result["checks"]["ready after SIGKILL"] = result["restart_seconds"] <= READY_SECONDS
    if options.save:
        options.save.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(result, indent=2) if options.json else _table(result))
    sys.exit(0 if all(result["checks"].values()) else 1)


def _questions(reranker: Reranker) -> list[Question]:
    """Sixty requests of 1 to 100 documents of 3 to 200 words, most of them small."""
    rng = random.Random(5)
    questions = []
    for _ in range(60):
        query = " ".join(rng.choices(WORDS, k=rng.randint(1, 12)))
        count = min(100, 1 + int(rng.expovariate(1 / 15)))
        documents = [" ".join(rng.choices(WORDS, k=rng.randint(3, 200))) for _ in range(count)]
        scores = [score.shown for score in reranker.score([(query, text) for text in documents])]
        body = json.dumps({"model": "soak", "query": query, "documents": documents}).encode()
        questions.append(Question(body, scores, sum(len(text.split()) for text in documents)))
    return questions


def _start(export: Path) -> tuple[subprocess.Popen[str], tuple[str, int]]:
    process = subprocess.Popen(
        [
            *(
                sys.executable,
                "-m",
                "crosstune.cli",
                "serve",
                f"soak={export}",
                "--port",
                "0",
                "--production",
            ),
            *("--queue-seconds", str(QUEUE_SECONDS), "--timeout-seconds", str(TIMEOUT_SECONDS)),
            *("--read-seconds", "3"),
        ],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        row = json.loads(line)
        if row["event"] == "serving":
            host, port = row["url"].removeprefix("http://").split(":")
            return process, (host, int(port))
    sys.exit(f"the service did not start (exit {process.wait()})")


def _restart(export: Path, question: Question) -> float:
    """Seconds from the start of a new process to its first right answer."""
    started = time.monotonic()
    process, address = _start(export)
    try:
        tally = Tally()
        asyncio.run(_ask(address, question, tally))
        seconds = time.monotonic() - started
        return seconds if tally.statuses.get("200") and not tally.wrong else math.inf
    finally:
        process.terminate()
        process.wait()


async def _soak(
    process: subprocess.Popen[str],
    address: tuple[str, int],
    questions: list[Question],
    options: argparse.Namespace,
) -> dict[str, Any]:
    log = asyncio.create_task(asyncio.to_thread(_drain, process))
    served = await _calibrate(address, questions)
    tally = Tally()
    seconds = options.minutes * 60
    sampler = asyncio.create_task(_sample(process.pid, tally, seconds))
    asked = await _load(address, questions, served * options.load, seconds, tally)
    sampler.cancel()
    await _ask(address, questions[0], after := Tally())
    process.kill()
    await log
    return _result(tally, after, served, asked, options)


def _drain(process: subprocess.Popen[str]) -> None:
    assert process.stderr is not None
    for _ in process.stderr:
        pass


async def _calibrate(address: tuple[str, int], questions: list[Question]) -> float:
    """Requests a second that eight clients get answered, each waiting for its answer."""
    end = time.monotonic() + CALIBRATION_SECONDS
    done = 0

    async def client(seed: int) -> None:
        nonlocal done
        rng = random.Random(seed)
        while time.monotonic() < end:
            await _ask(address, rng.choice(questions), answer := Tally())
            done += answer.statuses.get("200", 0)

    started = time.monotonic()
    await asyncio.gather(*(client(seed) for seed in range(8)))
    return done / (time.monotonic() - started)


async def _load(
    address: tuple[str, int], questions: list[Question], rate: float, seconds: float, tally: Tally
) -> int:
    """Requests at random times, `rate` a second, one in twenty by a client that misbehaves."""
    rng = random.Random(7)
    started = time.monotonic()
    running: set[asyncio.Task[None]] = set()
    at = asked = 0.0
    while at < seconds:
        at += rng.expovariate(rate)
        await asyncio.sleep(max(0.0, started + at - time.monotonic()))
        what = rng.choices((_ask, _vanish, _trickle), (95, 3, 2))[0]
        task = asyncio.create_task(what(address, rng.choice(questions), tally))
        running.add(task)
        task.add_done_callback(running.discard)
        asked += 1
    await asyncio.gather(*running)
    return int(asked)


async def _ask(address: tuple[str, int], question: Question, tally: Tally) -> None:
    started = time.monotonic()
    try:
        status, own, answer = await asyncio.wait_for(_exchange(address, question.body), 60)
    except (OSError, asyncio.TimeoutError, asyncio.IncompleteReadError, ValueError) as error:
        tally.add(type(error).__name__)
        return
    tally.add(str(status))
    if status == 200:
        tally.seconds.append(time.monotonic() - started)
        tally.own_seconds.append(own)
        tally.wrong += not _right(question, json.loads(answer)["results"])


def _right(question: Question, results: list[dict[str, Any]]) -> bool:
    """Every document once, with the helper's score, in the order of the helper's scores."""
    if sorted(row["index"] for row in results) != list(range(len(question.scores))):
        return False
    expected = [question.scores[row["index"]] for row in results]
    close = all(abs(row["relevance_score"] - e) < TIE for row, e in zip(results, expected, strict=True))
    return close and all(a >= b - TIE for a, b in pairwise(expected))


def _head(length: int) -> bytes:
    return (
        "POST /cohere/v2/rerank HTTP/1.1\r\nHost: soak\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


async def _exchange(address: tuple[str, int], body: bytes) -> tuple[int, float, bytes]:
    """The status, the seconds of the header `Server-Timing`, and the answer."""
    reader, writer = await asyncio.open_connection(*address)
    try:
        writer.write(_head(len(body)) + body)
        answer = await reader.read()
    finally:
        writer.close()
    head, _, rest = answer.partition(b"\r\n\r\n")
    own = sum(float(value) for value in re.findall(rb";dur=([0-9.]+)", head)) / 1000
    return int(head.split(b" ", 2)[1]), own, rest


async def _vanish(address: tuple[str, int], question: Question, tally: Tally) -> None:
    """Sends all of it, or half, and goes."""
    try:
        _, writer = await asyncio.open_connection(*address)
        sent = random.choice((len(question.body), len(question.body) // 2))
        writer.write(_head(len(question.body)) + question.body[:sent])
        await asyncio.sleep(random.uniform(0, 0.5))
        writer.transport.abort()
    except OSError:
        pass
    tally.add("vanished")


async def _trickle(address: tuple[str, int], question: Question, tally: Tally) -> None:
    """Sends a few bytes at a time, slower than the service waits."""
    try:
        _, writer = await asyncio.open_connection(*address)
        data = _head(len(question.body)) + question.body
        for place in range(0, len(data), 7):
            writer.write(data[place : place + 7])
            await asyncio.sleep(0.1)
            if writer.transport.is_closing() or place > 700:
                break
        writer.close()
    except OSError:
        pass
    tally.add("slow")


async def _sample(pid: int, tally: Tally, seconds: float) -> None:
    process = psutil.Process(pid)
    started = time.monotonic()
    while True:
        tally.memory.append((time.monotonic() - started, process.memory_info().rss / 1e6))
        await asyncio.sleep(max(0.5, seconds / 240))


def _slope(points: list[tuple[float, float]]) -> tuple[float, float, float]:
    """MB a minute by least squares over the second half, with its 95 % interval."""
    from scipy.stats import linregress, t

    half = points[len(points) // 2 :]
    fit = linregress([at / 60 for at, _ in half], [mb for _, mb in half])
    reach = float(t.ppf(0.975, len(half) - 2)) * float(fit.stderr)
    return float(fit.slope), float(fit.slope) - reach, float(fit.slope) + reach


def _result(
    tally: Tally, after: Tally, served: float, asked: int, options: argparse.Namespace
) -> dict[str, Any]:
    slope, low, high = _slope(tally.memory)
    times = sorted(tally.seconds)
    p50, p99 = (times[int(len(times) * share)] if times else math.inf for share in (0.5, 0.99))
    allowed = {"200", "429", "503", "vanished", "slow"}
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "minutes": options.minutes,
        "served_per_second": round(served, 2),
        "asked_per_second": round(asked / options.minutes / 60, 2),
        "answered_per_second": round(len(times) / options.minutes / 60, 2),
        "statuses": dict(sorted(tally.statuses.items())),
        "wrong": tally.wrong,
        "p50_seconds": round(p50, 3),
        "p99_seconds": round(p99, 3),
        "own_p99_seconds": round(sorted(tally.own_seconds)[int(len(times) * 0.99)], 3) if times else None,
        "mean_seconds": round(statistics.fmean(times), 3) if times else None,
        "memory_mb": {"first": round(tally.memory[0][1]), "last": round(tally.memory[-1][1])},
        "memory_slope_mb_per_minute": {
            "slope": round(slope, 3),
            "low": round(low, 3),
            "high": round(high, 3),
        },
        "checks": {
            "only 200, 429 and 503": set(tally.statuses) <= allowed,
            "every answer right": tally.wrong == 0 and bool(times),
            "some were refused": tally.statuses.get("429", 0) > 0,
            "memory flat": low < 1.0,
            "p99 within queue and time-out": p99 <= min(TIMEOUT_SECONDS, 2 * QUEUE_SECONDS + 1),
            "answers afterwards": asdict(after)["statuses"] == {"200": 1},
        },
    }


def _machine() -> dict[str, str | int]:
    names = ("onnxruntime", "fastapi", "uvicorn")
    return {
        "date": time.strftime("%Y-%m-%d"),
        "python": platform.python_version(),
        "cpu": cpu_name(),
        "cores": psutil.cpu_count() or 0,
        "load_before": f"{psutil.getloadavg()[2]:.1f}",
    } | {name: version(name) for name in names}


def _table(result: dict[str, Any]) -> str:
    rows = [f"{name}: {value}" for name, value in result.items() if name != "checks"]
    rows += [f"{'held' if held else 'FAILED':6s} {name}" for name, held in result["checks"].items()]
    return "\n".join(rows)


if __name__ == "__main__":
    main()
