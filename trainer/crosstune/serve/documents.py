"""Documents from a JSONL file or standard input, ranked: what `crosstune rank` does."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_lines
from crosstune.serve.reranker import Document, RankedDocument, Reranker


def rank_command(
    export: Path, query: str, documents: str, text_field: str, top_k: int | None, backend: str = "auto"
) -> list[RankedDocument]:
    """Ranks the documents of a JSONL file, or of standard input for `-`."""
    rows = read_documents(documents, text_field)
    return Reranker(export, backend).rank(query, rows, top_k, text_field=text_field)


def read_documents(source: str, text_field: str) -> list[Document]:
    """One JSON string, or object with its text under `text_field`, a line; blank lines are passed over."""
    documents: list[Document] = []
    for number, line in _lines(source):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise InputError(
                f"{source}:{number}: not valid JSON ({error}); a string or an object a line was expected"
            ) from None
        if not isinstance(row, str) and not (isinstance(row, dict) and isinstance(row.get(text_field), str)):
            raise InputError(
                f"{source}:{number}: a string, or an object with a string under {text_field!r}, was "
                f"expected; found {line[:80]}"
            )
        documents.append(row)
    if not documents:
        raise InputError(f"{source}: holds no documents")
    return documents


def _lines(source: str) -> Iterator[tuple[int, str]]:
    if source != "-":
        yield from read_lines(Path(source))
        return
    try:
        for number, line in enumerate(sys.stdin.buffer, start=1):
            yield number, line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input: not valid UTF-8 ({error.reason})") from None
