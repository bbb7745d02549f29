"""One turn of `bench_quality.py`: sentence-transformers' trainer on the groups of a `domain` run.

    python scripts/peer_quality.py COLLECTION RUN_DIR SEED LOSS RATE TIMES SPLIT

TIMES is the epochs over those of the recipe. RUN_DIR/peers/LOSS_RATE_TIMES gets `model/`, the last weights,
`train.json` with the seconds of the training, and `SPLIT.trec`, the candidates as these weights rank them: of
test all of the run's, of dev those of crosstune's own verdict. What is there of the same groups, settings and
candidates is not done again.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from crosstune.data import read_collection
from crosstune.data.mining import read_groups
from crosstune.device import device
from crosstune.files import read_json, sha256_file, sha256_folder, write_json
from crosstune.fingerprints import fingerprint
from crosstune.recipe import load_collection_recipe
from crosstune.records import Collection, Group, Run
from crosstune.train import TrainSettings
from crosstune.trec import read_run, write_run
from peer_training import PeerSettings, train_sentence_transformers

BATCH = {"bce": 16, "lambda": 8, "mnrl": 8}
"""Pairs of the documented recipe; of lists as many as crosstune's step has."""


def peer_folder(run_dir: Path, loss: str, rate: str, times: str) -> Path:
    return run_dir / "peers" / f"{loss}_{rate}_{times}"


def main() -> None:
    path, run_dir, seed, loss, rate, times, split = sys.argv[1:]
    folder = peer_folder(Path(run_dir), loss, rate, times)
    recipe = load_collection_recipe(str(Path(run_dir) / "recipe.yaml"))
    groups = read_groups(Path(run_dir) / "mine")
    settings = _settings(recipe.train, Path(run_dir), groups, int(seed), loss, float(rate), float(times))
    mark = fingerprint(recipe.model, asdict(settings), sha256_folder(Path(run_dir) / "mine" / "groups"))
    done = _read(folder / "train.json")
    if done.get("mark") != mark:
        done = {"mark": mark, "seconds": _train(groups, recipe.model, settings, folder), "ranked": {}}
        write_json(folder / "train.json", done)
    candidates = Path(run_dir) / ("train/dev.tuned.trec" if split == "dev" else f"retrieve/{split}.trec")
    of_candidates = sha256_file(candidates)
    if done["ranked"].get(split) != of_candidates:
        run = _ranked(read_collection(Path(path)), read_run(candidates), folder)
        write_run(folder / f"{split}.trec", run, "st")
        done["ranked"][split] = of_candidates
        write_json(folder / "train.json", done)


def _read(path: Path) -> dict[str, Any]:
    return dict(read_json(path)) if path.is_file() else {}


def _settings(
    train: TrainSettings,
    run_dir: Path,
    groups: Sequence[Group],
    seed: int,
    loss: str,
    rate: float,
    times: float,
) -> PeerSettings:
    labels = [label > 0 for group in groups for label in group.labels]
    bf16 = train.precision == "bf16"
    if train.precision == "auto":
        bf16 = read_json(run_dir / "train" / "precision.json")["bf16"]
    return PeerSettings(
        max_tokens=train.max_tokens,
        batch=BATCH[loss],
        epochs=train.epochs * times,
        seed=seed,
        bf16=bf16,
        loss=loss,
        rate=rate,
        pos_weight=(len(labels) - sum(labels)) / sum(labels),
    )


def _train(groups: Sequence[Group], base: str, settings: PeerSettings, folder: Path) -> float:
    """The seconds of the training."""
    with tempfile.TemporaryDirectory() as scratch:
        model, seconds = train_sentence_transformers(groups, base, Path(scratch), settings)
    model.save_pretrained(str(folder / "model"))
    return seconds


def _ranked(collection: Collection, candidates: Run, folder: Path) -> Run:
    import torch
    from sentence_transformers import CrossEncoder

    model = CrossEncoder(str(folder / "model"), device=device())
    run: Run = {}
    for query_id, scores in candidates.items():
        pairs = [(collection.queries[query_id], collection.passages[doc_id]) for doc_id in scores]
        found = model.predict(pairs, show_progress_bar=False, activation_fn=torch.nn.Identity())
        run[query_id] = dict(zip(scores, map(float, found), strict=True))
    return run


if __name__ == "__main__":
    main()
