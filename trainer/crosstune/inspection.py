"""What `crosstune inspect` does: the story of one query of a run."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

from crosstune.errors import InputError
from crosstune.files import read_json
from crosstune.records import Collection
from crosstune.run import RunFolder


def story(root: Path, query_id: str, *, as_json: bool) -> str:
    """The text to print. Raises `InputError` for a folder that is no run, a run that was not mined, and an
    unknown query."""
    from crosstune.data.mining.story import query_story

    folder = RunFolder(root)
    told = query_story(run_collection(folder), folder.ledger, query_id)
    if as_json:
        return json.dumps(asdict(told), ensure_ascii=False)
    lines = [f"{told.query_id}  {told.query}", "", "positives"]
    for positive in told.positives:
        rank = "not retrieved" if positive.rank is None else f"rank {positive.rank}"
        lines.append(f"  {positive.doc_id}  grade {positive.grade}, {rank}  {positive.text}")
    lines += ["", f"{'rank':>6} {'score':>8} {'teacher':>8} {'similar':>8}  {'reason':<16} document"]
    for seen in told.candidates:
        lines.append(
            f"{seen.rank or 'random':>6} {_number(seen.score)} {_number(seen.teacher_score)} "
            f"{_number(seen.similarity)}  {seen.reason.replace('_', ' '):<16} {seen.doc_id}  {seen.text}"
        )
    return "\n".join(lines)


def run_collection(folder: RunFolder) -> Collection:
    """The collection that a run was made from."""
    from crosstune.data import read_collection

    source = folder.stage("collection") / "source.json"
    if not source.is_file():
        raise InputError(
            f"{folder.root}: is no run folder, or was stopped at its start ({source.name} is missing); "
            "run crosstune run or crosstune mine first"
        )
    if not folder.ledger.is_file():
        raise InputError(f"{folder.ledger}: no such file: mining has not ended in this run; start it again")
    path = Path(read_json(source)["folder"])
    return read_collection(path if path.is_absolute() else source.parent / path)


def _number(value: float | None) -> str:
    return f"{'–':>8}" if value is None else f"{value:8.3f}"
