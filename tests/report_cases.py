"""Evaluations for the tests of the report page, made in memory."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from functools import cache
from typing import Any

from crosstune.evaluate.report import Evaluation
from crosstune.evaluate.significance import compare, verdict
from crosstune.export import TunedExportSettings, calibrate
from crosstune.records import MinedQuery, MinedSample, Qrels, Run

HOSTILE = "</script><script>window.hit='yes'</script><img/src=x/onerror=window.hit='yes'>"
ODD = "line\u2028separator\u2029and\x00half\ud800of&amp;a\"pair'"

RUNS = ("first_stage", "base", "tuned", "ceiling")


@cache
def manifest() -> dict[str, Any]:
    """Of an export whose logit is calibrated with a threshold, and whose fused score tells nothing."""
    rng = random.Random(3)
    qrels: Qrels = {f"d{q}": {f"{q}-{d}": int(d == 0) for d in range(6)} for q in range(80)}
    logits = {q: {d: rng.gauss(4.0 * grade - 1, 1.5) for d, grade in j.items()} for q, j in qrels.items()}
    noise = {q: {d: rng.gauss(0, 1) for d in j} for q, j in qrels.items()}
    # What is last is recommended, and must have the threshold.
    settings = TunedExportSettings(threshold={"precision": 0.8})  # type: ignore[arg-type]
    return dict(calibrate({"fused": noise, "logit": logits}, qrels, settings, 1).manifest)


def make(
    qrels: Qrels,
    runs: Mapping[str, Run],
    values: Mapping[str, Mapping[str, float]],
    queries: Mapping[str, str],
    passages: Mapping[str, str],
    leaked: tuple[str, ...] = (),
) -> Evaluation:
    """An evaluation with the metrics that `metrics.json` would have, of nDCG@10 alone; the base and the
    ceiling are given the first stage's and the best values."""
    every = {
        "first_stage": values["first_stage"],
        "base": values["first_stage"],
        "tuned": values["tuned"],
        "ceiling": {query_id: max(v[query_id] for v in values.values()) for query_id in qrels},
    }
    means = {name: _mean(by_query) for name, by_query in every.items()}
    found = compare(values["first_stage"], values["tuned"], 1, 200)
    gain = {"nDCG@10": {**asdict(found), "p_holm": found.p, "verdict": verdict(found, found.p)}}
    clean = {n: _mean({q: v for q, v in every[n].items() if q not in leaked}) for n in RUNS}
    metrics = {
        "splits": {"test": {name: {"nDCG@10": mean} for name, mean in means.items()}},
        "headline": "nDCG@10",
        "recommended": "tuned",
        "queries": len(qrels),
        "queries_without_positive": 0,
        "milliseconds_per_query": {"first_stage": 0.4, "base": 20.5, "tuned": 21.5},
        "comparison": {"tuned against first_stage": gain, "tuned against base": gain},
        "depths": {name: {"10": 0.9 * mean, "100": mean} for name, mean in means.items()},
        "leakage": {
            "equal_queries": dict.fromkeys(leaked, "t1"),
            "near_queries": {},
            "negatives": {},
            "headline_without_leaks": clean,
        },
        "context": _context(),
        "probe": {
            "collection": f"beir:{HOSTILE}",
            "split": "dev",
            "queries": 40,
            "systems": {name: {"nDCG@10": 0.9 * mean} for name, mean in means.items()},
            "comparison": {"tuned against base": gain, "tuned against first_stage": gain},
        },
    }
    log = [{"step": step, "loss": 1 / step, "flat_loss": 1.1} for step in (10, 20, 30)]
    dev = [{"step": step, "eval_nDCG@10": step / 40} for step in (15, 30)]
    return Evaluation(metrics, "test", qrels, values, runs, queries, passages, [*log, *dev])


def small() -> Evaluation:
    """Six queries of three candidates; the third relevant document of `lost` was not retrieved, and one query
    and its documents are hostile in every text and id."""
    ids = ["gains", "loses", "equal", "lost", "leaked", HOSTILE]
    first = {q: {f"{q}-a": 3.0, f"{q}-b": 2.0, f"{q}-c": 1.0} for q in ids}
    tuned = {q: {f"{q}-a": 2.0, f"{q}-b": 3.0, f"{q}-c": 1.0} for q in ids}
    tuned["equal"] = first["equal"]
    qrels: Qrels = {q: {f"{q}-b": 2, f"{q}-c": 0} for q in ids}
    qrels["loses"] = {"loses-a": 1}
    qrels["lost"] = {"lost-d": 1}
    before = {"gains": 0.6, "loses": 1.0, "equal": 0.6, "lost": 0.0, "leaked": 0.6, HOSTILE: 0.6}
    after = {"gains": 1.0, "loses": 0.6, "equal": 0.6, "lost": 0.0, "leaked": 1.0, HOSTILE: 1.0}
    docs = [doc for scores in first.values() for doc in scores] + ["lost-d"]
    passages = {doc: f"How the {doc} passage opens a file,\n    line by line" for doc in docs}
    passages[f"{HOSTILE}-b"] = f"{HOSTILE} {ODD}"
    queries = {q: f"open the files of {q}" for q in ids}
    queries[HOSTILE] = f"{ODD} {HOSTILE}"
    values = {"first_stage": before, "tuned": after}
    sample = mined(queries, passages)
    made = make(qrels, {"first_stage": first, "tuned": tuned}, values, queries, passages, ("leaked",))
    return replace(made, mined=sample, manifest=manifest())


