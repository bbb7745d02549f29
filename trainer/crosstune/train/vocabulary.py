"""Whether a base has a row in its embedding for every id that it will be given: what has none ends a training
after retrieval and mining, with an index that is out of range."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.errors import InputError
from crosstune.serve.pairs import read_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def check_vocabulary(folder: Path, config: PretrainedConfig) -> None:
    """What can be known before weights are loaded. Raises `InputError` as the two below."""
    check_padding(folder, config)
    check_tokens(folder, _rows(config))


def check_padding(folder: Path, config: PretrainedConfig) -> None:
    """Raises `InputError` for a configuration without an id to pad with, or whose id has no row. Weights with
    other rows than the configuration says are not loaded."""
    path, pad_id, rows = folder / "config.json", config.pad_token_id, _rows(config)
    if pad_id is None:
        raise InputError(
            f"{path}: pad_token_id is missing; a cross-encoder pads its batches. Set it to the id of the "
            "tokenizer's padding"
        )
    if not 0 <= pad_id < rows:
        raise InputError(
            f"{path}: pad_token_id is {pad_id}, and the embedding has {rows} rows; 0 to {rows - 1} was "
            "expected. Set it to the id of the tokenizer's padding"
        )


def check_tokens(folder: Path, rows: float) -> None:
    """Raises `InputError` for a tokenizer that has a token, an added one too, without a row of the embedding.
    More rows than tokens are usual: many models round them up."""
    token, highest = max(read_tokenizer(folder).get_vocab(True).items(), key=lambda item: item[1])
    if highest >= rows:
        raise InputError(
            f"{folder / 'tokenizer.json'}: {token!r} has id {highest}, and the model's embedding has {rows} "
            f"rows; ids up to {rows - 1} were expected. Put the tokenizer there that the weights were "
            "trained with, or add rows (resize_token_embeddings of transformers)"
        )


def _rows(config: PretrainedConfig) -> float:
    """As many as it says; a family whose configuration counts none is not held to any."""
    return getattr(config, "vocab_size", None) or math.inf
