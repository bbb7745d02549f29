"""The report page of a run that was evaluated, from its files: nothing is scored again."""

from __future__ import annotations

from pathlib import Path

from crosstune.data import read_collection
from crosstune.errors import InputError
from crosstune.evaluate.measures import per_query
from crosstune.evaluate.report import Evaluation, render_report
from crosstune.evaluate.report.evaluation import FIRST_STAGE
from crosstune.files import read_json, read_jsonl, write_text
from crosstune.run import RunFolder, locked
from crosstune.sources import SPLIT, open_qrels, open_source


def write_report(root: Path, out: Path | None) -> Path:
    """Writes the page to `out`, or in place of the run's own, and returns where.

    Raises `InputError` for what is no run folder, for a run that stopped before its evaluation ended (with
    the stage) and for a published procedure's run.
    """
    folder = RunFolder(root)
    if not (root / ".stages").is_dir():
        raise InputError(
            f"{root}: is no run folder (.stages/ is missing); a report is of a run that crosstune run made"
        )
    if out is not None:
        write_text(out, _page(folder))
        return out
    with locked(folder):
        write_text(folder.report, _page(folder))
    return folder.report


def _page(folder: RunFolder) -> str:
    if folder.metrics.is_file() and "recommended" not in read_json(folder.metrics):
        raise InputError(
            f'{folder.metrics}: has no "recommended" system: it is of a published procedure, which has no '
            "report, or of an older crosstune (crosstune evaluate RECIPE measures it again)"
        )
    source = open_source(str(folder.root))
    qrels = open_qrels(source, None)
    collection = read_collection(folder.collection_folder())
    metrics = read_json(folder.metrics)
    runs = {name: source.systems[name] for name in (FIRST_STAGE, metrics["recommended"])}
    headline = metrics["headline"]
    values = {name: per_query(qrels, run, [headline])[headline] for name, run in runs.items()}
    log = [row for _, row in read_jsonl(folder.train_log)]
    return render_report(
        Evaluation(metrics, SPLIT, qrels, values, runs, collection.queries, collection.passages, log)
    )
