"""The folder that `crosstune evaluate --out` writes."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from crosstune.errors import InputError
from crosstune.evaluate.measures import PerQuery
from crosstune.files import staged_file, staged_folder, write_json
from crosstune.records import Qrels, Run
from crosstune.trec import write_run


@dataclass(frozen=True)
class EvaluationFolder:
    """The one place that knows where things lie in it."""

    root: Path

    @property
    def metrics(self) -> Path:
        return self.root / "metrics.json"

    @property
    def per_query(self) -> Path:
        return self.root / "per_query.csv"

    @property
    def run(self) -> Path:
        return self.root / "run.trec"


def write_evaluation(
    root: Path, metrics: Mapping[str, Any], values: Mapping[str, PerQuery], qrels: Qrels, run: Run
) -> None:
    """Writes the whole folder, or leaves what was there."""
    check_writable(root)
    with staged_folder(root) as temporary:
        folder = EvaluationFolder(temporary)
        write_json(folder.metrics, metrics)
        write_per_query(folder.per_query, values, qrels)
        write_run(folder.run, run, "crosstune")


def check_writable(root: Path) -> None:
    """Raises `InputError` for a folder that holds more than an evaluation: the old one is replaced whole."""
    if root.exists() and not root.is_dir():
        raise InputError(f"{root}: is a file, and an evaluation is a folder; name another with --out")
    own = EvaluationFolder(root)
    names = {path.name for path in (own.metrics, own.per_query, own.run)}
    if other := sorted({path.name for path in root.iterdir()} - names) if root.is_dir() else []:
        raise InputError(
            f"{root}: holds {other[0]}, which is not of an evaluation and would be lost; name another folder "
            "with --out"
        )


def write_per_query(path: Path, values: Mapping[str, PerQuery], qrels: Qrels) -> None:
    """A row a query: its id, its positives, and every measure of every system."""
    columns = [(name, measure) for name in values for measure in values[name]]
    with staged_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["query_id", "positives", *(f"{name} {measure}" for name, measure in columns)])
        for query_id, judged in qrels.items():
            row = [f"{values[name][measure][query_id]:.6f}" for name, measure in columns]
            writer.writerow([query_id, sum(grade > 0 for grade in judged.values()), *row])
