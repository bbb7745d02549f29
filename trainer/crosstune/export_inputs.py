"""What the export of a tuned model takes from dev."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.records import Collection, Run
from crosstune.trec import read_run_lines

if TYPE_CHECKING:
    from crosstune.export import Calibration, Sample, TunedExportSettings
    from crosstune.serve import Fusion
    from crosstune.serve.calibration import Kind


def format_sample(
    collection: Collection, candidates: Run, train: Sequence[tuple[str, str]], queries: int, seed: int
) -> Sample:
    """Whole candidate lists of that many judged dev queries, and the pairs of `train`."""
    from crosstune.export import Sample

    qrels = collection.qrels.get("dev", {})
    judged = sorted(q for q in qrels if candidates.get(q))
    chosen = random.Random(seed).sample(judged, min(queries, len(judged)))
    return Sample(
        collection.queries,
        collection.passages,
        {q: candidates[q] for q in chosen},
        {q: qrels[q] for q in chosen},
        train,
    )


def dev_calibration(
    collection: Collection,
    logits: Run,
    candidates: Run,
    fusion: Fusion | None,
    settings: TunedExportSettings,
    seed: int,
) -> Calibration:
    """What the tuned model's `logits` say of relevance, and, where a fusion was kept, the fused scores;
    `candidates`: all that the first stage returned for dev."""
    from crosstune.export import UNCALIBRATED, calibrate
    from crosstune.train import fuse_run

    if not settings.calibrate:
        return UNCALIBRATED
    runs: dict[Kind, Run] = {"logit": logits}
    if fusion is not None:
        runs["fused"] = fuse_run(fusion, logits, candidates)
    return calibrate(runs, collection.qrels["dev"], settings, seed)


def drawn_pairs(path: Path, collection: Collection, count: int, seed: int) -> list[tuple[str, str]]:
    """Query and passage of so many lines of the run at `path`, drawn by seed; none where there is no run."""
    if not path.is_file():
        return []
    size = sum(1 for _ in read_run_lines(path))
    places = random.Random(seed).sample(range(size), min(count, size))
    wanted = set(places)
    found = {
        place: (collection.queries[query_id], collection.passages[doc_id])
        for place, (_, query_id, doc_id, _) in enumerate(read_run_lines(path))
        if place in wanted
    }
    return [found[place] for place in places]
