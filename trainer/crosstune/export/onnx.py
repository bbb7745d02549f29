"""The ONNX graph of a whole cross-encoder, head included."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.first_token import last_layer_for_first_token

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def write_onnx(model: PreTrainedModel, inputs: Sequence[str], path: Path) -> None:
    """Writes fp32 `model.onnx` in one file: int64 `inputs` `[batch, sequence]`, output `logits`
    `[batch, 1]`. Standard operators alone, so that every runtime reads it; the last layer is computed for
    the first token where the family allows it. Of a model that is too large for one file (from 1.5 GB on)
    torch writes the weights beside it, to `model.onnx.data`.
    """
    import torch

    class Logits(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(
            self,
            input_ids: torch.Tensor,
            attention_mask: torch.Tensor,
            token_type_ids: torch.Tensor | None = None,
        ) -> torch.Tensor:
            types = {"token_type_ids": token_type_ids} if "token_type_ids" in inputs else {}
            logits: torch.Tensor = self.model(input_ids, attention_mask, **types).logits
            return logits

    # A tensor for each input: the exporter takes one tensor in two places for one input.
    examples = tuple(torch.ones((2, 16), dtype=torch.int64) for _ in inputs)
    axes = {0: torch.export.Dim("batch"), 1: torch.export.Dim("sequence")}
    path.parent.mkdir(parents=True)
    # The exporter reports its progress and torch's deprecations; neither is for the user.
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        last_layer_for_first_token(model),
        _plain_attention(model),
    ):
        warnings.simplefilter("ignore")
        torch.onnx.export(
            Logits().eval(),
            examples,
            str(path),
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(inputs, axes),
            external_data=False,
            dynamo=True,
            verbose=False,
        )


@contextlib.contextmanager
def _plain_attention(model: PreTrainedModel) -> Iterator[None]:
    """Attention written out: the graph of torch's fused one guards against rows without a key, which a pair
    has not, and scores a tenth slower."""
    before = model.config._attn_implementation
    model.set_attn_implementation("eager")
    try:
        yield
    finally:
        model.set_attn_implementation(before)
