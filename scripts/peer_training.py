"""sentence-transformers' own trainer on crosstune's groups."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.device import device
from crosstune.models import resolve_model
from crosstune.records import Group

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder

WARMUP = 0.1
Columns = dict[str, list[Any]]


@dataclass(frozen=True)
class PeerSettings:
    """`loss`: `bce` on pairs, `lambda` on lists, `mnrl` (multiple negatives ranking) on a positive and its
    negatives. `batch` counts what the loss takes: pairs, or lists."""

    max_tokens: int
    batch: int
    epochs: float
    seed: int
    bf16: bool
    loss: str = "bce"
    rate: float = 2e-5
    pos_weight: float | None = None
    save_strategy: str = "no"


def train_sentence_transformers(
    groups: Sequence[Group], model: str, folder: Path, settings: PeerSettings
) -> tuple[CrossEncoder, float]:
    """`model` with a fresh head by sentence-transformers' trainer, and its `train_runtime`; `folder` is for
    its checkpoints."""
    from datasets import Dataset
    from sentence_transformers import CrossEncoder
    from sentence_transformers.cross_encoder import CrossEncoderTrainer, CrossEncoderTrainingArguments
    from transformers import set_seed

    set_seed(settings.seed)  # the head is drawn before the trainer sets it
    encoder = CrossEncoder(
        str(resolve_model(model)), num_labels=1, max_length=settings.max_tokens, device=device()
    )
    columns = {"bce": _pairs, "lambda": _lists, "mnrl": _tuples}[settings.loss](groups)
    trainer = CrossEncoderTrainer(
        model=encoder,
        args=CrossEncoderTrainingArguments(
            output_dir=str(folder),
            num_train_epochs=settings.epochs,
            per_device_train_batch_size=settings.batch,
            learning_rate=settings.rate,
            warmup_steps=WARMUP,
            bf16=settings.bf16,
            use_cpu=device() == "cpu",
            seed=settings.seed,
            save_strategy=settings.save_strategy,
            report_to=[],
            disable_tqdm=True,
        ),
        train_dataset=Dataset.from_dict(columns),
        loss=_loss(encoder, settings),
    )
    return encoder, float(trainer.train().metrics["train_runtime"])


def _loss(encoder: CrossEncoder, settings: PeerSettings) -> Any:
    import torch
    from sentence_transformers.cross_encoder import losses

    if settings.loss == "lambda":
        return losses.LambdaLoss(encoder)
    if settings.loss == "mnrl":
        return losses.MultipleNegativesRankingLoss(encoder)
    weight = None if settings.pos_weight is None else torch.tensor(settings.pos_weight)
    return losses.BinaryCrossEntropyLoss(encoder, pos_weight=weight)


def _pairs(groups: Sequence[Group]) -> Columns:
    columns: Columns = {"query": [], "passage": [], "label": []}
    for group in groups:
        columns["query"] += [group.query] * len(group.docs)
        columns["passage"] += group.docs
        columns["label"] += [float(label > 0) for label in group.labels]
    return columns


def _lists(groups: Sequence[Group]) -> Columns:
    return {
        "query": [group.query for group in groups],
        "docs": [list(group.docs) for group in groups],
        "labels": [[float(label) for label in group.labels] for group in groups],
    }


def _tuples(groups: Sequence[Group]) -> Columns:
    """One row a positive; every row needs as many negatives, so groups with fewer than most are left out."""
    rows = []
    for group in groups:
        docs = list(zip(group.docs, group.labels, strict=True))
        negatives = [doc for doc, label in docs if label <= 0]
        rows += [[group.query, doc, *negatives] for doc, label in docs if label > 0]
    widths = [len(row) for row in rows]
    width = max(set(widths), key=widths.count)
    names = ("query", "positive", *(f"negative_{number}" for number in range(1, width - 1)))
    whole = [row[:width] for row in rows if len(row) >= width]
    return dict(zip(names, map(list, zip(*whole, strict=True)), strict=True))
