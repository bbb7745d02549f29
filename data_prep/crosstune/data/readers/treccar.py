"""TREC-CAR's CBOR files as a corpus and its queries; judgements and runs are TREC's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from crosstune.data.readers.ids import check_id, check_text
from crosstune.data.readers.records import Passage, Query
from crosstune.data.treccar_files import read_paragraphs, read_topics, topic_text


def read_car_paragraphs(path: Path) -> Iterator[Passage]:
    """Raises as `read_paragraphs`."""
    for row in read_paragraphs(path):
        at = f"{path}:byte {row.byte}"
        yield Passage(check_id(row.doc_id, "paragraph id", at), row.text, at)


def read_car_outlines(path: Path) -> Iterator[Query]:
    """Every heading is a query, in the words that Nogueira & Cho made of it. Raises as `read_topics`."""
    for row in read_topics(path):
        at = f"{path}:byte {row.byte}"
        text = topic_text(row.query_id)
        check_text(text, at)
        yield Query(check_id(row.query_id, "topic", at), text, at)
