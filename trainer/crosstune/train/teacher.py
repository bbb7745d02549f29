"""The base's own vectors as a teacher, together with the first stage.

The vectors of a bi-encoder know which texts belong together, and learn a domain from few labels; a ranking
head that starts fresh cannot read it off. Distilling the cosine into the cross-encoder hands that knowledge
over for the price of one forward pass a text (after Hofstaetter et al. 2020, arXiv:2010.02666; here the base
teaches itself).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from crosstune.evaluate import mean, per_query
from crosstune.files import read_json, write_json
from crosstune.progress import say
from crosstune.records import Collection, Group, Run

if TYPE_CHECKING:
    from crosstune.train.bi_encoder import BiEncoder

Table = npt.NDArray[Any]
WORTH = 0.7
"""Share of the first stage's nDCG@10 on dev from which on vectors are a better start than a fresh head."""

LIKELY = 22.0
"""Standard deviation of a weight, over a feature whose largest value is 1, before data are seen: a few lists
that can be ranked without error would have it grow for ever, about 100 are hardly moved."""


@dataclasses.dataclass(frozen=True)
class Teacher:
    """What `teacher.json` holds: the weights of the base's cosine and of the first stage's score, nDCG@10 on
    the sampled dev candidates of the two together and of each, and the logits of every group, `None` when it
    has nothing to teach."""

    cosine_weight: float
    first_stage_weight: float
    dev_ndcg: float
    dev_ndcg_of_first_stage: float
    dev_ndcg_of_vectors: float
    scores: list[list[float]] | None


@dataclasses.dataclass(frozen=True)
class OwnVectors:
    """The vectors of `base`, or (`kind` adapted) of `base` after an adaptation to the groups' positives, as
    the teacher of the cross-encoder that is trained in `folder`.

    `start`, where there is one, is called with the vectors, whose segments are then kept apart, and the
    groups that they have scored: where the two rank dev better than the first stage, and where the vectors
    alone are worth it (`WORTH`).
    """

    base: Path
    kind: Literal["base", "adapted"]
    max_tokens: int
    folder: Path
    seed: int
    bf16: bool
    start: Callable[[BiEncoder, Sequence[Group]], None] | None = None

    def teach(self, groups: Sequence[Group], collection: Collection, dev: Run) -> list[Group]:
        """The groups with `teacher_scores`: logits from the base's cosine and the first stage's score.

        The two are weighed by the likelihood of the positives among the dev candidates, which an adapted base
        has not seen, so the logits are as sharp as the data bear out. The groups come back as they were
        unless the teacher ranks dev better than the first stage, and where they have scores already: those
        of a teacher that mining was told to hand on. `teacher.json` in `folder` keeps the outcome: an
        interrupted training does not ask again.
        """
        path = self.folder / "teacher.json"
        if not path.exists():
            write_json(path, dataclasses.asdict(self._ask(groups, collection, dev)))
        teacher = Teacher(**read_json(path))
        taught = have_teacher(groups)
        outcome = "nothing to distil" if teacher.scores is None else "distilled"
        if taught:
            outcome = "mining's teacher is distilled"
        say(
            f"  dev nDCG@10 {teacher.dev_ndcg:.4f} by {teacher.cosine_weight:.1f} x the {self.kind} vectors' "
            f"cosine + {teacher.first_stage_weight:.2f} x the first stage, {teacher.dev_ndcg_of_vectors:.4f} "
            f"by the cosine, {teacher.dev_ndcg_of_first_stage:.4f} by the first stage: "
            f"{outcome}"
        )
        if teacher.scores is None or taught:
            return list(groups)
        return _scored(groups, teacher.scores)

    def _ask(self, groups: Sequence[Group], collection: Collection, dev: Run) -> Teacher:
        from crosstune.train.bi_encoder import BiEncoder, adapt

        encoder = BiEncoder(self.base, self.max_tokens)
        if self.start is not None:
            queries = dict.fromkeys(group.query for group in groups)
            passages = dict.fromkeys(doc for group in groups for doc in group.docs)
            encoder.keep_segments_apart([*queries], [*passages], self.seed)
        if self.kind == "adapted":
            adapt(encoder, groups, self.bf16, self.seed, self.folder / "adapt")
        lists = dev_lists(collection, dev)
        features, mask = _features(lists, encoder, "dev vectors")
        weights = fit_weights(features, _positives(lists, mask), mask)
        both, vectors = (_ranked(lists, features @ chosen) for chosen in (weights, np.array([1.0, 0.0])))
        qrels = {query_id: collection.qrels["dev"][query_id] for query_id in dev}
        ndcg, of_first_stage, of_vectors = (
            mean(per_query(qrels, run, ["nDCG@10"])["nDCG@10"]) for run in (both, dev, vectors)
        )
        teaches = ndcg > of_first_stage
        starts = self.start is not None and (teaches or of_vectors >= WORTH * of_first_stage)
        scores = None
        if teaches or starts:
            rows = _features(groups, encoder, "train vectors")[0] @ weights
            scores = [row[: len(group.docs)].tolist() for group, row in zip(groups, rows, strict=True)]
            if starts and self.start is not None:
                self.start(encoder, _scored(groups, scores))
        return Teacher(
            float(weights[0]),
            float(weights[1]),
            ndcg,
            of_first_stage,
            of_vectors,
            scores if teaches else None,
        )


