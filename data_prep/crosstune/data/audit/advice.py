"""What to do about each thing that the audit found, a sentence each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crosstune.data.audit.audit import Audit
    from crosstune.data.audit.overlap import Overlap

SUSPECTS = 50
"""Unjudged candidates that the audit lists."""
SUSPICIOUS = 0.7
"""Teacher's score, or similarity to a positive, from which an unjudged candidate is worth a look: two texts
of prose that have nothing to do with each other are as similar as 0.5."""


def advise(found: Audit, max_tokens: int, max_query_tokens: int) -> list[str]:
    """`max_tokens`, `max_query_tokens`: the limits that the lengths were held against."""
    return [
        *_lengths(found, max_tokens, max_query_tokens),
        *_labels(found),
        *_first_stage(found),
        *(sentence for overlap in found.overlaps for sentence in _overlap(overlap)),
        *_texts(found),
        *_suspects(found),
    ]


def _lengths(found: Audit, max_tokens: int, max_query_tokens: int) -> Iterator[str]:
    if (cut := found.lengths["passages"]["cut"]) > 0.05:
        yield (
            f"{100 * cut:.0f} % of the passages are longer than max_tokens = {max_tokens} leaves room for: "
            "raise train.max_tokens, read them in windows (train.windows), or split the passages."
        )
    if (cut := found.lengths["queries"]["cut"]) > 0.01:
        yield (
            f"{100 * cut:.0f} % of the queries are cut at max_query_tokens = {max_query_tokens}: raise "
            "train.max_query_tokens, which leaves the passages less room, or shorten the queries."
        )


def _labels(found: Audit) -> Iterator[str]:
    for split, labels in found.labels.items():
        if count := int(labels["without positive"]):
            told = (
                "they give no training group"
                if split == "train"
                else "they count 0 in each measure, whatever the ranking"
            )
            yield (
                f"{count} of {int(labels['queries'])} {split} queries have no positive: {told}; label one, "
                f"or take their lines out of qrels/{split}.tsv."
            )


def _first_stage(found: Audit) -> Iterator[str]:
    for split, depths in found.recall.items():
        if depths["R@100"] < 0.8:
            yield (
                f"The first stage finds {depths['R@100']:.2f} of the {split} positives in its best 100; no "
                "reranker can pass that: improve the first stage."
            )


def _overlap(overlap: Overlap) -> Iterator[str]:
    if shared := len(overlap.equal_queries) + len(overlap.near_queries):
        yield (
            f"{shared} {overlap.later} queries equal or nearly equal a {overlap.earlier} query: take "
            f"them out of {overlap.earlier}, or believe the measures without them alone."
        )
    if overlap.shared_positives:
        yield (
            f"{overlap.shared_positives} of {overlap.of_positives} {overlap.later} positives are "
            f"{overlap.earlier} positives too, or equal or nearly equal one: a model may know the "
            "passages by heart; split by passage where that is no part of the job."
        )


def _texts(found: Audit) -> Iterator[str]:
    if repeated := found.repeated_passages:
        count = sum(map(len, repeated))
        yield f"{count} passages share {len(repeated)} texts: keep one of each, or judge all."
    total = sum(found.languages.values())
    if total and len(found.languages) > 1 and max(found.languages.values()) < 0.9 * total:
        yield "The passages are of several languages: the base must know them all."
    if found.boilerplate:
        yield (
            "A phrase of boiler plate stands in "
            f"{max(phrase.passages for phrase in found.boilerplate.values())} passages: cut such phrases out "
            "of the texts, since they take room and tell no passage from another."
        )


def _suspects(found: Audit) -> Iterator[str]:
    likely = [row for row in found.suspects if row["suspicion"] >= SUSPICIOUS]
    if likely:
        more = " or more" if len(likely) == SUSPECTS else ""
        taken = sum(row["reason"] == "taken" for row in likely)
        yield (
            f"{len(likely)}{more} unjudged candidates may be positives (teacher's score, or similarity to a "
            f"positive, from {SUSPICIOUS}), and {taken} of them are taken as negatives: answer them in "
            "crosstune review RUN and mine again with mine.review, or leave them to a mine.teacher; measures "
            "count such passages as misses too."
        )
