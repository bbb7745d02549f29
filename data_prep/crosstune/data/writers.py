"""Writing what a conversion gathered: a BEIR folder, or training groups."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Container, Iterator
from pathlib import Path
from typing import Any

from crosstune.data.groups import groups_writer
from crosstune.data.schema import COLLECTION_FILE, COLLECTION_VERSION, GROUPS_FILE, GROUPS_VERSION
from crosstune.data.store import Store
from crosstune.errors import InputError
from crosstune.files import write_json, write_jsonl
from crosstune.label_sources import SOURCES_FILE, LabelSource, source_lines
from crosstune.records import SPLITS, Group

CANDIDATES = "candidates"


def write_beir(store: Store, folder: Path, about: dict[str, Any]) -> dict[str, int]:
    """Writes corpus, queries and qrels in the order of the input, `candidates/{split}.trec` when the input
    has a first stage's candidates, and `collection.json`; returns what was written, by name."""
    passages = store.ask("SELECT id, title, text, more FROM passages ORDER BY place")
    write_jsonl(
        folder / "corpus.jsonl",
        ({"_id": i, "title": title, "text": text, **_more(more)} for i, title, text, more in passages),
    )
    queries = store.ask("SELECT id, text, more FROM queries ORDER BY place")
    write_jsonl(
        folder / "queries.jsonl", ({"_id": i, "text": text, **_more(more)} for i, text, more in queries)
    )
    written = {}
    for split in SPLITS:
        count = store.number("SELECT count(*) FROM judgements WHERE split = ?", split)
        if count:
            written[f"{split} judgements"] = count
            _write_qrels(store, split, folder / "qrels" / f"{split}.tsv")
    _write_sources(store, folder / SOURCES_FILE)
    for name in (*SPLITS, "unjudged"):
        written |= _write_candidates(store, name, folder / CANDIDATES / f"{name}.trec")
    write_json(folder / COLLECTION_FILE, {"schema": COLLECTION_VERSION, **about})
    return written


def _more(more: str | None) -> dict[str, Any]:
    return dict(json.loads(more)) if more else {}


def _write_qrels(store: Store, split: str, path: Path) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("w", encoding="utf-8") as handle:
        handle.write("query-id\tcorpus-id\tscore\n")
        rows = store.ask("SELECT query, doc, grade FROM judgements WHERE split = ? ORDER BY place", split)
        handle.writelines(f"{query}\t{doc}\t{grade}\n" for query, doc, grade in rows)


def _write_sources(store: Store, path: Path) -> None:
    if not store.number("SELECT count(*) FROM sources"):
        return
    rows = store.ask("SELECT split, query, doc, source, generator FROM sources ORDER BY place")
    with path.open("w", encoding="utf-8") as handle:
        handle.writelines(source_lines(LabelSource(*row) for row in rows))  # type: ignore[arg-type]


def _write_candidates(store: Store, split: str, path: Path) -> dict[str, int]:
    belongs = "IN (SELECT query FROM judgements WHERE split = ?)"
    if split == "unjudged":
        belongs = "NOT IN (SELECT query FROM judgements WHERE split != ?)"
    rows = store.ask(
        "SELECT query, doc, row_number() OVER (PARTITION BY query ORDER BY score DESC, doc DESC), score "
        f"FROM candidates WHERE query {belongs} ORDER BY query, score DESC, doc DESC",
        split,
    )
    count = 0
    for query, doc, rank, score in rows:
        if not count:
            path.parent.mkdir(exist_ok=True)
            handle = path.open("w", encoding="utf-8")
        count += 1
        handle.write(f"{query} Q0 {doc} {rank} {score!r} input\n")
    if count:
        handle.close()
    return {f"{split} candidates": count} if count else {}


def write_groups(store: Store, folder: Path, about: dict[str, Any]) -> dict[str, int]:
    """Writes `groups/` of train, `dev/groups/` and `test/groups/` where there are any, and `groups.json`.

    Raises `InputError` when no positive has a judged negative beside it.
    """
    written: dict[str, int] = {}
    maker = _GroupMaker(store)
    for split in SPLITS:
        with groups_writer(folder if split == "train" else folder / split) as groups:
            for group in maker.groups(split):
                groups.add(group)
        if groups.count:
            written[f"{split} groups"] = groups.count
    if not written:
        raise InputError(
            "there is no group to write: no positive has a judged negative beside it "
            f"({dict(+maker.left_out)}). Convert to a BEIR folder, and let crosstune mine draw negatives"
        )
    write_json(folder / GROUPS_FILE, {"schema": GROUPS_VERSION, **about, "left_out": +maker.left_out})
    return written | {f"left out: {reason}": count for reason, count in maker.left_out.items() if count}


Document = tuple[str, int, float | None, float | None]
"""Id, grade, first-stage score, teacher's score."""


