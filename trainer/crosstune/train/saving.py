"""A trained model as a folder, with the tokenizer that it was trained with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.files import replace_folder

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def copy_tokenizer(base: Path, folder: Path) -> None:
    """The base's own tokenizer files, so that text becomes ids as it did in training."""
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"):
        if (base / name).is_file():
            shutil.copyfile(base / name, folder / name)


def save_model(model: PreTrainedModel, base: Path, folder: Path, name: str = "model") -> None:
    """Puts the model with the tokenizer of `base` into `folder`, as `name`."""
    staging = folder / f"{name}.partial"
    model.save_pretrained(staging)
    copy_tokenizer(base, staging)
    replace_folder(staging, folder / name)
