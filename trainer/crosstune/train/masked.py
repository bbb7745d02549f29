"""Texts with masked words, and the model that guesses them."""

from __future__ import annotations

import random
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import AutoModelForMaskedLM, AutoTokenizer, DataCollatorForLanguageModeling

from crosstune.errors import CheckFailed, InputError, first_line
from crosstune.parts import parts
from crosstune.train.callbacks import StepProgress
from crosstune.train.checkpoints import ResumableTrainer
from crosstune.train.model import check_positions, usable_positions

if TYPE_CHECKING:
    from transformers import PreTrainedModel

UNMASKED = -100
"""The label of a token that is not to be guessed."""
HELD_OUT, MOST_HELD_OUT = 0.05, 200
"""Share of the passages, and their number at most, that the loss is measured on and that are not learned."""


class MaskedTexts(Dataset[dict[str, Tensor]]):
    """`count` texts by number, `pieces` in turns; each number is masked by a seed of its own.

    So a text that is met again is masked anew, and a training that goes on after a kill meets what it would
    have met.
    """

    def __init__(
        self, pieces: Sequence[Sequence[int]], count: int, masker: DataCollatorForLanguageModeling, seed: int
    ) -> None:
        self._pieces = pieces
        self._count = count
        self._masker = masker
        self._seed = seed

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, number: int) -> dict[str, Tensor]:
        """`input_ids` and `labels` (-100 where nothing is to be guessed), each `[tokens]`."""
        rng = random.Random(f"{self._seed}\0{number}")
        self._masker.generator = torch.Generator().manual_seed(rng.getrandbits(63))
        ids = torch.tensor([[*self._pieces[number % len(self._pieces)]]])
        original = ids.clone()
        special = self._special(original)
        ids, labels = self._masker.torch_mask_tokens(ids, special_tokens_mask=special[None])
        if (labels == UNMASKED).all():  # a short text: without a token to guess it has no loss
            place = rng.choice((~special).nonzero()[:, 0].tolist())
            labels[0, place] = original[0, place]
            ids[0, place] = self._masker.tokenizer.mask_token_id
        return {"input_ids": ids[0], "labels": labels[0]}

    def _special(self, ids: Tensor) -> Tensor:
        mask = self._masker.tokenizer.get_special_tokens_mask(
            ids[0].tolist(), already_has_special_tokens=True
        )
        return torch.tensor(mask, dtype=torch.bool)


def pad_texts(rows: Sequence[dict[str, Tensor]], pad_id: int) -> dict[str, Tensor]:
    """A batch of them: `input_ids`, `attention_mask` and `labels`, each `[texts, longest]`."""
    padded = torch.nn.utils.rnn.pad_sequence
    ids = [row["input_ids"] for row in rows]
    return {
        "input_ids": padded(ids, batch_first=True, padding_value=pad_id),
        "attention_mask": padded([torch.ones_like(row) for row in ids], batch_first=True),
        "labels": padded([row["labels"] for row in rows], batch_first=True, padding_value=UNMASKED),
    }


def load_masker(base: Path, share: float) -> DataCollatorForLanguageModeling:
    """BERT's masking (Devlin et al. 2019): of the chosen tokens 80 % become the mask, 10 % any token, 10 %
    stay. Raises `InputError` for a tokenizer without a mask."""
    tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
    if tokenizer.mask_token_id is None:
        raise InputError(
            f"{base}: its tokenizer has no mask token, which adapt.steps needs; name another base with "
            "model, or set adapt.steps=0"
        )
    return DataCollatorForLanguageModeling(tokenizer, mlm_probability=share)


def pieces_of(tokenizer: Any, passages: Sequence[str], max_tokens: int) -> list[array[int]]:
    """The passages as ids, special tokens included; a long one becomes several. A piece without a token that
    could be guessed, as of unknown words alone, is left out."""
    texts = [text for text in passages if text.strip()]
    if not texts:
        return []
    special = {*tokenizer.all_special_ids}
    found: list[array[int]] = []
    for part in parts(map(len, texts)):
        rows = tokenizer(texts[part], truncation=True, max_length=max_tokens, return_overflowing_tokens=True)
        found += (array("i", ids) for ids in rows["input_ids"] if not special.issuperset(ids))
    return found


def load_masked_model(base: Path, max_tokens: int, seed: int) -> tuple[PreTrainedModel, list[str]]:
    """The base with a head that guesses masked tokens, in fp32, and the head's weights that the folder does
    not have and that were drawn by `seed`.

    Raises `InputError` for a family without such a head, damaged weights and too few positions.
    """
    from safetensors import SafetensorError
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()
    torch.manual_seed(seed)
    try:
        model, report = AutoModelForMaskedLM.from_pretrained(
            base,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{base}: cannot be loaded to guess masked words ({first_line(error)}); adapt.steps needs an "
            "encoder of a family that has such a head. Set adapt.steps=0 to do without"
        ) from None
    check_positions(base, usable_positions(model), "adapt.max_tokens", max_tokens)
    return model, sorted(report["missing_keys"])


class MaskedTrainer(ResumableTrainer):
    """A `Trainer` that stops where the loss is no number."""

    def compute_loss(self, model: torch.nn.Module, inputs: dict[str, Any], *given: Any, **named: Any) -> Any:
        found = super().compute_loss(model, inputs, *given, **named)
        loss = found[0] if isinstance(found, tuple) else found
        if not torch.isfinite(loss):
            raise CheckFailed(
                f"the adaptation stopped: the loss is {loss.item()} at step {self.state.global_step + 1} "
                "(of masked words). Lower adapt.learning_rate or use adapt.precision=fp32"
            )
        return found


class HeldOutProgress(StepProgress):
    """Shows steps, and the loss on held-out passages as a line."""

    def told(self, metrics: dict[str, float]) -> str:
        return f"loss of masked words in held-out passages {metrics.get('eval_loss', float('nan')):.3f}"
