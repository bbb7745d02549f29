"""A plan as text."""

from __future__ import annotations

from crosstune.evaluate.tables import columns
from crosstune.results.plan import Against, Plan, Point, is_worse


def render_plan(plan: Plan) -> str:
    """A line a depth, then what follows from them."""
    rows = [["depth", plan.measure, "gain", "95 % interval", "p Holm", "ceiling", "ms/query", ""]]
    rows += [_row(point) for point in plan.points]
    return "\n".join([f"{plan.queries} judged queries", "", *columns(rows), "", *_words(plan)])


def _row(point: Point) -> list[str]:
    gain = ["-", "-", "-"]
    if point.gain is not None:
        c = point.gain.comparison
        gain = [f"{c.difference:+.3f}", f"[{c.low:+.3f}, {c.high:+.3f}]", f"{point.gain.p_holm:.2g}"]
    budget = "in budget" if point.within_budget else "too slow"
    return [
        str(point.depth), f"{point.value:.3f}", *gain, f"{point.ceiling:.3f}", f"{point.milliseconds:.1f}",
        budget,
    ]  # fmt: skip


def _words(plan: Plan) -> list[str]:
    points = {point.depth: point for point in plan.points}
    first = plan.speed.first_stage
    lines = [
        f"{plan.speed.pair:.2f} ms a pair"
        + (
            f" and {first:.1f} ms for the first stage"
            if first is not None
            else ", the first stage not counted"
        )
        + f": {plan.budget:g} ms are enough for {plan.budget_depth} candidates",
        f"best within the budget: {_named(plan.best)}, {plan.measure} {points[plan.best].value:.3f} in "
        f"{points[plan.best].milliseconds:.1f} ms",
        _smallest(plan),
    ]
    worse = [loss for loss in plan.deeper if is_worse(loss.tested)]
    unclear = [loss for loss in plan.deeper if not is_worse(loss.tested)]
    if worse:
        lines.append(f"reranking deeper than {plan.peak} makes it worse: {_losses(worse)}")
    if unclear:
        lines.append(f"deeper than {plan.peak} lower, but not beyond chance: {_losses(unclear)}")
    return lines


def _smallest(plan: Plan) -> str:
    if plan.smallest == plan.best:
        if not plan.smaller:
            return "reranking does not pay here: no depth within the budget is better than depth 0"
        return f"every smaller depth is worse beyond chance: {_named(plan.best)} is worth it"
    loss = next(loss for loss in plan.smaller if loss.depth == plan.smallest)
    said = f"{_named(plan.smallest)} ({loss.tested.comparison.difference:+.3f}, p = {loss.tested.p_holm:.2g})"
    if plan.smallest == 0:
        return f"not worse beyond chance: {said}; this test set does not show that reranking pays"
    return f"smallest depth that is not worse beyond chance: {said}"


def _named(depth: int) -> str:
    return f"depth {depth}" if depth else "depth 0 (no reranking)"


def _losses(losses: list[Against]) -> str:
    return ", ".join(
        f"{loss.depth} ({loss.tested.comparison.difference:+.3f}, p = {loss.tested.p_holm:.2g})"
        for loss in losses
    )
