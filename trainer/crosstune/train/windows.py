"""Training on long documents: the loss sees a document's logit, which is that of its best window.

The label is the document's and not a window's, so that the loss is of what ranks (end to end, as Li et al.
2020, arXiv:2008.09093). Dai & Callan 2019 give each window the label of its document, and so teach windows as
relevant that are not (Rudra & Anand 2021, arXiv:2103.16669, measure what that costs).

The gradient of a maximum is that of its largest part alone. So the windows are scored without gradients, and
the step goes on with the best one of each document: the same gradient as over all W windows, for W + 3 passes
in place of 3 W, and in the memory of one window a document.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from crosstune.train.batching import Windowed
from crosstune.train.scoring import score_encoded

if TYPE_CHECKING:
    from transformers import PreTrainedModel


def words_of(windowed: Sequence[Windowed]) -> Tensor:
    """The ids in their windows, each once."""
    return torch.tensor(sorted({i for one in windowed for row in one.pair.windows for i in row.input_ids}))


def take_best_windows(
    model: PreTrainedModel, batches: Sequence[dict[str, Tensor]], windowed: Sequence[Windowed]
) -> None:
    """Puts the window with the highest logit, by `model` without dropout, in the place of the first, in the
    `input_ids` of the micro-batches."""
    training = model.training
    best_ones = score_encoded(model.eval(), [one.pair for one in windowed])
    model.train(training)
    for one, best in zip(windowed, best_ones, strict=True):
        ids = batches[one.batch]["input_ids"]
        chosen = torch.tensor(one.pair.windows[best.window].input_ids)
        ids[one.row, : len(chosen)] = chosen.to(ids.device)
