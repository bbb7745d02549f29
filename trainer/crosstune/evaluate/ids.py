"""Why two sets of ids do not meet: the usual causes, by name."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from crosstune.errors import InputError
from crosstune.records import Qrels, Run

EXAMPLES = 3


def check_shared(qrels: Qrels, run: Run, qrels_name: str, run_name: str, others: Mapping[str, Qrels]) -> None:
    """Raises `InputError` when qrels and run share no query, with the cause where it can be told: ids of
    two types or spellings, or the judgements of another split (`others`: name -> qrels)."""
    if qrels.keys() & run.keys():
        return
    reason = next(
        (
            f"{len(other.keys() & run.keys())} of its queries are in {name}: the judgements of another split"
            for name, other in others.items()
            if other.keys() & run.keys()
        ),
        None,
    )
    raise InputError(
        f"{qrels_name} and {run_name} share no query ({qrels_name}: {_examples(qrels)}; {run_name}: "
        f"{_examples(run)}); {reason or why_apart(qrels, run) or 'usually they are of different splits'}"
    )


def why_apart(judged: Collection[object], answered: Collection[object]) -> str | None:
    """The difference in spelling that keeps two sets of ids apart, in words; None when there is none."""
    types = {type(identifier).__name__ for identifier in (*judged, *answered)}
    if len(types) > 1:
        names = " and ".join(sorted(types))
        return f"the ids are of different types ({names}): '1' is not 1; make all of them str"
    if {str(i).casefold() for i in judged} & {str(i).casefold() for i in answered}:
        return "the ids would meet but for upper and lower case"
    for pattern, replacement, cause in _SPELLINGS:
        left = {re.sub(pattern, replacement, str(identifier)) for identifier in judged}
        right = {re.sub(pattern, replacement, str(identifier)) for identifier in answered}
        if left & right:
            return f"the ids would meet but for {cause}"
    return None


_SPELLINGS = (
    (r"\.0$", "", "a '.0' at the end (a table tool read integers as floats: read the column as text)"),
    (r"^0+(?=\d)", "", "zeros at the front (a table tool read text as integers: read the column as text)"),
    (r"""^["']|["']$""", "", "quotes around them"),
    (r"^[^\d]+(?=\d)", "", "what stands before the number (such as 'q' or 'doc')"),
)


def _examples(ids: Collection[object]) -> str:
    return ", ".join(repr(identifier) for identifier in sorted(ids, key=str)[:EXAMPLES]) + (
        " ..." if len(ids) > EXAMPLES else ""
    )
