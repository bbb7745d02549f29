"""From a recipe's settings to those of `transformers.Trainer`."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.device import device
from crosstune.processes import together
from crosstune.train.config import TrainSettings
from crosstune.train.fusion import MEASURE

if TYPE_CHECKING:
    from transformers import TrainingArguments


def common_arguments(folder: Path, seed: int) -> dict[str, Any]:
    """What every training tells `transformers.Trainer`; `folder`: of its checkpoints."""
    return {
        "output_dir": str(folder),
        "use_cpu": device() == "cpu",
        "logging_nan_inf_filter": False,
        "report_to": [],
        "disable_tqdm": True,
        "remove_unused_columns": False,
        "seed": seed,
        "data_seed": seed,
    }


def training_arguments(
    settings: TrainSettings,
    rate: float,
    groups: int,
    bf16: bool,
    seed: int,
    checkpoints: Path,
    eval_on_start: bool,
) -> TrainingArguments:
    """How `transformers.Trainer` is to train. `rate`: the highest; `groups`: of an epoch; `eval_on_start`:
    whether dev is asked before the first step."""
    from transformers import TrainingArguments

    steps = math.ceil(settings.epochs * math.ceil(groups / settings.groups_per_step))
    every = math.ceil(steps / settings.evaluations)  # and at the last step: `LastStep`
    arguments = partial(
        TrainingArguments,
        **common_arguments(checkpoints, seed),
        max_steps=steps,
        learning_rate=rate,
        warmup_steps=math.ceil(settings.warmup * steps),
        lr_scheduler_type="linear",
        weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm,
        per_device_train_batch_size=settings.groups_per_step // settings.accumulate,
        gradient_accumulation_steps=settings.accumulate,
        optim="adamw_torch_fused",
        bf16=bf16,
        eval_strategy="steps",
        eval_steps=every,
        eval_on_start=eval_on_start,
        save_strategy="steps",
        save_steps=every,
        load_best_model_at_end=True,
        metric_for_best_model=f"eval_{MEASURE}",
        greater_is_better=True,
        logging_steps=max(1, every // 10),
        restore_callback_states_from_checkpoint=True,
        accelerator_config={"even_batches": False},
        ddp_broadcast_buffers=False,  # each forward pass of a step would change what the one before needs
    )
    with together():
        return arguments()
