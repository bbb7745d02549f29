"""MRR@10 as the official MS MARCO script computes it (`ms_marco_eval.py`)."""

from __future__ import annotations

from collections.abc import Mapping, Set

DEPTH = 10


def reciprocal_ranks(
    relevant: Mapping[str, Set[str]], ranks: Mapping[str, Mapping[str, int]]
) -> dict[str, float]:
    """1 / rank of the best relevant passage within 10, else 0, for every query of the qrels.

    The rank decides, not a score; a query that the run lacks counts 0. `relevant`: query id -> passage ids;
    `ranks`: query id -> passage id -> rank from 1.
    """
    values = {}
    for query_id, passages in relevant.items():
        found = ranks.get(query_id, {})
        best = min((found[passage] for passage in passages if passage in found), default=DEPTH + 1)
        values[query_id] = 1 / best if best <= DEPTH else 0.0
    return values
