"""A model that dev shows to be no better than what was there before is not exported."""

from __future__ import annotations

from collections.abc import Mapping

from crosstune.errors import CheckFailed

NAMES = {"first_stage": "first stage", "base": "base before training"}


def refuse_worse(ndcg: Mapping[str, float | None], queries: int, most_loss: float = 0.0) -> None:
    """Raises `CheckFailed` unless what the export recommends (`fused` where it was kept, otherwise `tuned`)
    is better on dev than the `first_stage` and than the `base`, where that was scored; with a `most_loss` it
    may lie below the base by less than that.

    `ndcg`: system -> nDCG@10 over the `queries` sampled dev queries.
    """
    fused = ndcg["fused"]
    what = "tuned model" if fused is None else "tuned model with the first stage's score"
    value = ndcg["tuned"] if fused is None else fused
    for name, label in NAMES.items():
        other = ndcg[name]
        loss = most_loss if name == "base" else 0.0
        if value is not None and other is not None and value <= other - loss:
            allowed = f"; export.most_loss is {loss:g}" if loss else ""
            raise CheckFailed(
                f"not exported: the {what} is not better than the {label} on dev (nDCG@10 {value:.4f} "
                f"against {other:.4f} over {queries} queries{allowed}). More labels, another model or a "
                "lower train.learning_rate may help. To export it all the same: --allow-worse, or "
                "export.allow_worse=true"
            )
