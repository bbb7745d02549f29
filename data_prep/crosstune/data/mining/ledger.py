"""The ledger: one row for each query and candidate that mining saw, in Parquet."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.data.mining.judge import Candidate
from crosstune.errors import InputError
from crosstune.files import staged_file

if TYPE_CHECKING:
    import pyarrow as pa

LEDGER = "ledger.parquet"
ROWS_AT_ONCE = 20_000
REASONS = (
    "judged_positive",
    "outside_ranks",
    "other_split",
    "reviewed",
    "near_copy",
    "likely_positive",
    "doubtful",
    "margin",
    "used_up",
    "not_drawn",
)
"""Why a candidate was left, in the order in which it is asked; a row's reason is one of these or `taken`."""


class LedgerWriter:
    """Holds at most `ROWS_AT_ONCE` rows in memory; `rows` counts what was written, by reason. `further`: the
    names of the first stages beside the reranked one, which have columns of their own."""

    def __init__(self, path: Path, further: Sequence[str]) -> None:
        import pyarrow.parquet as pq

        self._schema = _schema(further)
        self._writer = pq.ParquetWriter(path, self._schema, compression="zstd")
        self._columns: list[list[Any]] = [[] for _ in self._schema.names]
        self.rows: Counter[str] = Counter()

    def add(self, row: tuple[Any, ...]) -> None:
        """A row of `ledger_row`."""
        self.rows[row[-1]] += 1
        for column, value in zip(self._columns, row, strict=True):
            column.append(value)
        if len(self._columns[0]) >= ROWS_AT_ONCE:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa

        columns = dict(zip(self._schema.names, self._columns, strict=True))
        self._writer.write_table(pa.Table.from_pydict(columns, self._schema))
        self._columns = [[] for _ in self._schema.names]


def ledger_row(query_id: str, candidate: Candidate, sources: Sequence[str]) -> tuple[Any, ...]:
    """In the order of the columns, the reason last. `sources`: the first stages, the reranked one first."""
    places = [candidate.places.get(name, (None, None)) for name in sources]
    return (
        query_id,
        candidate.doc_id,
        *(value for place in places for value in place),
        candidate.teacher_score,
        candidate.model_score,
        candidate.similarity,
        candidate.groups,
        [positive for positive, _ in candidate.taken],
        [source for _, source in candidate.taken],
        "taken" if candidate.taken else candidate.reason or candidate.left_for,
    )


@contextmanager
def ledger_writer(path: Path, further: Sequence[str] = ()) -> Iterator[LedgerWriter]:
    """Writes to a temporary name, which becomes `path` when the block ends well."""
    with staged_file(path) as temporary:
        writer = LedgerWriter(temporary, further)
        yield writer
        writer.close()


def read_ledger(
    path: Path, query_ids: Sequence[str] | None = None, columns: Sequence[str] | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of these queries or of all, as mappings of these columns or of all. Raises `InputError` for a
    file that is no ledger."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not path.is_file():
        raise InputError(f"{path}: no such file; crosstune mine writes it")
    chosen = None if columns is None else list(columns)
    try:
        if query_ids is not None:
            wanted = [("query_id", "in", list(query_ids))]
            yield from pq.read_table(path, columns=chosen, filters=wanted).to_pylist()
        else:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=chosen):
                    yield from batch.to_pylist()
    except pa.ArrowInvalid as error:
        raise InputError(f"{path}: is no ledger ({error}); run crosstune mine again") from None


def suspicion(row: Mapping[str, Any], judged: Container[str]) -> float | None:
    """How much a candidate looks like a positive that nobody judged: the teacher's score, or without one the
    similarity to a positive. `None` for what is judged for the query or was not looked at."""
    if row["similarity"] is None or row["doc_id"] in judged:
        return None
    score: float = row["similarity"] if row["teacher_score"] is None else row["teacher_score"]
    return score


def place(row: Mapping[str, Any]) -> tuple[float, float, str]:
    """To sort a query's rows by: the rank in the reranked first stage, then the best in others; random draws
    come last."""
    others = [rank for name, rank in row.items() if name.startswith("rank_") and rank is not None]
    return row["rank"] or math.inf, min(others, default=math.inf), row["doc_id"]


def _schema(further: Sequence[str]) -> pa.Schema:
    import pyarrow as pa

    return pa.schema(
        [
            pa.field("query_id", pa.string(), nullable=False),
            pa.field("doc_id", pa.string(), nullable=False),
            pa.field("rank", pa.int32()),
            pa.field("score", pa.float64()),
            *(
                pa.field(f"{what}_{name}", kind)
                for name in further
                for what, kind in (("rank", pa.int32()), ("score", pa.float64()))
            ),
            pa.field("teacher_score", pa.float64()),
            pa.field("model_score", pa.float64()),
            pa.field("similarity", pa.float64()),
            pa.field("groups", pa.int32(), nullable=False),
            pa.field("taken_for", pa.list_(pa.string()), nullable=False),
            pa.field("taken_from", pa.list_(pa.string()), nullable=False),
            pa.field("reason", pa.string(), nullable=False),
        ],
        metadata={"crosstune": "ledger, schema 2"},
    )
