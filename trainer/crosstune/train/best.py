"""Which weights of a training count: by what dev says of the start, the checkpoints and what lies between."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from crosstune.progress import say
from crosstune.train.blend import take_best_blend
from crosstune.train.fusion import MEASURE
from crosstune.train.model import load_cross_encoder

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.serve.pairs import LengthRule
    from crosstune.train.dev import DevJudge
    from crosstune.train.loop import GroupTrainer


@dataclass(frozen=True)
class Best:
    """The model that ranks the sampled dev queries best: with the weights of `step`, 0 for what training
    started from, or those at `share` of the way there from the start; its nDCG@10."""

    model: PreTrainedModel
    step: int
    share: float
    ndcg: float

    @property
    def name(self) -> str:
        """Of its dev scores."""
        return str(self.step) if self.share == 1 else f"{self.step}x{self.share}"


def best_weights(trainer: GroupTrainer, judge: DevJudge, folder: Path, rule: LengthRule, seed: int) -> Best:
    """What `trainer` left, the start in `folder` or a blend; at a tie the one nearer to the start."""
    key = f"eval_{MEASURE}"
    at_start = [row[key] for row in trainer.state.log_history if row["step"] == 0 and key in row]
    best = Best(
        trainer.model, int(trainer.state.best_global_step or 0), 1.0, float(trainer.state.best_metric or 0.0)
    )
    if not at_start:
        return best
    start = load_cross_encoder(folder / "start", rule, seed).to(trainer.args.device)
    best = _best_blend(best, start, judge)
    if at_start[0] >= best.ndcg:
        say(f"  dev nDCG@10 was {at_start[0]:.4f} at the start, {best.ndcg:.4f} at best: the start is kept")
        return Best(start, 0, 1.0, at_start[0])
    return best


def _best_blend(best: Best, start: PreTrainedModel, judge: DevJudge) -> Best:
    def judged(share: float) -> float:
        return judge.sample_ndcg(best.model.eval(), dataclasses.replace(best, share=share).name)

    share, ndcg = take_best_blend(best.model, start.state_dict(), best.ndcg, judged)
    say(f"  dev nDCG@10 {ndcg:.4f} at {share:.0%} of the way from the start to step {best.step}")
    return dataclasses.replace(best, share=share, ndcg=ndcg)
