"""Documents from a JSONL file or standard input, ranked: what `crosstune rank` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import is_json, read_lines
from crosstune.progress import say
from crosstune.serve.fusion import is_finite_number
from crosstune.serve.ranked import Document, RankedDocument
from crosstune.serve.reranker import Reranker


def rank_command(
    export: Path,
    query: str,
    documents: str,
    text_field: str,
    top_k: int | None,
    first_stage_field: str | None = None,
    backend: str = "auto",
    above_threshold: bool = False,
    explain: bool = False,
) -> list[RankedDocument]:
    """Ranks the documents of a JSONL file, or of standard input for `-`; `first_stage_field` names the field
    of the objects that holds the first stage's score; `above_threshold`, `explain`: as of
    `Reranker.rank`."""
    rows = read_documents(documents, text_field, first_stage_field)
    reranker = Reranker(export, backend)
    scores = None
    if first_stage_field is not None:
        scores = [row[first_stage_field] for row in rows if isinstance(row, dict)]
        if reranker.fusion is None:
            say(
                f"{export}: keeps no fusion, since it did not help on dev; ranked without {first_stage_field}"
            )
    return reranker.rank(
        query,
        rows,
        top_k,
        text_field=text_field,
        first_stage_scores=scores,
        above_threshold=above_threshold,
        explain=explain,
    )


def read_documents(source: str, text_field: str, first_stage_field: str | None = None) -> list[Document]:
    """One JSON string, or object with its text under `text_field`, a line; blank lines are passed over.

    With `first_stage_field` each line is an object with a finite number under it. Raises `InputError` with
    the line for anything else.
    """
    documents: list[Document] = []
    for number, line in _lines(source):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (RecursionError, ValueError) as error:  # nested without end, thousands of digits
            raise InputError(
                f"{source}:{number}: not valid JSON ({error}); a string or an object a line was expected"
            ) from None
        if not isinstance(row, str) and not (isinstance(row, dict) and isinstance(row.get(text_field), str)):
            raise InputError(
                f"{source}:{number}: a string, or an object with a string under {text_field!r}, was "
                f"expected; found {line[:80]}"
            )
        if first_stage_field is not None and not _has_score(row, first_stage_field):
            raise InputError(
                f"{source}:{number}: an object with a finite number under {first_stage_field!r} "
                f"(--first-stage-field) was expected; found {line[:80]}"
            )
        if not is_json(row):
            raise InputError(f"{source}:{number}: holds NaN or Infinity, which are no JSON; put null there")
        documents.append(row)
    if not documents:
        raise InputError(f"{source}: holds no documents")
    return documents


def _has_score(row: Document, field: str) -> bool:
    return isinstance(row, dict) and is_finite_number(row.get(field))


def _lines(source: str) -> Iterator[tuple[int, str]]:
    if source != "-":
        yield from read_lines(Path(source))
        return
    try:
        for number, line in enumerate(sys.stdin.buffer, start=1):
            yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: not valid UTF-8 ({error.reason})") from None