def have_teacher(groups: Sequence[Group]) -> bool:
    """Whether some group has a teacher's score of each document."""
    return any(None not in group.teacher_scores for group in groups)


def _ranked(lists: Sequence[Group], scores: Table) -> Run:
    return {
        group.query_id: dict(zip(group.doc_ids, row.tolist(), strict=False))
        for group, row in zip(lists, scores, strict=True)
    }


def _scored(groups: Sequence[Group], scores: Sequence[Sequence[float]]) -> list[Group]:
    return [
        dataclasses.replace(group, teacher_scores=[*row]) for group, row in zip(groups, scores, strict=True)
    ]


def dev_lists(collection: Collection, dev: Run) -> list[Group]:
    """The candidates of each dev query that has a positive among them, with their grades."""
    lists = []
    for query_id, scores in dev.items():
        doc_ids = list(scores)
        judged = collection.qrels["dev"][query_id]
        labels = [max(0, judged.get(doc_id, 0)) for doc_id in doc_ids]
        if any(labels):
            docs = [collection.passages[doc_id] for doc_id in doc_ids]
            query = collection.queries[query_id]
            unknown: list[float | None] = [None] * len(docs)
            lists.append(Group(query_id, query, doc_ids, docs, labels, [*scores.values()], unknown))
    return lists


def _features(groups: Sequence[Group], encoder: BiEncoder, label: str) -> tuple[Table, Table]:
    """Cosine and first-stage score `[groups, docs, 2]`, and whether there is a document `[groups, docs]`.

    A document that was not retrieved counts as the lowest of its group."""
    queries = {query: number for number, query in enumerate(dict.fromkeys(g.query for g in groups))}
    docs = {doc: number for number, doc in enumerate(dict.fromkeys(doc for g in groups for doc in g.docs))}
    of_queries = encoder.embed([*queries], f"{label}, queries")
    of_docs = encoder.embed([*docs], f"{label}, passages", passage=True)
    features = np.zeros((len(groups), max((len(group.docs) for group in groups), default=0), 2))
    mask = np.zeros(features.shape[:2], dtype=bool)
    for number, group in enumerate(groups):
        count = len(group.docs)
        mask[number, :count] = True
        rows = of_docs[[docs[doc] for doc in group.docs]]
        features[number, :count, 0] = rows @ of_queries[queries[group.query]]
        lowest = min((score for score in group.first_stage_scores if score is not None), default=0.0)
        scores = [lowest if score is None else score for score in group.first_stage_scores]
        features[number, : len(scores), 1] = scores
    return features, mask


def _positives(groups: Sequence[Group], mask: Table) -> Table:
    positives = np.zeros_like(mask)
    for number, group in enumerate(groups):
        positives[number, : len(group.labels)] = [label > 0 for label in group.labels]
    return positives


def fit_weights(features: Table, positives: Table, mask: Table) -> Table:
    """The weights `[features]`, not below 0, of the conditional logit (McFadden 1974) that chooses the
    positives: their log-likelihood over the lists, with a normal prior (`LIKELY`), is largest.

    `features`: `[lists, docs, features]`; `positives`, `mask`: bool `[lists, docs]`.
    """
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    width = features.shape[-1]
    if not mask.any():
        return np.zeros(width)
    scale = np.abs(features[mask]).max(axis=0) + 1e-12

    def cost(weights: Table) -> float:
        log_p = log_softmax(np.where(mask, features @ (weights / scale), -np.inf), axis=1)
        chosen = np.where(positives, log_p, 0).sum(axis=1) / positives.sum(axis=1)
        return float(-chosen.mean() + (weights**2).sum() / (2 * LIKELY**2 * len(features)))

    found = minimize(cost, np.ones(width), method="L-BFGS-B", bounds=[(0, 100)] * width)
    fitted: Table = found.x / scale
    return fitted
