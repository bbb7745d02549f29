"""Which of the candidates that can be negatives a group takes: margins, a cap on use, bands, random draws."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence

from crosstune.data.mining.judge import Candidate, QueryJudge
from crosstune.data.settings import RANDOM, RERANKED, Band, MiningSettings

ROUNDS = 20
"""Draws from the collection are given up after so many rounds: hardly a passage is left to draw."""


class Drawer:
    """Draws the negatives of one group after the other. What is drawn depends on the seed, the ids, in round
    2 on the model's scores and, with `max_uses`, on the groups before."""

    def __init__(self, settings: MiningSettings, seed: int, doc_ids: Sequence[str]) -> None:
        self._settings = settings
        self._seed = seed
        self._doc_ids = doc_ids
        self._uses: Counter[str] = Counter()
        self._random = round(settings.random_negatives * settings.negatives)
        whole = Band(first_rank=settings.first_rank, last_rank=settings.last_rank, share=1)
        bands = settings.bands or [whole]
        own = max(0.0, 1 - sum(further.share for further in settings.further))
        shares = {RERANKED: own} | {further.label: further.share for further in settings.further}
        self._parts = [(source, band) for source in shares for band in bands]
        self._quotas = quotas(
            settings.negatives - self._random, [shares[source] * band.share for source, band in self._parts]
        )
        margins = {further.label: (further.margin, further.relative_margin) for further in settings.further}
        self._margins = {RERANKED: (settings.margin, settings.relative_margin)} | margins
        self._counts: Counter[str] = Counter()
        self._taken_from: Counter[str] = Counter()

    def hand_over(self) -> tuple[Counter[str], Counter[str]]:
        """Since the last call: what became of each candidate, group by group, and whose quota took how
        many."""
        told = self._counts, self._taken_from
        self._counts, self._taken_from = Counter(), Counter()
        return told

    def retrieved(self, query_id: str, positive: str, candidates: list[Candidate]) -> list[Candidate]:
        """From the first stages' candidates, first stage by first stage and band by band; a quota for which
        there are too few is not filled up. In round 2 the hardest are taken, else the seed draws."""
        ceilings = self._ceilings(positive, candidates)
        able = []
        for candidate in candidates:
            if reason := candidate.reason or self._left_by_group(candidate, ceilings):
                self._leave(candidate, reason)
            else:
                able.append(candidate)
        draw = random.Random(f"{self._seed}\0{query_id}\0{positive}")
        taken: dict[str, Candidate] = {}
        for (source, band), quota in zip(self._parts, self._quotas, strict=True):
            inside = [
                candidate
                for candidate in able
                if band.first_rank <= (candidate.rank(source) or 0) <= band.last_rank
                and candidate.doc_id not in taken
            ]
            chosen = _hardest_first(inside)[:quota] or draw.sample(inside, min(quota, len(inside)))
            self._take(chosen, positive, source)
            taken |= {candidate.doc_id: candidate for candidate in chosen}
        for candidate in able:
            if candidate.doc_id not in taken:
                self._leave(candidate, "not_drawn")
        return list(taken.values())

    def random(
        self, query_id: str, positive: str, judge: QueryJudge, known: dict[str, Candidate]
    ) -> list[Candidate]:
        """From all documents but the first stages' candidates. `known`: the query's candidates by id; what is
        drawn joins them."""
        retrieved = {doc_id for doc_id, candidate in known.items() if candidate.places}
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
                if reason := candidate.reason or self._left_by_group(candidate, {}):
                    self._leave(candidate, reason)
                else:
                    taken.append(candidate)
            if len(taken) == self._random:
                break
        self._take(taken, positive, RANDOM)
        return taken

    def _ceilings(self, positive: str, candidates: list[Candidate]) -> dict[str, float]:
        """The highest score that the margins allow, by first stage; none without margins, and where the
        positive was not retrieved and so has no score to keep a distance from."""
        own = next((c for c in candidates if c.doc_id == positive), Candidate(positive))
        ceilings = {}
        for source, (margin, relative) in self._margins.items():
            score = own.score(source)
            if score is not None and (margin is not None or relative is not None):
                ceilings[source] = score - max(margin or 0.0, (relative or 0.0) * abs(score))
        return ceilings

    def _left_by_group(self, candidate: Candidate, ceilings: Mapping[str, float]) -> str | None:
        above = any(
            place.score > ceilings[source] for source, place in candidate.places.items() if source in ceilings
        )
        if above and not candidate.trusted:
            return "margin"
        most = self._settings.max_uses
        return "used_up" if most is not None and self._uses[candidate.doc_id] >= most else None

    def _leave(self, candidate: Candidate, reason: str) -> None:
        candidate.groups += 1
        candidate.left_for = reason
        self._counts["seen"] += 1
        self._counts[reason] += 1

    def _take(self, taken: list[Candidate], positive: str, source: str) -> None:
        for candidate in taken:
            candidate.groups += 1
            candidate.taken.append((positive, source))
            self._uses[candidate.doc_id] += 1
            self._counts["seen"] += 1
            self._counts["taken"] += 1
        self._taken_from[source] += len(taken)


def no_negatives(settings: MiningSettings) -> Counter[str]:
    """0 for whoever may have a quota of a group's negatives."""
    labels = (further.label for further in settings.further)
    return Counter(dict.fromkeys((RERANKED, *labels, RANDOM), 0))


def _hardest_first(candidates: Sequence[Candidate]) -> list[Candidate]:
    """By the score of the model that round 1 trained, ties by id; none where there is no such model."""
    scored = [(-c.model_logit, c.doc_id, c) for c in candidates if c.model_logit is not None]
    return [candidate for _, _, candidate in sorted(scored, key=lambda row: row[:2])]


def quotas(total: int, shares: Sequence[float]) -> list[int]:
    """`total` cut by `shares`, which sum to 1: the largest remainders get what rounding down leaves."""
    exact = [total * share for share in shares]
    cut = [int(value + 1e-9) for value in exact]
    order = sorted(range(len(shares)), key=lambda i: (cut[i] - exact[i], i))
    for place in order[: total - sum(cut)]:
        cut[place] += 1
    return cut
