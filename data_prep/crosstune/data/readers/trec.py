"""TREC files: topics (XML-like, or `id <tab> text`), qrels and runs."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

from crosstune.data.readers.ids import check_id, check_text, parse_grade
from crosstune.data.readers.msmarco import read_queries_tsv
from crosstune.data.readers.records import Candidate, Judgement, Query
from crosstune.errors import InputError
from crosstune.files import read_lines
from crosstune.records import Split
from crosstune.trec import read_run_lines

TEXT_FIELDS = ("title", "query", "question", "desc", "description")
_START = re.compile(r"<(top|topic|query_topic)\b([^>]*)>", re.IGNORECASE)
_END = re.compile(r"</(top|topic|query_topic)>", re.IGNORECASE)
_NUMBER = re.compile(r"\b(?:number|num|qid|id)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
_FIELD = re.compile(r"<(\w+)[^>]*>([^<]*)")
_LABEL = re.compile(r"^(?:number|topic|description|narrative|title)\s*:\s*", re.IGNORECASE)


def read_topics(path: Path) -> Iterator[Query]:
    """The queries of a topics file. Of an XML-like one the text is the first of `TEXT_FIELDS` that its first
    topic has; in the old form, with tags that are never closed, a field ends where the next tag begins.

    Raises `InputError` with file and line for a topic without number or text, and for a file without topics.
    """
    first = next((line for _, line in read_lines(path) if line.strip()), "")
    if not first.lstrip().startswith("<"):
        yield from read_queries_tsv(path)
        return
    wanted = None
    for at, attributes, body in _blocks(path):
        fields = {name.lower(): _clean(text) for name, text in reversed(_FIELD.findall(body))}
        number = _NUMBER.search(attributes)
        identifier = number.group(1) if number else fields.get("num") or fields.get("number") or ""
        wanted = wanted or next((name for name in TEXT_FIELDS if fields.get(name)), None)
        text = fields.get(wanted, "") if wanted else ""
        if not identifier or not text:
            missing = "number (<num>, or number=)" if not identifier else f"text (<{wanted or 'title'}>)"
            raise InputError(f"{at}: the topic {identifier or 'that begins here'} has no {missing}")
        check_text(text, at)
        yield Query(check_id(identifier, "the topic's number", at), text, at)
    if wanted is None:
        raise InputError(f"{path}: no <top> or <topic> was found; is it a file of TREC topics?")


def _blocks(path: Path) -> Iterator[tuple[str, str, str]]:
    """`(file:line, attributes, what stands between the tags)` of each topic."""
    at, attributes = "", ""
    lines: list[str] | None = None
    for number, line in read_lines(path):
        rest = line
        while rest:
            if lines is None:
                start = _START.search(rest)
                if not start:
                    break
                at, attributes, lines = f"{path}:{number}", start.group(2), []
                rest = rest[start.end() :]
            end = _END.search(rest)
            if not end:
                lines.append(rest)
                break
            lines.append(rest[: end.start()])
            yield at, attributes, "\n".join(lines)
            lines, rest = None, rest[end.end() :]
    if lines is not None:
        raise InputError(f"{at}: the topic that begins here is never closed (</top>); the file may be cut")


def _clean(text: str) -> str:
    return _LABEL.sub("", " ".join(html.unescape(text).split()))


def read_trec_qrels(path: Path, split: Split | None) -> Iterator[Judgement]:
    """`query id, iteration, document id, grade` between white space.

    Raises `InputError` with file and line for another number of columns and a grade that is no integer.
    """
    for number, line in read_lines(path):
        columns = line.split()
        if not columns:
            continue
        at = f"{path}:{number}"
        if len(columns) != 4:
            raise InputError(
                f"{at}: found {len(columns)} columns; a TREC qrels file has 4: query id, iteration, document "
                "id and grade"
            )
        yield Judgement(columns[0], columns[2], parse_grade(columns[3], at), at, split)


def read_candidates(path: Path) -> Iterator[Candidate]:
    """The lines of a TREC run."""
    for number, query_id, doc_id, score in read_run_lines(path):
        yield Candidate(query_id, doc_id, score, f"{path}:{number}", str(path))
