"""Splits: kept where the input has them, drawn by query where it lacks them."""

from __future__ import annotations

import math
import random
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from crosstune.data.store import Store
from crosstune.errors import InputError
from crosstune.near_equal import NEAR, normal, perhaps_near
from crosstune.progress import progress, say
from crosstune.records import SPLITS

MOST_QUERIES = 2000
_TO_DRAW = (
    "SELECT DISTINCT query FROM judgements WHERE grade > 0 AND split IN ('', ?1) "
    "AND query NOT IN (SELECT query FROM judgements WHERE split NOT IN ('', ?1))"
)

_ELSE = (
    ". Divide them by hand: crosstune convert IN OUT --dev SHARE --test SHARE (0 puts none there; 0 twice "
    "keeps splits that are there, and puts all in train where there is none); a recipe takes the outcome as "
    "collection=beir:OUT"
)


@dataclass(frozen=True)
class SplitRule:
    """How queries are divided when the input does not say, or lacks a split.

    `dev`, `test`: shares of the judged queries, of which no more than `MOST_QUERIES` are drawn for each.
    `disjoint_positives`: queries that share a positive go to the same split too, and not only queries of
    nearly the same words. `to_train`: without it, where the outcome is evaluated and nothing learned from it,
    an input without train stays as it is.
    """

    dev: float = 0.1
    test: float = 0.1
    seed: int = 13
    disjoint_positives: bool = False
    to_train: bool = True


def divide(store: Store, rule: SplitRule) -> str:
    """Gives every judgement and row its split; returns in words how. What is drawn depends on the seed, the
    queries and their ids alone. What an input with train lacks is drawn from train. One without train is
    divided: dev where there are dev and test, else the split that stands alone.

    Raises `InputError` when only some judgements have a split, and when there are too few queries.
    """
    named = store.number("SELECT count(*) FROM judgements WHERE split != ''")
    loose = [at for (at,) in store.ask("SELECT at FROM judgements WHERE split = '' LIMIT 1")]
    if not loose:
        return _kept(store, rule)
    if named:
        raise InputError(
            f"{loose[0]}: belongs to no split, other judgements do; put train, dev or test in its name, or "
            "leave it out"
        )
    return _divided(store, rule)


def _kept(store: Store, rule: SplitRule) -> str:
    """Draws what is missing, unless there are labels that no person made: no evaluation must meet them."""
    kept = "kept as the input has them"
    found = {split for (split,) in store.ask("SELECT DISTINCT split FROM judgements")}
    there = [split for split in SPLITS if split in found]
    pool = "train" if "train" in there else there[0]
    drawn = [name for name, share in (("dev", rule.dev), ("test", rule.test)) if share]
    if pool == "train" or len(there) > 1:
        drawn = [name for name in drawn if name == pool or name not in there]
    if not drawn or (pool != "train" and (pool not in drawn or not rule.to_train)):
        return kept
    missing = " and ".join(split for split in SPLITS if split not in there and split in (*drawn, "train"))
    if store.number("SELECT count(*) FROM sources"):
        return f"{kept}; {missing} not drawn, as some judgements are generated"
    if store.number(f"SELECT count(*) FROM ({_TO_DRAW})", pool) <= len(drawn):
        return f"{kept}; {missing} not drawn, as there are too few queries"
    rule = replace(rule, dev=rule.dev * ("dev" in drawn), test=rule.test * ("test" in drawn))
    how = _divided(store, rule, pool)
    if pool == "train":
        return f"{kept}; {missing}, which it has not, {how}"
    return f"{kept}, but {pool}: {missing}, which it has not, {how}, from {pool} (--{pool} 0 keeps it whole)"


def _divided(store: Store, rule: SplitRule, pool: str = "train") -> str:
    """Divides what belongs to no split yet, or to `pool`."""
    chosen = _draw(store, rule, pool)
    store.connection.execute("CREATE TABLE chosen (query TEXT PRIMARY KEY, split TEXT)")
    store.connection.executemany("INSERT INTO chosen VALUES (?, ?)", chosen.items())
    for table in ("judgements", "rows"):
        store.connection.execute(
            f"UPDATE {table} SET split = coalesce("
            f"(SELECT split FROM chosen WHERE chosen.query = {table}.query), 'train') "
            "WHERE split IN ('', ?)",
            (pool,),
        )
    beside = " and queries that share a positive" if rule.disjoint_positives else ""
    return f"drawn by query with seed {rule.seed}, near-equal queries{beside} on one side"