def ledger_row(query_id: str, doc_id: str, reason: str, rank: int | None, **more: object) -> dict[str, Any]:
    """A row of the ledger of two first stages; `suspicion` as a sample adds it."""
    row = dict.fromkeys(("score", "rank_dense", "score_dense", "teacher_score", "model_score", "similarity"))
    told = {"groups": 1, "taken_for": [], "taken_from": [], "suspicion": None, **more}
    return {"query_id": query_id, "doc_id": doc_id, "rank": rank, **row, "reason": reason, **told}


def mined(queries: dict[str, str], passages: dict[str, str]) -> MinedSample:
    """Two train queries of which mining saw 2,000; their texts are added."""
    docs = ["near", "positive", "taken", "outside", "dense", "random", "lost", f"{HOSTILE}-t"]
    passages |= {doc: f"How the {doc} passage opens a file" for doc in docs}
    passages[f"{HOSTILE}-t"] = f"{HOSTILE} {ODD}"
    queries |= {"t1": "open a file", f"t-{HOSTILE}": f"{HOSTILE} {ODD}"}
    taken = {"taken_for": ["positive"], "groups": 2, "similarity": 0.25}
    rows = [
        ledger_row(
            "t1", "near", "near_copy", 1, score=9.5, teacher_score=0.875, similarity=0.96, suspicion=0.875
        ),
        ledger_row("t1", "positive", "judged_positive", 2, score=8.0),
        ledger_row(
            "t1", "taken", "taken", 3, score=7.25, taken_from=["first_stage"], suspicion=0.25, **taken
        ),
        ledger_row("t1", "outside", "outside_ranks", 51, score=1.5),
        ledger_row(
            "t1", "dense", "margin", None, rank_dense=4, score_dense=0.5, similarity=0.5, suspicion=0.5
        ),
        ledger_row("t1", "random", "taken", None, taken_from=["random"], suspicion=0.25, **taken),
    ]
    hostile = [
        ledger_row(f"t-{HOSTILE}", f"{HOSTILE}-t", "not_drawn", 1, score=1.0, similarity=0.1, suspicion=0.1)
    ]
    first = MinedQuery("t1", {"positive": 2, "lost": 1}, rows)
    return MinedSample([first], [MinedQuery(f"t-{HOSTILE}", {}, hostile)], 2000)


def largely_mined(evaluation: Evaluation) -> Evaluation:
    """With 100 mined queries of 100 candidates of their own each, in passages like those of the others."""
    rng = random.Random(9)
    words = " ".join(evaluation.passages.values()).split()
    queries, passages, sample = dict(evaluation.queries), dict(evaluation.passages), []
    for number in range(100):
        query_id, rows = f"train-{number}", []
        queries[query_id] = " ".join(rng.choices(words, k=10))
        for rank in range(1, 101):
            start = rng.randrange(len(words) - 60)
            doc_id = f"{rng.randrange(10**9):09d}"
            passages[doc_id] = " ".join(words[start : start + 60])
            likeness = rng.random()
            more = {"score": 30 * rng.random(), "similarity": likeness, "suspicion": likeness}
            rows.append(
                ledger_row(query_id, doc_id, rng.choice(("taken", "not_drawn", "margin")), rank, **more)
            )
        sample.append(MinedQuery(query_id, {}, rows))
    found = MinedSample(sample[:50], sample[50:], 400_000)
    return replace(evaluation, queries=queries, passages=passages, mined=found)


def large(queries: int, seed: int = 5) -> Evaluation:
    """That many queries with ten candidates each of their own, in words of natural frequencies, so that they
    pack as badly as prose does; every value differs from most others."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlucmfwypvbgk", k=rng.randint(2, 11))) for _ in range(30_000)]
    weights = [1 / (rank + 2) for rank in range(len(words))]
    stream = rng.choices(words, weights, k=600_000)

    def text(length: int) -> str:
        start = rng.randrange(len(stream) - length)
        return " ".join(stream[start : start + length])

    ids = [f"query-{rng.getrandbits(48):012x}" for _ in range(queries)]
    first, tuned, qrels, passages = {}, {}, {}, {}
    for query_id in ids:
        docs = [f"{rng.randrange(10**8):08d}" for _ in range(10)]
        first[query_id] = {doc: float(-place) for place, doc in enumerate(docs)}
        tuned[query_id] = {doc: rng.random() for doc in docs}
        qrels[query_id] = {rng.choice(docs): 1}
        passages |= {doc: text(60) for doc in docs}
    values = {name: {q: rng.random() for q in ids} for name in ("first_stage", "tuned")}
    texts = {query_id: text(10) for query_id in ids}
    return make(qrels, {"first_stage": first, "tuned": tuned}, values, texts, passages, tuple(ids[:50]))


def _mean(values: Mapping[str, float]) -> float:
    return sum(values.values()) / len(values)


def _context() -> dict[str, Any]:
    dev = {"first_stage": 0.41, "base": None, "tuned": 0.62, "fused": None}
    return {
        "name": "tiny",
        "date": "2026-01-02",
        "recipe": f"name: tiny\nmodel: {HOSTILE}\n",
        "train": {"dev": dev, "best_on_dev": "tuned", "groups": 12, "seconds": 3.5, "diagnoses": ["no_gain"]},
        "data_fingerprint": "0123456789abcdef" * 4,
        "versions": {"Python": "3.11.2", "torch": "2.13.0"},
        "machine": {"device": "cpu", "cpu": "a processor", "threads": 2, "max_tokens": 96},
    }
