"""One turn of `bench_quality.py`: sentence-transformers' trainer on the groups of a `domain` run.

    python scripts/peer_quality.py COLLECTION RUN_DIR SEED LOSS RATE TIMES SPLIT [SPLIT]

TIMES is the epochs over those of the recipe. Writes `SPLIT.trec`, the candidates of the run as the last
weights rank them, and the seconds of the training into RUN_DIR/peers/LOSS_RATE_TIMES.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.data import read_collection
from crosstune.data.mining import read_groups
from crosstune.files import read_json, write_json
from crosstune.recipe import load_collection_recipe
from crosstune.records import Collection, Run
from crosstune.trec import read_run, write_run
from peer_training import PeerSettings, train_sentence_transformers

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

BATCH = {"bce": 16, "lambda": 8, "mnrl": 8}
"""Pairs of the documented recipe; of lists as many as crosstune's step has."""


def peer_folder(run_dir: Path, loss: str, rate: str, times: str) -> Path:
    return run_dir / "peers" / f"{loss}_{rate}_{times}"


def main() -> None:
    path, run_dir, seed, loss, rate, times, *splits = sys.argv[1:]
    folder = peer_folder(Path(run_dir), loss, rate, times)
    recipe = load_collection_recipe(str(Path(run_dir) / "recipe.yaml"))
    groups = read_groups(Path(run_dir) / "mine")
    labels = [label > 0 for group in groups for label in group.labels]
    settings = PeerSettings(
        max_tokens=recipe.train.max_tokens,
        batch=BATCH[loss],
        epochs=recipe.train.epochs * float(times),
        seed=int(seed),
        bf16=read_json(Path(run_dir) / "train" / "precision.json")["bf16"],
        loss=loss,
        rate=float(rate),
        pos_weight=(len(labels) - sum(labels)) / sum(labels),
    )
    with tempfile.TemporaryDirectory() as scratch:
        model, seconds = train_sentence_transformers(groups, recipe.model, Path(scratch), settings)
    collection = read_collection(Path(path))
    folder.mkdir(parents=True, exist_ok=True)
    for split in splits:
        candidates = read_run(Path(run_dir) / "retrieve" / f"{split}.trec")
        write_run(folder / f"{split}.trec", _ranked(collection, candidates, model), "st")
    write_json(folder / "train.json", {"seconds": seconds})


def _ranked(collection: Collection, candidates: Run, model: CrossEncoder) -> Run:
    import torch

    run: Run = {}
    for query_id, scores in candidates.items():
        pairs = [(collection.queries[query_id], collection.passages[doc_id]) for doc_id in scores]
        found = model.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Identity())
        run[query_id] = dict(zip(scores, map(float, found), strict=True))
    return run


if __name__ == "__main__":
    main()
