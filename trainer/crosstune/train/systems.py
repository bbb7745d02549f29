"""The models that an evaluation compares, on the candidates of any queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.models import has_ranking_head
from crosstune.records import Run
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.train.fusion import fuse_run
from crosstune.train.model import load_scorer

if TYPE_CHECKING:
    from crosstune.serve import Fusion


@dataclass(frozen=True)
class Scored:
    """`runs`: `first_stage`, `base`, `tuned` and, with a fusion, `fused`, over the same candidates;
    `milliseconds` a query of the reranked ones; `device`: the type of torch's."""

    runs: dict[str, Run]
    milliseconds: dict[str, float]
    device: str


@dataclass(frozen=True)
class Systems:
    """`base`, by its head or by the cosine of its vectors where it has none, and `tuned`, alone and with the
    `fusion`."""

    base: Path
    tuned: Path
    fusion: Fusion | None
    rule: LengthRule
    seed: int

    def score(
        self,
        candidates: Run,
        queries: Mapping[str, str],
        passages: Mapping[str, str],
        label: str,
        keep: Callable[[str, Run], Run] = lambda _, run: run,
    ) -> Scored:
        """Scores all `candidates`; `keep(system, run)` is given each new run and returns what counts."""
        from crosstune.train.bi_encoder import cosine_run
        from crosstune.train.scoring import score_run

        runs = {"first_stage": candidates}
        milliseconds: dict[str, float] = {}
        texts = (candidates, queries, passages)
        for system, folder in (("base", self.base), ("tuned", self.tuned)):
            shown = f"{label} with the {system} model"
            if has_ranking_head(folder):
                network = load_scorer(folder, self.rule, self.seed)
                encoder = PairEncoder.from_folder(folder, self.rule)
                scored = score_run(network, encoder, *texts, f"{shown}, queries")
            else:
                scored = cosine_run(folder, self.rule.max_tokens, *texts, f"{shown}'s vectors")
            runs[system] = keep(system, scored.run)
            milliseconds[system] = scored.milliseconds
        if self.fusion is not None:
            runs["fused"] = keep("fused", fuse_run(self.fusion, runs["tuned"], candidates))
            milliseconds["fused"] = milliseconds["tuned"]
        return Scored(runs, milliseconds, scored.device)
