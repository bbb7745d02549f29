"""Training on a CPU that takes no time for the word embeddings that a step does not touch."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import Trainer

from crosstune.train.row_adamw import RowAdamW


class RowTrainer(Trainer):  # type: ignore[misc]
    """A `Trainer` with AdamW whose model's word embeddings have a sparse gradient, on a CPU and in one
    process; elsewhere a `Trainer`. See `RowAdamW`: the weights that come out are AdamW's."""

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._words = _trained_words(self.model)
        if self._words is None or self.args.device.type != "cpu" or self.args.world_size > 1:
            self._words = None
            return
        self._words.sparse = True
        self.optimizer_cls_and_kwargs = RowAdamW, self.get_optimizer_cls_and_kwargs(self.args, self.model)[1]

    def token_ids(self, inputs: Any) -> Tensor:
        """Which tokens the forward passes of a step read, in any form and order."""
        raise NotImplementedError

    def settle(self, rows: Tensor | None = None) -> None:
        """Brings `rows` of the word embeddings, or all, up to date."""
        if self._words is not None and self.optimizer is not None:
            optimizer: Any = getattr(self.optimizer, "optimizer", self.optimizer)  # accelerate wraps it
            optimizer.settle(self._words.weight, rows)

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *arguments: Any, **named: Any
    ) -> Tensor:
        if self._words is not None:
            self.settle(torch.unique(self.token_ids(inputs)))
        loss: Tensor = super().training_step(model, inputs, *arguments, **named)
        return loss

    def _clip_grad_norm(self, model: torch.nn.Module) -> Tensor:
        """`torch.nn.utils.clip_grad_norm_`, which knows no sparse gradients."""
        if self._words is None:
            return super()._clip_grad_norm(model)  # type: ignore[no-any-return]
        values = []
        for parameter in model.parameters():
            if parameter.grad is not None:
                if parameter.grad.is_sparse:
                    parameter.grad = parameter.grad.coalesce()
                values.append(parameter.grad.values() if parameter.grad.is_sparse else parameter.grad)
        norm = torch.nn.utils.get_total_norm(values)
        scale = torch.clamp(self.args.max_grad_norm / (norm + 1e-6), max=1.0)
        torch._foreach_mul_(values, scale)
        return norm

    def _save_checkpoint(self, *arguments: Any, **named: Any) -> None:
        self.settle()
        super()._save_checkpoint(*arguments, **named)


def _trained_words(model: Any) -> torch.nn.Embedding | None:
    words = model.get_input_embeddings()
    plain = type(words) is torch.nn.Embedding and words.max_norm is None and not words.scale_grad_by_freq
    return words if plain and words.weight.requires_grad else None
