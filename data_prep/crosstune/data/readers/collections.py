"""Folders of corpus, queries, judgements and candidates, each file read by the role that it plays."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from crosstune.data.readers import beir, msmarco, trec
from crosstune.data.readers.records import Record, splits_within
from crosstune.data.readers.treccar import read_car_outlines, read_car_paragraphs
from crosstune.errors import InputError
from crosstune.label_sources import SOURCES_FILE, read_sources
from crosstune.records import Split

Family = Literal["beir", "msmarco", "trec"]
_Read = Callable[[Path, Split | None], Iterator[Record]]

ROLES: dict[str, tuple[Family, _Read]] = {
    "corpus.jsonl": ("beir", lambda path, _: beir.read_corpus(path)),
    "collection.tsv": ("msmarco", lambda path, _: msmarco.read_collection_tsv(path)),
    "paragraphs.cbor": ("trec", lambda path, _: read_car_paragraphs(path)),
    "queries.jsonl": ("beir", lambda path, _: beir.read_queries(path)),
    "queries.tsv": ("msmarco", lambda path, _: msmarco.read_queries_tsv(path)),
    "outlines.cbor": ("trec", lambda path, _: read_car_outlines(path)),
    "topics": ("trec", lambda path, _: trec.read_topics(path)),
    "beir qrels": ("beir", beir.read_qrels),
    "qrels": ("msmarco", trec.read_trec_qrels),
    "trec qrels": ("trec", trec.read_trec_qrels),
    SOURCES_FILE: ("beir", lambda path, _: read_sources(path)),
    "run": ("trec", lambda path, _: trec.read_candidates(path)),
    "top1000": ("msmarco", lambda path, _: msmarco.read_top1000(path)),
    "id triples": ("msmarco", msmarco.read_id_triples),
}
"""In the order in which they are read: role -> family and reader. Judgements stand before id triples."""

_ONE_OF = (
    ("corpus.jsonl", "collection.tsv", "paragraphs.cbor"),
    ("queries.jsonl", "queries.tsv", "topics", "outlines.cbor"),
    ("beir qrels", "qrels", "trec qrels"),
)
"""Roles that exclude each other. The qrels of MS MARCO and TREC have the same columns and may stand together,
and so may MS MARCO's queries and TREC's topics."""

_TABLES = ("collection.tsv", "queries.tsv", "topics", "top1000", "id triples")

_TOGETHER = ({"qrels", "trec qrels"}, {"queries.tsv", "topics"})


@dataclass(frozen=True)
class CollectionFiles:
    """`roles`: file -> role, as recognition found them."""

    format: str
    roles: Mapping[Path, str]
    passed_over: Sequence[str] = ()

    @property
    def files(self) -> list[str]:
        return [f"{path} ({role})" for path, role in self.roles.items()]

    @property
    def notes(self) -> list[str]:
        tables = [path for path, role in self.roles.items() if role in _TABLES]
        judged = [path for path, role in self.roles.items() if role == "beir qrels"]
        notes = [*self.passed_over, *msmarco.header_notes(tables), *beir.header_notes(judged)]
        if "top1000" in self.roles.values():
            notes.append("top1000 files hold no scores: each of their candidates has the score 0")
        return notes

    def records(self) -> Iterator[Record]:
        splits = self._splits()
        for role, (_, read) in ROLES.items():
            for path, own in self.roles.items():
                if own == role:
                    yield from read(path, splits.get(path))

    def _splits(self) -> dict[Path, Split]:
        """The split of each file of judgements, by its name. Raises `InputError` when only some have one."""
        judging = [path for path, role in self.roles.items() if role.endswith("qrels")]
        triples = [path for path, role in self.roles.items() if role == "id triples"]
        judging = judging or triples
        named = _names(judging)
        unnamed = [path for path in judging if path not in named]
        if named and unnamed:
            raise InputError(f"{unnamed[0]}: the name says no split, others do; put train, dev or test in it")
        if not named and "beir qrels" in self.roles.values():
            raise InputError(f"{unnamed[0]}: train.tsv, dev.tsv or test.tsv was expected in qrels/")
        # Triples are made to train with: theirs is train where the others have splits and they say none.
        train: Split = "train"
        return {**dict.fromkeys(triples, train), **_names(triples), **named} if named else {}


def _names(paths: Sequence[Path]) -> dict[Path, Split]:
    return {path: split for path, split in splits_within(paths).items() if split}


def family_of(roles: Sequence[str]) -> Family | None:
    """The format that these roles make up, or None when they are parts of several collections."""
    for group in _ONE_OF:
        found = {role for role in roles if role in group}
        if len(found) > 1 and not any(found <= pair for pair in _TOGETHER):
            return None
    families = {ROLES[role][0] for role in roles}
    if families == {"beir"}:
        return "beir"
    return "trec" if "trec" in families else "msmarco"
