"""A recipe whose training has every part that a kill may hit, and processes that end where a test wants."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from models import tiny_cross_encoder

KILLS = Path(__file__).parent / "kills"
ALONE = os.environ | {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
EVERY = 5
"""Steps between two evaluations: 20 groups, 4 a step, so that each epoch ends with one."""


def recipe_with_a_start(folder: Path, collection: Path) -> Path:
    """The base has vectors, that rank better than the candidates' order, and no head: training adapts the
    vectors, starts as their comparison and tries weights in between at its end. There is dropout, and entries
    of the log are means over steps."""
    import torch
    from transformers import AutoModelForSequenceClassification

    base = tiny_cross_encoder(folder / "model")
    bert = AutoModelForSequenceClassification.from_pretrained(base).bert
    with torch.no_grad():
        bert.embeddings.position_embeddings.weight.mul_(0.01)
    bert.save_pretrained(base)
    for split in ("train", "dev", "test"):
        judged = [line.split("\t") for line in (collection / f"qrels/{split}.tsv").read_text().splitlines()]
        with (folder / f"{split}.trec").open("w") as run:
            for query, positive, _ in judged[1:]:
                others = [f"d{i}" for i in range(60) if f"d{i}" != positive][:: 3 + int(query[1:]) % 3]
                for rank, doc in enumerate([*others[:10], positive], start=1):
                    run.write(f"{query} Q0 {doc} {rank} {1 / rank} other\n")
    path = folder / "tiny.yaml"
    path.write_text(
        f"""name: tiny
collection: beir:{collection}
model: {base}
first_stage: {{kind: trec, depth: 20, path: "{folder}/{{split}}.trec"}}
mine: {{negatives: 3, last_rank: 20}}
train:
  max_tokens: 48
  max_query_tokens: 16
  groups_per_step: 4
  epochs: 12
  evaluations: 12
  patience: 12
  dropout: 0.1
  learning_rate: 1e-3
  precision: fp32
export: {{allow_worse: true}}
"""
    )
    return path


def crosstune(
    *words: object, launcher: tuple[str, ...] = (), **changes: str
) -> subprocess.CompletedProcess[str]:
    """The command line in a process of its own; `changes` to its environment: see kills/sitecustomize.py."""
    command = [sys.executable, *launcher, "-m", "crosstune.cli", *map(str, words)]
    path = os.pathsep.join([str(KILLS), *filter(None, [ALONE.get("PYTHONPATH")])])
    kills = {"PYTHONPATH": path} if changes else {}
    return subprocess.run(
        command, env=ALONE | kills | changes, capture_output=True, text=True, timeout=500, check=False
    )


def killed_at(place: str, *words: object, number: int = 1) -> str:
    """What it said until then."""
    done = crosstune(*words, KILL_AT=f"{place} {number}")
    assert done.returncode == -signal.SIGKILL, f"{place} {number} was not reached: {done.stderr}"
    return done.stderr


def assert_equal_trainings(found: Path, wanted: Path, told: str = "train.json") -> None:
    """Every file of two stages is equal bit by bit, but for the seconds in the summary `told`."""
    files = [
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (found, wanted)
    ]
    for contents in files:
        summary = json.loads(contents.pop(Path(told)))
        assert summary.pop("seconds") > 0
        contents[Path(told)] = json.dumps(summary).encode()
    assert files[0].keys() == files[1].keys()
    different = [str(name) for name, content in files[0].items() if content != files[1][name]]
    assert not different, different
