"""What is asked next, and the file that keeps the answers."""

from __future__ import annotations

import fcntl
import json
import os
import random
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crosstune.data.mining import Answer, read_answers, read_ledger, suspicion
from crosstune.data.mining.answers import VERDICTS
from crosstune.errors import InputError
from crosstune.records import Collection

Pair = tuple[str, str]
MOST = 500
"""Pairs a review asks about; half of them suspicious, half drawn at random from the negatives taken."""


class Desk:
    """The queue of a review and its answers, for any number of tabs. An answer is on disk before the call
    returns; a second process on the same file is refused."""

    def __init__(self, collection: Collection, ledger: Path, answers: Path, seed: int) -> None:
        self._collection = collection
        self._lock = threading.Lock()
        self._handle = _open(answers)
        self._answers = read_answers(answers).by_pair
        self._queue = _queue(collection, ledger, seed)
        self._shown: dict[str, Pair] = {}

    def next(self, tab: str) -> dict[str, Any]:
        """The next pair for a tab, and the progress. Pairs that other tabs look at come last: one of them may
        be closed."""
        with self._lock:
            others = {pair for name, pair in self._shown.items() if name != tab}
            open_pairs = [pair for pair in self._queue if pair not in self._answers]
            pair = next((pair for pair in open_pairs if pair not in others), next(iter(open_pairs), None))
            self._shown.pop(tab, None)
            if pair:
                self._shown[tab] = pair
            return {"item": self._item(pair) if pair else None, "progress": self._progress()}

    def answer(self, query_id: str, doc_id: str, verdict: str) -> None:
        """Appends one answer. Raises `InputError` for a pair that is not asked or an unknown verdict."""
        pair = (query_id, doc_id)
        if pair not in self._queue or verdict not in VERDICTS:
            raise InputError(f"{query_id!r}, {doc_id!r}, {verdict!r}: no such question or verdict")
        answer = Answer(query_id, doc_id, verdict, self._queue[pair]["sample"])
        with self._lock:
            self._handle.write((json.dumps(asdict(answer), ensure_ascii=False) + "\n").encode())
            self._handle.flush()
            os.fsync(self._handle.fileno())
            self._answers[pair] = answer

    def _item(self, pair: Pair) -> dict[str, Any]:
        query_id, doc_id = pair
        passages, judged = self._collection.passages, self._collection.qrels["train"][query_id]
        positive = min((d for d, grade in judged.items() if grade > 0), key=lambda d: (-judged[d], d))
        shown = {**self._queue[pair], "positive_id": positive, "query": self._collection.queries[query_id]}
        return shown | {"positive": passages[positive], "negative": passages[doc_id]}

    def _progress(self) -> dict[str, Any]:
        """The estimate is over the random half alone: the suspicious half is no fair sample."""
        from scipy.stats import binomtest

        done = [answer for pair, answer in self._answers.items() if pair in self._queue]
        fair = [a for a in done if a.sample == "random" and a.verdict != "unsure"]
        estimate = None
        if fair:
            relevant = sum(answer.verdict == "relevant" for answer in fair)
            interval = binomtest(relevant, len(fair)).proportion_ci(method="wilson")
            estimate = {
                "share": relevant / len(fair),
                "low": float(interval.low),
                "high": float(interval.high),
                "of": len(fair),
            }
        return {"done": len(done), "total": len(self._queue), "false_negatives": estimate}


def _open(path: Path) -> Any:
    """Opens for appending and locks; a last line that a kill cut off is removed."""
    handle = path.open("ab")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        handle.close()
        raise InputError(f"{path}: another crosstune review writes to it; use its page") from None
    if broken := read_answers(path).broken_end:
        handle.truncate(path.stat().st_size - broken)
    return handle


def _queue(collection: Collection, ledger: Path, seed: int) -> dict[Pair, dict[str, Any]]:
    """Suspicious pairs, most suspicious first, and random ones from the negatives taken, by turns."""
    train = collection.qrels["train"]
    rows = []
    for row in read_ledger(ledger):
        if (score := suspicion(row, train[row["query_id"]])) is not None:
            rows.append((score, row["query_id"], row["doc_id"], row["rank"], row["reason"]))
    taken = sorted(row for row in rows if row[4] == "taken")
    drawn = random.Random(seed).sample(taken, min(MOST // 2, len(taken)))
    chosen = {(row[1], row[2]) for row in drawn}
    suspicious = sorted((row for row in rows if (row[1], row[2]) not in chosen), reverse=True)[: MOST // 2]
    queue: dict[Pair, dict[str, Any]] = {}
    for place in range(MOST // 2):
        for sample, part in (("suspicious", suspicious), ("random", drawn)):
            if place < len(part):
                score, query_id, doc_id, rank, reason = part[place]
                queue[query_id, doc_id] = {
                    "query_id": query_id,
                    "doc_id": doc_id,
                    "rank": rank,
                    "reason": reason,
                    "suspicion": score,
                    "sample": sample,
                }
    return queue
