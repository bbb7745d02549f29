"""Rows through a loaded model: in batches of like length, one a core at a time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from crosstune.serve.engines.runtime import Format, Runtime, open_runtime
from crosstune.serve.pairs import EncodedPair, pad, token_budget_batches

if TYPE_CHECKING:
    from crosstune.serve.manifest import Manifest

BATCH_TOKENS = 512
"""Of one batch on one core: larger ones are no faster, and leave cores idle at the end."""


@dataclass(frozen=True)
class Forward:
    """`inputs`: what the model is called with; `threads`: batches at once."""

    runtime: Runtime
    inputs: Sequence[str]
    pad_id: int
    threads: int

    def logits(self, rows: Sequence[EncodedPair]) -> NDArray[np.float32]:
        """One a row, `[rows]`."""
        logits = np.empty(len(rows), dtype=np.float32)
        multiple = self.runtime.multiple
        widths = [len(row) + -len(row) % multiple for row in rows]
        batches = list(token_budget_batches(widths, BATCH_TOKENS))

        def run(batch: list[int]) -> None:
            logits[batch] = self._run([rows[index] for index in batch])

        if len(batches) <= 1 or self.threads == 1:
            for batch in batches:
                run(batch)
        else:
            with ThreadPoolExecutor(self.threads) as pool:
                list(pool.map(run, batches))
        return logits

    def _run(self, pairs: Sequence[EncodedPair]) -> NDArray[np.float32]:
        input_ids, mask, types = pad(pairs, self.pad_id, self.runtime.multiple)
        every = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": types}
        return self.runtime.run({name: every[name] for name in self.inputs})


def open_forward(manifest: Manifest, kind: Format, folder: Path, threads: int) -> Forward:
    """Raises what `open_runtime` raises."""
    runtime = open_runtime(kind, folder / manifest.formats[kind], threads)
    return Forward(runtime, manifest.inputs, manifest.pad_id, threads)
