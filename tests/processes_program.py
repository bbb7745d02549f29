"""Trains in as many processes as it is started in: `python processes_program.py FOLDER`, or by torchrun.

The last step of an epoch has one group of two documents, so that a third process has no pair of its own; the
stream of pairs is cut into parts that three processes cannot share out evenly.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from pathlib import Path

from transformers import AutoModelForSequenceClassification

from crosstune.processes import first_before_others
from crosstune.records import Example
from crosstune.train import PointwiseSettings, train
from crosstune.train.pointwise import train_pointwise
from models import WORDS, tiny_cross_encoder
from training import dev_of, random_groups, tiny_settings

GROUPS: dict[str, dict[str, object]] = {
    "groups": {"loss": "lambda"},
    "layers": {"layers": 1, "freeze_layers": 0, "layer_decay": 0.9},
    "lora": {"lora": {"rank": 2, "learning_rate": 1e-3}},
    "windows": {"loss": "listmle", "max_tokens": 20, "windows": {"aggregate": "max", "overlap": 2}},
}
"""What is changed in each training on groups, by the folder that it goes to."""


def _examples() -> Iterator[Example]:
    for number in range(40):
        word, other = WORDS[number % len(WORDS)], WORDS[(3 * number + 1) % len(WORDS)]
        yield Example(f"{word} please", f"{word} {other}", 1)
        yield Example(f"{word} please", f"{other} of the day" + " again" * (number % 7), 0)


def main(folder: Path) -> None:
    with first_before_others():
        if not (folder / "model").is_dir():
            tiny_cross_encoder(folder / "model")
            base = AutoModelForSequenceClassification.from_pretrained(
                tiny_cross_encoder(folder / "base")
            ).bert
            base.save_pretrained(folder / "base")
        for name in (*GROUPS, "pairs"):
            (folder / name).mkdir(exist_ok=True)
    groups = [
        dataclasses.replace(
            group,
            doc_ids=group.doc_ids[:2],
            docs=group.docs[:2],
            labels=[1, 0],
            first_stage_scores=group.first_stage_scores[:2],
            teacher_scores=group.teacher_scores[:2],
        )
        for group in random_groups(7)
    ]
    collection, run = dev_of(groups)
    for name, changes in GROUPS.items():
        settings = tiny_settings(
            **{"groups_per_step": 6, "epochs": 4, "learning_rate": 1e-4, "teacher": "none"} | changes
        )
        train(groups, collection, run, str(folder / "model"), settings, 5, folder / name)
    pointwise = PointwiseSettings.model_validate(
        {"max_tokens": 32, "max_query_tokens": 12, "batch_pairs": 16, "accumulate": 2, "steps": 6}
        | {"warmup_steps": 2, "learning_rate": 1e-4, "shuffle_buffer": 16, "dropout": 0.0}
    )
    train_pointwise(_examples, str(folder / "base"), pointwise, 5, folder / "pairs")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
