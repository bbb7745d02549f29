"""The data of the query browser: both rankings of every query, packed to fit into the page."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crosstune.evaluate.measures import in_order
from crosstune.evaluate.report.evaluation import FIRST_STAGE, Evaluation
from crosstune.evaluate.significance import TIE
from crosstune.evaluate.table import NAMES

BUDGET = 2_600_000
"""Characters of the packed data: with the figures, the page stays below 3 MB."""

QUERY_CHARACTERS = 300
FURTHER_RELEVANT = 3
"""Relevant documents of a query that are shown although neither ranking has them among its best."""

COMMON_SHARE, COMMON_PASSAGES, COMMON_SAMPLE = 0.1, 200, 5000
"""A word that so large a share of so many passages holds is not marked: it tells nothing."""

SURROGATES = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Form:
    """The best `top` documents of each ranking, and the first `characters` of a passage."""

    top: int
    characters: int


MOST = 600
LADDER = (Form(10, 250), Form(5, 160), Form(3, 60), Form(1, 30))
"""The most characters of a passage, and the fewest with which so many documents of each ranking are shown."""


@dataclass(frozen=True)
class Row:
    """A document of a query: its ranks from 1, or 0 where it is not among the candidates, and its grade."""

    doc_id: str
    before: int
    after: int
    grade: int | None


@dataclass(frozen=True)
class Browser:
    """`packed`: base64 of gzipped JSON; `queries`: how many it holds, those that changed most."""

    packed: str
    form: Form
    queries: int


def make_browser(evaluation: Evaluation, budget: int) -> Browser:
    """As many documents of every query as fit into `budget` characters, and as much of their texts. Where not
    even the least does, the queries that changed least are left out."""
    before, after = (evaluation.values[name] for name in (FIRST_STAGE, evaluation.best))
    rows = {query_id: _rows(evaluation, query_id) for query_id in evaluation.qrels}
    least = LADDER[0]
    for least in LADDER:
        packed = _packed(evaluation, list(rows), rows, least)
        if len(packed) <= budget:
            return _grown(evaluation, rows, Browser(packed, least, len(rows)), budget)
    chosen = sorted(rows, key=lambda query_id: -abs(after[query_id] - before[query_id]))
    while len(packed) > budget:
        chosen = chosen[: int(len(chosen) * 0.95 * budget / len(packed))]
        packed = _packed(evaluation, chosen, rows, least)
    return Browser(packed, least, len(chosen))


def _grown(
    evaluation: Evaluation, rows: Mapping[str, Sequence[Row]], browser: Browser, budget: int
) -> Browser:
    """With the longest passages that fit, to some percent: the size grows a little less than in line."""
    low, high = browser.form.characters, MOST
    spare = budget - len(browser.packed)
    while high - low > low / 20:
        form = Form(browser.form.top, high)
        packed = _packed(evaluation, list(rows), rows, form)
        if len(packed) <= budget:
            return Browser(packed, form, len(rows))
        slope = (len(packed) - len(browser.packed)) / (high - low)
        high = min(high - 1, low + int(0.97 * spare / slope))
    return browser


def readable(text: str) -> str:
    """The text as UTF-8 can hold it: half of a surrogate pair becomes the replacement character."""
    return SURROGATES.sub("\ufffd", text)


def pack(data: Mapping[str, Any]) -> str:
    """Base64 of gzipped JSON. Raises `ValueError` for what is no finite number."""
    text = readable(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def unpack(packed: str) -> dict[str, Any]:
    """What the page's script does to the data."""
    data: dict[str, Any] = json.loads(gzip.decompress(base64.b64decode(packed)))
    return data


def _rows(evaluation: Evaluation, query_id: str) -> list[Row]:
    """All that any form shows: the best of both rankings, then further relevant documents, those first that
    rank best afterwards."""
    judged = evaluation.qrels[query_id]
    orders = [in_order(evaluation.runs[name].get(query_id, {})) for name in (FIRST_STAGE, evaluation.best)]
    before, after = ({doc: rank for rank, doc in enumerate(order, start=1)} for order in orders)
    best = [doc for order in orders for doc in order[: LADDER[0].top]]
    relevant = sorted(
        (doc for doc, grade in judged.items() if grade > 0),
        key=lambda doc: (after.get(doc, len(after) + 1), -judged[doc], doc),
    )
    return [
        Row(doc, before.get(doc, 0), after.get(doc, 0), judged.get(doc))
        for doc in dict.fromkeys([*best, *relevant])
    ]


def _shown(rows: Sequence[Row], form: Form) -> list[Row]:
    top = [row for row in rows if 0 < min(row.before, row.after) <= form.top]
    others = [row for row in rows if row not in top and (row.grade or 0) > 0]
    return [*top, *others[:FURTHER_RELEVANT]]


def _packed(
    evaluation: Evaluation, query_ids: Sequence[str], rows: Mapping[str, Sequence[Row]], form: Form
) -> str:
    places: dict[str, int] = {}
    flat: list[list[int | None]] = []
    for query_id in query_ids:
        flat.append([])
        for row in _shown(rows[query_id], form):
            place = places.setdefault(row.doc_id, len(places))
            flat[-1] += [place, row.before, row.after, row.grade]
    texts = [start(evaluation.passages[doc_id], form.characters) for doc_id in places]
    before, after = (evaluation.values[name] for name in (FIRST_STAGE, evaluation.best))
    leaked, missed = set(evaluation.leaked), evaluation.missed
    data = {
        "names": [NAMES[FIRST_STAGE], NAMES[evaluation.best]],
        "top": form.top,
        "common": common(texts),
        "ids": list(query_ids),
        "texts": [start(evaluation.queries[query_id], QUERY_CHARACTERS) for query_id in query_ids],
        "before": [round(before[query_id], 4) for query_id in query_ids],
        "after": [round(after[query_id], 4) for query_id in query_ids],
        "signs": "".join(_sign(after[query_id] - before[query_id]) for query_id in query_ids),
        "leaked": [place for place, query_id in enumerate(query_ids) if query_id in leaked],
        "missed": [place for place, query_id in enumerate(query_ids) if query_id in missed],
        "rows": flat,
        "docs": list(places),
        "passages": texts,
    }
    return pack(data)


def _sign(difference: float) -> str:
    if abs(difference) <= TIE:
        return "="
    return "+" if difference > 0 else "-"


def start(text: str, characters: int) -> str:
    """So many characters at most, an ellipsis included."""
    return text if len(text) <= characters else text[: characters - 1].rstrip() + "…"


def common(texts: Sequence[str]) -> list[str]:
    """Words that a large share of the passages hold, in lower case."""
    sample = [set(re.findall(r"[^\W\d_]+", text.lower())) for text in texts[:COMMON_SAMPLE]]
    if len(sample) < COMMON_PASSAGES:
        return []
    counts = Counter(word for words in sample for word in words)
    return sorted(word for word, count in counts.items() if count >= COMMON_SHARE * len(sample))
