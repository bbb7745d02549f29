"""Mining: one group a judged positive, with negatives from a band of the first stage's ranks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from crosstune.data.schema import GROUPS_FILE, GROUPS_VERSION, check_folder
from crosstune.data.settings import MiningSettings
from crosstune.errors import InputError
from crosstune.files import write_json
from crosstune.progress import progress, say
from crosstune.records import Collection, Group, Run, ranking


@dataclass(frozen=True)
class MiningSummary:
    """What `mining.json` holds.

    `candidates`: what became of every candidate that was seen for a group; the counts other than `seen`
    sum to it. `left_out`: positives that got no group, by reason.
    """

    groups: int
    positives: int
    positives_not_retrieved: int
    groups_with_fewer_negatives: int
    candidates: dict[str, int]
    left_out: dict[str, int]


def mine(
    collection: Collection, run: Run, settings: MiningSettings, seed: int, folder: Path
) -> MiningSummary:
    """Writes `groups/` (Arrow) and `mining.json` into `folder`.

    A negative is never judged relevant to its query and never a near copy of one of its positives. A
    group is not filled up: with fewer negatives at hand it is smaller, with none it is left out, and
    both are counted. What is drawn depends on the seed and the ids alone.
    """
    from datasets import Dataset, disable_progress_bars

    train = collection.qrels.get("train", {})
    positives = sorted((q, d) for q, judged in train.items() for d, grade in judged.items() if grade > 0)
    if not positives:
        raise InputError("the collection has no train positives (qrels/train.tsv); there is nothing to mine")
    kept = positives
    if settings.max_groups is not None and settings.max_groups < len(positives):
        kept = sorted(random.Random(seed).sample(positives, settings.max_groups))
    miner = _Miner(collection, run, settings, seed)
    groups = list(miner.groups(kept))
    counts = miner.counts
    summary = MiningSummary(
        groups=len(groups),
        positives=len(positives),
        positives_not_retrieved=sum(d not in run.get(q, {}) for q, d in kept),
        groups_with_fewer_negatives=sum(len(group.docs) - 1 < settings.negatives for group in groups),
        candidates={name: counts[name] for name in ("seen", "taken", *REASONS)},
        left_out={"no_negative": counts["no_negative"], "over_max_groups": len(positives) - len(kept)},
    )
    if not groups:
        raise InputError(
            f"no group could be mined from {len(positives)} train positives: {summary.candidates}; "
            "widen mine.first_rank and mine.last_rank, or check the first stage"
        )
    disable_progress_bars()
    Dataset.from_list([asdict(group) for group in groups]).save_to_disk(folder / "groups")
    write_json(folder / "mining.json", asdict(summary))
    _show(summary)
    return summary


REASONS = ("judged_positive", "outside_ranks", "near_copy", "not_drawn")


class _Miner:
    def __init__(self, collection: Collection, run: Run, settings: MiningSettings, seed: int) -> None:
        self._collection = collection
        self._run = run
        self._settings = settings
        self._seed = seed
        self.counts: Counter[str] = Counter()

    def groups(self, positives: list[tuple[str, str]]) -> Iterator[Group]:
        reasons: dict[str, str | None] = {}
        last = None
        with progress("mine, positives", len(positives)) as advance:
            for query_id, positive in positives:
                if query_id != last:
                    reasons, last = self._judge(query_id), query_id
                group = self._group(query_id, positive, reasons)
                if group:
                    yield group
                advance(1)

    def _judge(self, query_id: str) -> dict[str, str | None]:
        """For each candidate why it cannot be a negative of this query, or None when it can."""
        judged = self._collection.qrels["train"][query_id]
        relevant = {doc_id for doc_id, grade in judged.items() if grade > 0}
        copies = _NearCopies([self._collection.passages[d] for d in relevant], self._settings.near_copy)
        reasons: dict[str, str | None] = {}
        for rank, doc_id in enumerate(ranking(self._run.get(query_id, {})), start=1):
            if doc_id in relevant:
                reasons[doc_id] = "judged_positive"
            elif not self._settings.first_rank <= rank <= self._settings.last_rank:
                reasons[doc_id] = "outside_ranks"
            elif copies.include(self._collection.passages[doc_id]):
                reasons[doc_id] = "near_copy"
            else:
                reasons[doc_id] = None
        return reasons

    def _group(self, query_id: str, positive: str, reasons: dict[str, str | None]) -> Group | None:
        able = [doc_id for doc_id, reason in reasons.items() if reason is None]
        draw = random.Random(f"{self._seed}\0{query_id}\0{positive}")
        negatives = draw.sample(able, min(self._settings.negatives, len(able)))
        self.counts["seen"] += len(reasons)
        self.counts["taken"] += len(negatives)
        self.counts["not_drawn"] += len(able) - len(negatives)
        self.counts.update(reason for reason in reasons.values() if reason)
        if not negatives:
            self.counts["no_negative"] += 1
            return None
        doc_ids = [positive, *negatives]
        scores = self._run.get(query_id, {})
        return Group(
            query_id=query_id,
            query=self._collection.queries[query_id],
            doc_ids=doc_ids,
            docs=[self._collection.passages[doc_id] for doc_id in doc_ids],
            labels=[self._collection.qrels["train"][query_id][positive], *[0] * len(negatives)],
            first_stage_scores=[scores.get(doc_id) for doc_id in doc_ids],
            teacher_scores=[None] * len(doc_ids),
        )


class _NearCopies:
    """Whether a text is a copy of one of `texts`: rapidfuzz's normalised indel similarity."""

    def __init__(self, texts: list[str], similarity: float) -> None:
        self._texts = [_normal(text) for text in texts]
        self._similarity = similarity

    def include(self, text: str) -> bool:
        from rapidfuzz.distance import Indel

        normal = _normal(text)
        return any(
            Indel.normalized_similarity(normal, other, score_cutoff=self._similarity) >= self._similarity
            for other in self._texts
        )


def _normal(text: str) -> str:
    return " ".join(text.lower().split())


def read_groups(folder: Path) -> list[Group]:
    """The groups that `mine` wrote into `folder`."""
    from datasets import load_from_disk

    if not (folder / "groups").is_dir():
        raise InputError(f"{folder / 'groups'}: no such folder; run crosstune mine first")
    check_folder(folder, GROUPS_FILE, GROUPS_VERSION)
    return [Group(**row) for row in load_from_disk(folder / "groups")]


def _show(summary: MiningSummary) -> None:
    say(
        f"  {summary.groups} groups from {summary.positives} positives "
        f"({summary.positives_not_retrieved} of them not retrieved), "
        f"{summary.groups_with_fewer_negatives} with fewer negatives than asked"
    )
    say("  candidates: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in summary.candidates.items()))
    left = {reason: count for reason, count in summary.left_out.items() if count}
    if left:
        say("  positives left out: " + ", ".join(f"{k.replace('_', ' ')} {n}" for k, n in left.items()))
