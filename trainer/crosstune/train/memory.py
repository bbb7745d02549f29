"""Training steps in the memory that a GPU has: what runs out of it is tried again with less, never lost."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torch.utils.data import DataLoader, IterableDataset

from crosstune.device import is_out_of_memory, no_room
from crosstune.errors import CheckFailed
from crosstune.processes import count, together
from crosstune.progress import say
from crosstune.train.batching import halves
from crosstune.train.checkpoints import ResumableTrainer
from crosstune.train.packed import packed


class MicroBatchTrainer(ResumableTrainer):
    """A `Trainer` whose steps come as `micro_batches`, lists of model inputs.

    The graphs of all micro-batches are kept until the loss of the step is known. With `forward_again`, or
    where a GPU has no room for them, each forward pass is done again for its gradient
    (`torch.utils.checkpoint`), and where it still has none, the largest micro-batches are halved; both for
    the rest of the training, and neither changes a gradient, but that dropout falls otherwise in halves. Of
    several processes one cannot try again alone.

    Each process draws all examples of a step, in the order that one process would, and computes its share of
    the pairs (see `share`).
    """

    def __init__(self, *, forward_again: bool = False, **arguments: Any) -> None:
        with together():
            super().__init__(**arguments)
        self._forward_again = forward_again
        self._most_slots: int | None = None

    def get_train_dataloader(self) -> DataLoader[Any]:
        loader: DataLoader[Any] = super().get_train_dataloader()
        if count() > 1:  # accelerate's shard becomes the whole
            streams = isinstance(loader.dataset, IterableDataset)
            shard = loader.dataset if streams else loader.batch_sampler
            vars(shard).update(num_processes=1, process_index=0)
        return loader

    def micro_logits(self, model: torch.nn.Module, batches: Sequence[dict[str, Tensor]]) -> Tensor:
        """fp32 logits `[pairs, labels]` of the micro-batches, in their order."""

        def forward(batch: dict[str, Tensor]) -> Tensor:
            with packed(self.accelerator.unwrap_model(model)):
                logits: Tensor = model(**batch).logits.float()
            return logits

        if self._forward_again:
            return torch.cat([checkpoint(forward, batch, use_reentrant=False) for batch in batches])
        return torch.cat([forward(batch) for batch in batches])

    def training_step(
        self, model: torch.nn.Module, inputs: dict[str, Any], *arguments: Any, **named: Any
    ) -> Tensor:
        """Raises `CheckFailed` where not even one pair has room."""
        earlier = self._gradients(model)
        draws = torch.get_rng_state(), torch.cuda.get_rng_state_all()
        while True:
            batches = list(_fitting(inputs["micro_batches"], self._most_slots))
            try:
                loss: Tensor = super().training_step(
                    model, inputs | {"micro_batches": batches}, *arguments, **named
                )
                return loss
            except RuntimeError as error:
                if not is_out_of_memory(error):
                    raise
                if count() > 1:
                    raise CheckFailed(
                        f"out of memory at step {self.state.global_step + 1}: lower train.micro_batch_tokens "
                        "or raise train.accumulate; one of several processes cannot try a step again alone"
                    ) from None
            # Here what the traceback held is free.
            torch.set_rng_state(draws[0])
            torch.cuda.set_rng_state_all(draws[1])
            for parameter, gradient in zip(model.parameters(), earlier, strict=True):
                parameter.grad = None if gradient is None else gradient.clone()
            self._take_less(batches)

    def _gradients(self, model: torch.nn.Module) -> list[Tensor | None]:
        """Those of the step's earlier parts, where a part may have to be taken back."""
        keep = self.args.device.type != "cpu"
        return [
            parameter.grad.clone() if keep and parameter.grad is not None else None
            for parameter in model.parameters()
        ]

    def _take_less(self, batches: Sequence[dict[str, Tensor]]) -> None:
        torch.cuda.empty_cache()
        step = self.state.global_step + 1
        if not self._forward_again:
            self._forward_again = True
            say(f"  out of memory at step {step}: each forward pass is now done again for its gradient")
            return
        several = [batch["input_ids"].numel() for batch in batches if len(batch["input_ids"]) > 1]
        if not several:
            raise no_room(max(batch["input_ids"].shape[1] for batch in batches))
        self._most_slots = max(several) // 2
        say(f"  out of memory at step {step}: forward passes of {self._most_slots} tokens from now on")


def _fitting(batches: Sequence[dict[str, Tensor]], most_slots: int | None) -> Iterator[dict[str, Tensor]]:
    """The rows of the batches in their order, cut until each batch has its size or one row."""
    for batch in batches:
        if most_slots is None or batch["input_ids"].numel() <= most_slots or len(batch["input_ids"]) == 1:
            yield batch
        else:
            yield from _fitting(halves(batch), most_slots)
