"""Whether the groups hold what the loss learns from; what does not fit is refused or counted."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from crosstune.errors import InputError
from crosstune.progress import say
from crosstune.records import Collection, Group, Run
from crosstune.train.loss_kinds import KINDS, LossName, Needs


def check_dev(collection: Collection, candidates: Run) -> None:
    """Raises `InputError` for a collection without a dev split, or one of which nothing relevant is among the
    `candidates`."""
    dev = collection.qrels.get("dev")
    if not dev:
        raise InputError("the collection has no dev split (qrels/dev.tsv); it chooses the best checkpoint")
    if not any(
        dev[query_id].get(doc_id, 0) > 0 for query_id in dev for doc_id in candidates.get(query_id, {})
    ):
        raise InputError(
            "no dev query has a relevant passage among its candidates, so that no checkpoint can be chosen; "
            "check qrels/dev.tsv and retrieve/dev.trec of the run, or let the first stage find more (depth)"
        )


def check_labels(groups: Sequence[Group], loss: LossName) -> None:
    """Raises `InputError` when there is no group, and when a loss of 0/1 labels would lose the order of a
    group's grades; says how many positives of a grade above 1 count as 1."""
    if not groups:
        raise InputError("there are no training groups; see mining.json for what was left out and why")
    if KINDS[loss].learns_from != "relevance":
        return
    for group in groups:
        if len({grade for grade in group.labels if grade > 0}) > 1:
            graded = [name for name, kind in KINDS.items() if kind.learns_from == "grades"]
            raise InputError(
                f"train.loss = {loss} takes labels 0 and 1, and the group of query {group.query_id!r} holds "
                f"the grades {sorted(set(group.labels), reverse=True)}; choose one that learns from grades "
                f"({', '.join(graded)}), or mine.group_by=positive"
            )
    above = sum(grade > 1 for group in groups for grade in group.labels)
    if above:
        say(f"  train.loss = {loss} takes labels 0 and 1: {above} positives with a grade above 1 count as 1")


def check_scores(groups: Sequence[Group]) -> None:
    """Raises `InputError` for a group whose teacher's scores are not one a document, or no finite numbers;
    what a teacher was not asked is `None`."""
    for group in groups:
        scores, where = group.teacher_scores, f"the group of query {group.query_id!r}"
        if len(scores) != len(group.docs):
            raise InputError(
                f"{where} has {len(scores)} teacher_scores for {len(group.docs)} documents; give one a "
                "document, null where there is none"
            )
        for doc_id, score in zip(group.doc_ids, scores, strict=True):
            if score is not None and not math.isfinite(score):
                raise InputError(
                    f"{where} has the teacher score {score} for document {doc_id!r}; a score must be a "
                    "finite number, or null where there is none"
                )


def check_targets(groups: Sequence[Group], loss: LossName) -> None:
    """Raises `InputError` when a loss that learns from a teacher misses scores, and when no group has
    anything to learn from; says how many have nothing, and how many lack the scores that others have."""
    kind = KINDS[loss]
    check_scores(groups)
    _check_taught(groups, loss)
    idle = [group for group in groups if not _ABLE[kind.needs](group)]
    if len(idle) == len(groups):
        raise InputError(
            f"train.loss = {loss} needs {_MEANING[kind.needs]} in a group, and none of the {len(groups)} "
            f"groups has that (the first is query {groups[0].query_id!r} with labels {groups[0].labels}); "
            "check the labels, or choose another train.loss (docs/losses.md)"
        )
    if idle:
        say(
            f"  {len(idle)} of {len(groups)} groups teach train.loss = {loss} nothing: "
            f"{_MEANING[kind.needs]} is missing"
        )


def _check_taught(groups: Sequence[Group], loss: LossName) -> None:
    without = [group for group in groups if None in group.teacher_scores]
    if not without:
        return
    lack = f"{len(without)} of {len(groups)} groups lack them (the first is query {without[0].query_id!r})"
    if KINDS[loss].learns_from == "teacher":
        raise InputError(
            f"train.loss = {loss} learns from a teacher's scores, and {lack}. train.teacher = base or "
            "adapted gives them where it ranks dev better than the first stage; a cross-encoder does with "
            "mine.teacher and mine.distill_teacher=true; or choose a train.loss that learns from labels, "
            "for example lce"
        )
    if len(without) < len(groups):
        say(f"  of a teacher's scores, {lack}: these learn from their labels alone")


_ABLE: dict[Needs, Callable[[Group], bool]] = {
    "a document": lambda group: bool(group.docs),
    "two documents": lambda group: len(group.docs) > 1,
    "a relevant document": lambda group: len(group.docs) > 1 and max(group.labels) > 0,
    "two grades": lambda group: len(set(group.labels)) > 1,
    "two gains": lambda group: len({max(0, grade) for grade in group.labels}) > 1,
    "two scores": lambda group: len(set(group.teacher_scores)) > 1,
}
_MEANING: dict[Needs, str] = {
    "a document": "a document",
    "two documents": "two documents",
    "a relevant document": "a relevant document among others",
    "two grades": "two different grades",
    "two gains": "a grade above 0 beside a lower one",
    "two scores": "two different scores of the teacher",
}
