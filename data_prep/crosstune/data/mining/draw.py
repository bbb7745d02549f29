"""Which of the candidates that can be negatives a group takes: margins, a cap on use, bands, random draws."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from crosstune.data.mining.judge import Candidate, QueryJudge
from crosstune.data.settings import Band, MiningSettings

ROUNDS = 20
"""Draws from the collection are given up after so many rounds: hardly a passage is left to draw."""


class Drawer:
    """Draws the negatives of one group after the other. What is drawn depends on the seed, the ids and, with
    `max_uses`, on the groups before; `counts` says what became of each candidate, group by group."""

    def __init__(self, settings: MiningSettings, seed: int, doc_ids: Sequence[str]) -> None:
        self._settings = settings
        self._seed = seed
        self._doc_ids = doc_ids
        self._uses: Counter[str] = Counter()
        self._random = round(settings.random_negatives * settings.negatives)
        self._bands = settings.bands or [Band(first_rank=1, last_rank=settings.last_rank, share=1)]
        self._quotas = quotas(settings.negatives - self._random, [band.share for band in self._bands])
        self.counts: Counter[str] = Counter()

    def retrieved(self, query_id: str, positive: str, candidates: list[Candidate]) -> list[Candidate]:
        """From the first stage's candidates, band by band; a band that has too few is not filled up."""
        ceiling = self._ceiling(positive, candidates)
        able = []
        for candidate in candidates:
            if reason := candidate.reason or self._left_by_group(candidate, ceiling):
                self._leave(candidate, reason)
            else:
                able.append(candidate)
        draw = random.Random(f"{self._seed}\0{query_id}\0{positive}")
        taken: list[Candidate] = []
        for band, quota in zip(self._bands, self._quotas, strict=True):
            inside = [c for c in able if band.first_rank <= (c.rank or 0) <= band.last_rank]
            taken += draw.sample(inside, min(quota, len(inside)))
        drawn = {candidate.doc_id for candidate in taken}
        for candidate in able:
            if candidate.doc_id not in drawn:
                self._leave(candidate, "not_drawn")
        self._take(taken, positive)
        return taken

    def random(
        self, query_id: str, positive: str, judge: QueryJudge, known: dict[str, Candidate]
    ) -> list[Candidate]:
        """From all documents but the first stage's candidates. `known`: the query's candidates by id; what is
        drawn joins them."""
        retrieved = {doc_id for doc_id, candidate in known.items() if candidate.rank is not None}
        draw = random.Random(f"{self._seed}\0{query_id}\0{positive}\0random")
        seen: set[str] = retrieved | judge.relevant
        taken: list[Candidate] = []
        for _ in range(ROUNDS if self._random else 0):
            wanted = min(self._random - len(taken), len(self._doc_ids))
            fresh = [d for d in draw.sample(self._doc_ids, wanted) if d not in seen]
            seen |= set(fresh)
            unjudged = judge.drawn([d for d in fresh if d not in known])
            known.update({candidate.doc_id: candidate for candidate in unjudged})
            for candidate in (known[doc_id] for doc_id in fresh):
                if reason := candidate.reason or self._left_by_group(candidate, None):
                    self._leave(candidate, reason)
                else:
                    taken.append(candidate)
            if len(taken) == self._random:
                break
        self._take(taken, positive)
        return taken

    def _ceiling(self, positive: str, candidates: list[Candidate]) -> float | None:
        """The highest first-stage score that the margins allow; None without margins, and for a positive
        that was not retrieved and so has no score to keep a distance from."""
        score = next((c.score for c in candidates if c.doc_id == positive), None)
        limits = []
        if score is not None and self._settings.margin is not None:
            limits.append(score - self._settings.margin)
        if score is not None and self._settings.relative_margin is not None:
            limits.append(score - self._settings.relative_margin * abs(score))
        return min(limits, default=None)

    def _left_by_group(self, candidate: Candidate, ceiling: float | None) -> str | None:
        above = ceiling is not None and candidate.score is not None and candidate.score > ceiling
        if above and not candidate.trusted:
            return "margin"
        most = self._settings.max_uses
        return "used_up" if most is not None and self._uses[candidate.doc_id] >= most else None

    def _leave(self, candidate: Candidate, reason: str) -> None:
        candidate.groups += 1
        candidate.left_for = reason
        self.counts["seen"] += 1
        self.counts[reason] += 1

    def _take(self, taken: list[Candidate], positive: str) -> None:
        for candidate in taken:
            candidate.groups += 1
            candidate.taken_for.append(positive)
            self._uses[candidate.doc_id] += 1
            self.counts["seen"] += 1
            self.counts["taken"] += 1


def quotas(total: int, shares: Sequence[float]) -> list[int]:
    """`total` cut by `shares`, which sum to 1: the largest remainders get what rounding down leaves."""
    exact = [total * share for share in shares]
    cut = [int(value + 1e-9) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (cut[i] - exact[i], i))
    for place in order[: total - sum(cut)]:
        cut[place] += 1
    return cut