class _GroupMaker:
    """Groups of the rows as they came, then of the judged positives that stand in none of them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.left_out: Counter[str] = Counter()
        store.connection.execute(
            "CREATE TEMP TABLE tried (query TEXT, doc TEXT, grouped INTEGER, PRIMARY KEY (query, doc))"
        )

    def groups(self, split: str) -> Iterator[Group]:
        rows = self._store.ask(
            "SELECT query, docs, labels, listed, first_stage, teacher FROM rows WHERE split = ? "
            "ORDER BY place",
            split,
        )
        for query, docs, labels, listed, first, teacher in rows:
            ids = json.loads(docs)
            none = [None] * len(ids)
            scores = (json.loads(first) if first else none, json.loads(teacher) if teacher else none)
            documents = list(zip(ids, json.loads(labels), *scores, strict=True))
            self._try(query, [doc for doc, grade, *_ in documents if grade > 0], grouped=False)
            if listed:
                grades = dict(self._judged(split, query))
                documents = [(doc, grades.get(doc, grade), *scored) for doc, grade, *scored in documents]
                made = self._made(query, sorted(documents, key=lambda document: -document[1]))
            else:
                made = self._one_a_positive(split, query, documents)
            for group in made:
                positives = [doc for doc, y in zip(group.doc_ids, group.labels, strict=True) if y > 0]
                self._try(query, positives, grouped=True)
                yield group
        left = self._store.ask(
            "SELECT DISTINCT query FROM judgements AS judged WHERE split = ? AND "
            "(query NOT IN (SELECT query FROM rows) OR grade > 0 AND NOT EXISTS "
            "(SELECT 1 FROM tried WHERE query = judged.query AND doc = judged.doc AND grouped))",
            split,
        )
        for (query,) in left:
            rows = self._store.ask("SELECT doc, grouped FROM tried WHERE query = ?", query)
            tried = {doc: bool(grouped) for doc, grouped in rows}
            documents = [
                (doc, grade, None, None) for doc, grade in self._judged(split, query) if not tried.get(doc)
            ]
            yield from self._one_a_positive(split, query, documents, tried)

    def _try(self, query: str, docs: list[str], *, grouped: bool) -> None:
        """Keeps that these positives stand in a row, or in a group."""
        self._store.connection.executemany(
            "INSERT INTO tried VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET grouped = max(grouped, ?)",
            [(query, doc, grouped, grouped) for doc in docs],
        )

    def _judged(self, split: str, query: str) -> Iterator[tuple[str, int]]:
        rows = self._store.ask(
            "SELECT doc, grade FROM judgements WHERE query = ? AND split = ? ORDER BY place", query, split
        )
        return ((doc, int(grade)) for doc, grade in rows)

    def _one_a_positive(
        self, split: str, query: str, documents: list[Document], tried: Container[str] = ()
    ) -> Iterator[Group]:
        """`tried`: positives whose rows gave no group, which was counted."""
        positives = [document for document in documents if document[1] > 0]
        relevant = {
            doc
            for (doc,) in self._store.ask(
                "SELECT doc FROM judgements WHERE query = ? AND split = ? AND grade > 0", query, split
            )
        }
        negatives = {document[0]: document for document in documents if document[1] <= 0}
        wrong = [doc for doc in negatives if doc in relevant]
        self.left_out["negatives that are judged relevant elsewhere"] += len(wrong)
        for doc in wrong:
            del negatives[doc]
        if not positives:
            self.left_out["without a positive"] += 1
        for positive in positives:
            yield from self._made(query, [positive, *negatives.values()], counted=positive[0] in tried)

    def _made(self, query: str, documents: list[Document], *, counted: bool = False) -> Iterator[Group]:
        """The group, or nothing, and the reason, which is counted unless it was. A grade below 0 is written
        as it is."""
        reason = None
        if documents[0][1] <= 0:
            reason = "without a positive"
        elif len(documents) < 2 or documents[-1][1] >= documents[0][1]:
            reason = "without a negative"
        else:
            text = self._text("queries", "text", query)
            docs = [self._passage(document[0]) for document in documents]
            if text is None or None in docs:
                reason = "with a query or passage whose text is not in the input"
        if reason:
            self.left_out[reason] += not counted
            return
        ids, labels, first, teacher = (list(column) for column in zip(*documents, strict=True))
        scores = self._candidates(query, ids) if not any(score is not None for score in first) else first
        yield Group(query, str(text), ids, [str(doc) for doc in docs], labels, scores, teacher)

    def _passage(self, doc: str) -> str | None:
        return self._text("passages", "CASE title WHEN '' THEN text ELSE title || ' ' || text END", doc)

    def _text(self, table: str, column: str, key: str) -> str | None:
        found = [text for (text,) in self._store.ask(f"SELECT {column} FROM {table} WHERE id = ?", key)]
        return found[0] if found else None

    def _candidates(self, query: str, docs: list[str]) -> list[float | None]:
        found: list[float | None] = []
        for doc in docs:
            rows = self._store.ask("SELECT score FROM candidates WHERE query = ? AND doc = ?", query, doc)
            found.append(next((float(score) for (score,) in rows), None))
        return found
