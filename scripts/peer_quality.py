"""One turn of `bench_quality.py`: sentence-transformers' trainer on the groups of a `domain` run.

    python scripts/peer_quality.py COLLECTION RUN_DIR SEED LOSS RATE TIMES SPLIT

TIMES is the epochs over those of the recipe. RUN_DIR/peers/LOSS_RATE_TIMES gets `model/`, the last weights,
`train.json` with the seconds of the training, and `SPLIT.trec`, the candidates as these weights rank them: of
test all of the run's, of dev those of crosstune's own verdict. A training that is there is not done again.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from crosstune.data import read_collection
from crosstune.data.mining import read_groups
from crosstune.device import device
from crosstune.files import read_json, write_json
from crosstune.recipe import load_collection_recipe
from crosstune.records import Collection, Run
from crosstune.trec import read_run, write_run
from peer_training import PeerSettings, train_sentence_transformers

BATCH = {"bce": 16, "lambda": 8, "mnrl": 8}
"""Pairs of the documented recipe; of lists as many as crosstune's step has."""


def peer_folder(run_dir: Path, loss: str, rate: str, times: str) -> Path:
    return run_dir / "peers" / f"{loss}_{rate}_{times}"


def main() -> None:
    path, run_dir, seed, loss, rate, times, split = sys.argv[1:]
    folder = peer_folder(Path(run_dir), loss, rate, times)
    if not (folder / "train.json").is_file():
        _train(Path(run_dir), folder, int(seed), loss, float(rate), float(times))
    candidates = Path(run_dir) / ("train/dev.tuned.trec" if split == "dev" else f"retrieve/{split}.trec")
    write_run(
        folder / f"{split}.trec", _ranked(read_collection(Path(path)), read_run(candidates), folder), "st"
    )


def _train(run_dir: Path, folder: Path, seed: int, loss: str, rate: float, times: float) -> None:
    recipe = load_collection_recipe(str(run_dir / "recipe.yaml"))
    groups = read_groups(run_dir / "mine")
    labels = [label > 0 for group in groups for label in group.labels]
    settings = PeerSettings(
        max_tokens=recipe.train.max_tokens,
        batch=BATCH[loss],
        epochs=recipe.train.epochs * times,
        seed=seed,
        bf16=read_json(run_dir / "train" / "precision.json")["bf16"],
        loss=loss,
        rate=rate,
        pos_weight=(len(labels) - sum(labels)) / sum(labels),
    )
    with tempfile.TemporaryDirectory() as scratch:
        model, seconds = train_sentence_transformers(groups, recipe.model, Path(scratch), settings)
    model.save_pretrained(str(folder / "model"))
    write_json(folder / "train.json", {"seconds": seconds})


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
