"""The answers of `crosstune review`: JSONL, one answer a line, the last one of a pair counts."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from crosstune.errors import InputError
from crosstune.files import read_lines

Verdict = Literal["relevant", "not", "unsure"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


UNANSWERED = ("not_asked", "refused")
"""Why a row of `crosstune label` is no answer."""


@dataclass(frozen=True)
class Answer:
    """What a person said about one query and one document. `sample`: how the pair came to be asked about,
    `suspicious` or `random`."""

    query_id: str
    doc_id: str
    verdict: Verdict
    sample: str


@dataclass(frozen=True)
class Answers:
    """`by_pair`: (query id, document id) -> the last answer. `broken_end`: bytes of a last line that a kill
    cut off, else 0."""

    by_pair: dict[tuple[str, str], Answer]
    broken_end: int = 0

    def verdict(self, query_id: str, doc_id: str) -> Verdict | None:
        answer = self.by_pair.get((query_id, doc_id))
        return answer.verdict if answer else None


def read_answers(path: Path) -> Answers:
    """Reads the file. A last line without its line end is what a kill left: it is passed over.

    Raises `InputError` with file and line for any other line that is no answer.
    """
    by_pair: dict[tuple[str, str], Answer] = {}
    broken_end = _unended(path)
    lines = list(read_lines(path))
    for number, line in lines[: len(lines) - bool(broken_end)]:
        if line.strip():
            answer = _parse(path, number, line)
            if answer is not None:
                by_pair[answer.query_id, answer.doc_id] = answer
    return Answers(by_pair, broken_end)


def _unended(path: Path) -> int:
    """Bytes after the last line end."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; crosstune review writes one")
    return len(path.read_bytes().rpartition(b"\n")[2])


def _parse(path: Path, number: int, line: str) -> Answer | None:
    """`None` for a pair of `crosstune label` that nobody was asked about, or got no answer to."""
    try:
        row = json.loads(line)
        if row.get("reason") in UNANSWERED:
            return None
        answer = Answer(row["query_id"], row["doc_id"], row["verdict"], row.get("sample", "suspicious"))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise InputError(
            f'{path}:{number}: {line[:80]!r} is no answer; {{"query_id": .., "doc_id": .., "verdict": ..}} '
            "was expected"
        ) from None
    if answer.verdict not in VERDICTS:
        raise InputError(
            f"{path}:{number}: verdict is {answer.verdict!r}; one of {', '.join(VERDICTS)} was expected"
        )
    return answer
