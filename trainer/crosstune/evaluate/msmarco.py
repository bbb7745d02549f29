"""The official MS MARCO passage ranking script, `ms_marco_eval.py`, figure for figure.

It differs from trec_eval (there the score decides, ids are text and grades are read), so its figures carry
its own names and never stand in a column with others. https://github.com/microsoft/MSMARCO-Passage-Ranking
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_lines
from crosstune.trec import trec_run_hint

NAME = "MS MARCO MRR@10"
DEPTH = 10
LIST = 1000
EMPTY = 0
"""What the script fills unused ranks with; it takes it for passage 0."""


@dataclass(frozen=True)
class MsMarcoResult:
    """`mrr`: the sum of reciprocal ranks divided by the number of queries in the qrels; `queries_ranked`:
    queries of the run; `notes`: where the script's rules decided about the figure without a word."""

    mrr: float
    queries: int
    queries_ranked: int
    per_query: dict[int, float]
    notes: tuple[str, ...]


def ms_marco_eval(qrels_path: Path, run_path: Path) -> MsMarcoResult:
    """Scores `qid <tab> pid <tab> rank` lines against `qid <tab> 0 <tab> pid <tab> 1` lines.

    The rank column decides; the fourth column of the qrels is not read; a query that is missing from the
    run counts 0. Raises `InputError` where the script complains: a column that is no integer, a rank above
    1000, a passage at two ranks of one query, a run without any query of the qrels.
    """
    relevant, graded = _relevant(qrels_path)
    ranked, notes = _ranked(run_path)
    notes[:0] = graded
    if not relevant.keys() & ranked.keys():
        raise InputError(
            f"{run_path}: no query of it is in {qrels_path}; are these the judgements of another split?"
        )
    values = {query_id: _reciprocal_rank(ranked.get(query_id), pids) for query_id, pids in relevant.items()}
    gaps = [q for q, pids in relevant.items() if EMPTY in pids and EMPTY in ranked.get(q, [])[:DEPTH]]
    if gaps:
        notes.append(
            f"passage 0 is relevant for {len(gaps)} queries (query {gaps[0]}) whose lists have a gap in the "
            "first 10 ranks: the script takes a gap for passage 0, and counts it as a hit"
        )
    total = 0.0
    for query_id in ranked:  # as the script adds; since Python 3.12 `sum` rounds otherwise
        total += values.get(query_id, 0.0)
    return MsMarcoResult(total / len(relevant), len(relevant), len(ranked), values, tuple(notes))


def _relevant(path: Path) -> tuple[dict[int, set[int]], list[str]]:
    relevant: dict[int, set[int]] = {}
    other: list[int] = []
    short: list[int] = []
    for number, line in read_lines(path):
        query_id, pid = _integers(path, number, line, (0, 2), "qid, 0, pid and 1")
        relevant.setdefault(query_id, set()).add(pid)
        columns = line.split("\t")
        if len(columns) < 4:
            short.append(number)
        elif columns[3].strip() != "1":
            other.append(number)
    notes = []
    if other:
        notes.append(
            f"{path}:{other[0]}: a grade other than 1, which the script does not read: the passage counts as "
            f"relevant ({len(other)} lines)"
        )
    if short:
        notes.append(
            f"{path}:{short[0]}: fewer than 4 columns; the script takes the third, whatever it is, for the "
            f"passage ({len(short)} lines)"
        )
    return relevant, notes


def _ranked(path: Path) -> tuple[dict[int, list[int]], list[str]]:
    ranked: dict[int, list[int]] = {}
    turned: list[int] = []
    replaced: list[int] = []
    for number, line in read_lines(path):
        query_id, pid, rank = _integers(path, number, line, (0, 1, 2), "qid, pid and rank")
        if not -LIST < rank <= LIST:
            raise InputError(f"{path}:{number}: rank is {rank}; the MS MARCO script takes 1 to {LIST}")
        places = ranked.setdefault(query_id, [EMPTY] * LIST)
        if rank < 1:
            turned.append(number)
        if places[rank - 1] != EMPTY:
            replaced.append(number)
        places[rank - 1] = pid
    for query_id, places in ranked.items():
        twice = [pid for pid, count in Counter(places).items() if count > 1 and pid != EMPTY]
        if twice:
            raise InputError(
                f"{path}: passage {twice[0]} stands at {places.count(twice[0])} ranks of query {query_id}"
            )
    notes = []
    if turned:
        notes.append(
            f"{path}:{turned[0]}: a rank below 1 counts from the end of the 1000 ({len(turned)} lines)"
        )
    if replaced:
        notes.append(
            f"{path}:{replaced[0]}: a rank given twice keeps the later passage ({len(replaced)} lines)"
        )
    return ranked, notes


def _integers(path: Path, number: int, line: str, places: tuple[int, ...], expected: str) -> list[int]:
    columns = line.strip().split("\t")
    try:
        return [int(columns[place]) for place in places]
    except (IndexError, ValueError):
        raise InputError(
            f"{path}:{number}: {line[:60]!r}: {expected}, integers between tabs, were "
            f"expected{trec_run_hint(line)}"
        ) from None


def _reciprocal_rank(places: list[int] | None, relevant: set[int]) -> float:
    for rank, pid in enumerate((places or [])[:DEPTH], start=1):
        if pid in relevant:
            return 1 / rank
    return 0.0
