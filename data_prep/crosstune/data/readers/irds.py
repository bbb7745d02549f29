"""Any data set of the ir_datasets catalogue, by its id; several ids with commas between them."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from crosstune.data.readers.ids import check_grade, check_id
from crosstune.data.readers.records import (
    Candidate,
    IdGroup,
    Judgement,
    Passage,
    Query,
    Record,
    did_you_mean,
    show_names,
    split_within,
)
from crosstune.errors import InputError, MissingExtra
from crosstune.files import sha256_file


@dataclass(frozen=True)
class IrDatasets:
    """`ids`: for example `beir/scifact/train` and `beir/scifact/test`; the split is the last word
    that names one."""

    ids: Sequence[str]
    format: str = "ir_datasets"
    notes: Sequence[str] = field(default_factory=list)

    @property
    def files(self) -> list[str]:
        return list(self.ids)

    def records(self) -> Iterator[Record]:
        sets = [(name, load(name)) for name in self.ids]
        yield from self._documents(sets)
        splits = {name: split_within(name.split("/")) for name in self.ids}
        several = len(set(splits.values())) > 1
        for name, data in sets:
            split = splits[name] if several else None
            if data.has_queries():
                for row in data.queries_iter():
                    at = f"{name}: query {row.query_id}"
                    yield Query(check_id(row.query_id, "query_id", at), _text(row), at)
            if data.has_qrels():
                for row in data.qrels_iter():
                    at = f"{name}: judgement of {row.query_id} {row.doc_id}"
                    yield Judgement(row.query_id, row.doc_id, check_grade(int(row.relevance), at), at, split)
            if data.has_scoreddocs():
                for row in data.scoreddocs_iter():
                    at = f"{name}: scored document {row.query_id} {row.doc_id}"
                    yield Candidate(row.query_id, row.doc_id, float(row.score), at, name)
            if data.has_docpairs():
                for row in data.docpairs_iter():
                    ids = (row.doc_id_a, row.doc_id_b)
                    yield IdGroup(row.query_id, ids, (1, 0), f"{name}: pair of {row.query_id}", split)

    def _documents(self, sets: Sequence[tuple[str, Any]]) -> Iterator[Passage]:
        """The passages; a corpus that several of the ids share is read once."""
        import ir_datasets

        seen = set()
        for name, data in sets:
            corpus = ir_datasets.docs_parent_id(name) or name
            if corpus in seen or not data.has_docs():
                continue
            seen.add(corpus)
            for row in data.docs_iter():
                at = f"{name}: document {row.doc_id}"
                yield Passage(check_id(row.doc_id, "doc_id", at), _text(row), at)


def _text(row: Any) -> str:
    return str(row.default_text() if hasattr(row, "default_text") else row.text)


def load(name: str) -> Any:
    """Raises `InputError` for an id that is not in the catalogue, and when the library is not installed."""
    try:
        import ir_datasets
    except ModuleNotFoundError:
        raise MissingExtra(f"ir_datasets:{name}", "formats") from None
    try:
        return ir_datasets.load(name)
    except KeyError:
        known = list(ir_datasets.registry)
        raise InputError(
            f"ir_datasets:{name}: no such id among {len(known)}{did_you_mean(name, known, 3)} "
            f"They begin with {show_names(sorted({key.split('/')[0] for key in known}), 6)}"
        ) from None


def digest(ids: Sequence[str]) -> str:
    """Over the ids, the library's version and the bytes of those of their files that it can show."""
    import ir_datasets

    parts = hashlib.sha256(f"{','.join(ids)} {ir_datasets.__version__}".encode())
    for name in ids:
        for kind in ("docs", "queries", "qrels", "scoreddocs", "docpairs"):
            path = _file_of(load(name), kind)
            if path and path.is_file():
                parts.update(f"{name} {kind} {sha256_file(path)}".encode())
    return parts.hexdigest()


def _file_of(data: Any, kind: str) -> Path | None:
    """The file that holds this part, without fetching a corpus for it; None for a part of several files."""
    show = getattr(data, f"{kind}_path", None)
    if show is None:
        return None
    try:
        if "force" in inspect.signature(show).parameters:
            return Path(show(force=False))
        return Path(show())
    except (AttributeError, NotImplementedError, TypeError):
        return None
