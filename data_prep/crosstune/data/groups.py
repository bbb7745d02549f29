"""The training groups on disk: a `datasets` folder that is written and can be read without holding it all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.data.schema import GROUPS_FILE, GROUPS_VERSION, check_folder
from crosstune.errors import InputError
from crosstune.records import Group

if TYPE_CHECKING:
    import pyarrow as pa

GROUPS = "groups"
GROUPS_AT_ONCE = 500


class GroupsWriter:
    """Holds at most `GROUPS_AT_ONCE` groups in memory; `count`: those that were added."""

    def __init__(self, writer: pa.RecordBatchStreamWriter, schema: pa.Schema) -> None:
        self._writer = writer
        self._schema = schema
        self._pending: list[Group] = []
        self.count = 0

    def add(self, group: Group) -> None:
        self.count += 1
        self._pending.append(group)
        if len(self._pending) >= GROUPS_AT_ONCE:
            self.flush()

    def flush(self) -> None:
        import pyarrow as pa

        rows = [asdict(group) for group in self._pending]
        self._writer.write_table(pa.Table.from_pylist(rows, self._schema))
        self._pending = []


@contextmanager
def groups_writer(folder: Path) -> Iterator[GroupsWriter]:
    """Yields the writer of `groups/` in `folder`, which appears when the block ends well and a group was
    added."""
    import pyarrow as pa
    from datasets import Dataset, disable_progress_bars

    schema = _schema()
    stream = folder / f".{GROUPS}.arrow"
    made = not folder.is_dir()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with stream.open("wb") as handle, pa.ipc.new_stream(handle, schema) as writer:
            groups = GroupsWriter(writer, schema)
            yield groups
            groups.flush()
        if groups.count:
            disable_progress_bars()
            Dataset.from_file(str(stream)).save_to_disk(folder / GROUPS)
    finally:
        stream.unlink(missing_ok=True)
        if made and not any(folder.iterdir()):
            folder.rmdir()


def read_groups(folder: Path) -> list[Group]:
    """The groups that `mine` wrote into `folder`."""
    from datasets import load_from_disk

    if not (folder / GROUPS).is_dir():
        raise InputError(f"{folder / GROUPS}: no such folder; run crosstune mine first")
    check_folder(folder, GROUPS_FILE, GROUPS_VERSION)
    return [Group(**row) for row in load_from_disk(folder / GROUPS)]


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts, scores = pa.list_(pa.string()), pa.list_(pa.float64())
    return pa.schema(
        {
            "query_id": pa.string(),
            "query": pa.string(),
            "doc_ids": texts,
            "docs": texts,
            "labels": pa.list_(pa.int64()),
            "first_stage_scores": scores,
            "teacher_scores": scores,
        }
    )
