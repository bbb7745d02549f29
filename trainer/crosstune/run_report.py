"""The report page of a run that was evaluated, from its files: nothing is scored again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from crosstune.data import mined_sample, read_collection
from crosstune.errors import InputError
from crosstune.evaluate.measures import per_query
from crosstune.evaluate.report import Evaluation, render_report
from crosstune.evaluate.report.evaluation import FIRST_STAGE
from crosstune.files import read_json, read_jsonl, write_text
from crosstune.records import Collection
from crosstune.run import RunFolder, Stage
from crosstune.serve.seal import MANIFEST
from crosstune.sources import SPLIT, open_qrels, open_source
from crosstune.stages import Pipeline


def run_report(folder: RunFolder, collection: Collection | None = None, export: Path | None = None) -> str:
    """The page as text. `collection`: the run's own, where it is read already; `export`: where its export
    lies while it is not in place.

    Raises `InputError` for a run that stopped before its evaluation ended (with the stage), for one that
    was trained again since and for a published procedure's run.
    """
    if folder.metrics.is_file() and "recommended" not in read_json(folder.metrics):
        raise InputError(
            f'{folder.metrics}: has no "recommended" system: it is of a published procedure, which has no '
            "report, or of an older crosstune (crosstune evaluate RECIPE measures it again)"
        )
    source = open_source(str(folder.root))
    qrels = open_qrels(source, None)
    collection = collection or read_collection(folder.collection_folder())
    metrics = read_json(folder.metrics)
    runs = {name: source.systems[name] for name in (FIRST_STAGE, metrics["recommended"])}
    if metrics["context"]["train"] != read_json(folder.train_summary):
        raise InputError(
            f"{folder.root}: its training is another than the one that was evaluated; crosstune evaluate "
            f"RECIPE run_dir={folder.root} measures it"
        )
    headline = metrics["headline"]
    values = {name: per_query(qrels, run, [headline])[headline] for name, run in runs.items()}
    return render_report(
        Evaluation(
            metrics,
            SPLIT,
            qrels,
            values,
            runs,
            collection.queries,
            collection.passages,
            [row for _, row in read_jsonl(folder.train_log)],
            mined_sample(collection.qrels.get("train", {}), folder.ledger),
            _manifest(export or folder.export, metrics),
        )
    )


def ends_with_report(pipeline: Pipeline, stage: Stage) -> Stage:
    """The export stage, whose work then ends with the page of the evaluation written again, now with what the
    export calibrated. It is part of the work, so that no kill leaves an export without it."""

    def work(out: Path) -> None:
        stage.work(out)
        write_text(pipeline.folder.report, run_report(pipeline.folder, pipeline.collection(), out))

    return replace(stage, work=work)


def _manifest(export: Path, metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """That of the export, where it is of this very evaluation."""
    path = export / MANIFEST
    found = read_json(path) if path.is_file() else None
    return found if found is not None and found.get("metrics") == metrics["splits"] else None