def _draw(store: Store, rule: SplitRule, pool: str) -> dict[str, str]:
    """The queries of dev and test; all others are of train."""
    near = _Neighbours(store, rule.disjoint_positives)
    chosen = _staying(store, near, pool) if pool != "train" else {}
    judged = sorted(q for (q,) in store.ask(_TO_DRAW, pool) if q not in chosen)
    wanted = {name: _size(share, len(judged)) for name, share in (("dev", rule.dev), ("test", rule.test))}
    if len(judged) <= sum(wanted.values()):
        raise InputError(
            f"{len(judged)} queries with a positive are too few for {wanted['dev']} of dev and "
            f"{wanted['test']} of test beside those of train{_ELSE}"
        )
    drawable = set(judged)  # what is nearly a query of a split that is there stays in train
    left_in_train: set[str] = set()
    order = random.Random(rule.seed).sample(judged, len(judged))
    with progress("split, queries", sum(wanted.values())) as advance:
        for split, size in wanted.items():
            filled = 0
            for query in order:
                if filled >= size:
                    break
                if query in chosen or query in left_in_train:
                    continue
                together = near.all_of(query, most=max(1, size - filled))
                if together is None or not together <= drawable:
                    left_in_train.add(query)
                    continue
                chosen.update(dict.fromkeys(together, split))
                filled += len(together)
                advance(len(together))
            if filled < size:
                say(f"  {split}: {filled} queries instead of {size}; the others belong together in train")
            if size and not filled:
                raise InputError(
                    f"no query can be set aside for {split}: all of them belong together (near-equal texts"
                    + (
                        ", shared positives; try without --disjoint-positives)"
                        if rule.disjoint_positives
                        else ")"
                    )
                    + _ELSE
                )
    return chosen


def _staying(store: Store, near: _Neighbours, pool: str) -> dict[str, str]:
    """The queries of `pool` that belong with one of another split: none of test gets into train."""
    others = {q for (q,) in store.ask("SELECT DISTINCT query FROM judgements WHERE split != ?", pool)}
    if not others:
        return {}
    queries = [q for (q,) in store.ask("SELECT DISTINCT query FROM judgements WHERE split = ?", pool)]
    return {query: pool for query in queries if others & (near.all_of(query) or set())}


def _size(share: float, queries: int) -> int:
    return min(max(round(share * queries), 1), MOST_QUERIES) if share else 0


class _Neighbours:
    """Which queries belong together: near-equal texts (indel similarity of 0.9 of the words in lower case, as
    the report's leakage check compares them) and, if asked, a positive in common."""

    def __init__(self, store: Store, positives: bool) -> None:
        self._store = store
        self._positives = positives
        if positives:
            store.connection.execute("CREATE INDEX by_doc ON judgements (doc, query) WHERE grade > 0")
        texts = store.ask(
            "SELECT id, text FROM queries WHERE id IN (SELECT query FROM judgements WHERE grade > 0)"
        )
        self._texts = {query: normal(text) for query, text in texts}
        self._by_length = sorted(self._texts, key=lambda query: (len(self._texts[query]), query))
        self._sorted_texts = [self._texts[query] for query in self._by_length]
        self._lengths = [len(text) for text in self._sorted_texts]

    def all_of(self, query: str, most: float = math.inf) -> set[str] | None:
        """The query with all that belong with it, directly or through others; None when more than `most`."""
        found, waiting = {query}, deque([query])
        while waiting:
            for other in self._beside(waiting.popleft()):
                if other not in found:
                    found.add(other)
                    waiting.append(other)
            if len(found) > most:
                return None
        return found

    def _beside(self, query: str) -> Iterable[str]:
        from rapidfuzz import process
        from rapidfuzz.distance import Indel

        if query in self._texts:
            text = self._texts[query]
            # Of two texts with similarity s the shorter has at least s / (2 - s) of the longer's length.
            ratio = NEAR / (2 - NEAR)
            first = bisect_left(self._lengths, int(len(text) * ratio))
            last = bisect_right(self._lengths, int(len(text) / ratio) + 1)
            about_as_long = zip(self._by_length[first:last], self._sorted_texts[first:last], strict=True)
            for _, _, other in process.extract(
                text,
                perhaps_near(text, dict(about_as_long)),
                scorer=Indel.normalized_similarity,
                processor=None,
                score_cutoff=NEAR,
                limit=None,
            ):
                yield other
        if self._positives:
            yield from (
                other
                for (other,) in self._store.ask(
                    "SELECT DISTINCT b.query FROM judgements a JOIN judgements b ON a.doc = b.doc "
                    "WHERE a.query = ? AND a.grade > 0 AND b.grade > 0",
                    query,
                )
            )
