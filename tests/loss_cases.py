"""Every loss a second time, in plain loops over one list after the other, from the papers' formulas."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import torch

from crosstune.train.losses import Lists


class Ranked(NamedTuple):
    """One list: logits, grades and a teacher's scores, each `[docs]`."""

    z: Sequence[float]
    y: Sequence[int]
    t: Sequence[float]


def lists(
    batch: Sequence[Ranked], dtype: torch.dtype = torch.float64, *, requires_grad: bool = False
) -> Lists:
    """Padded as the collator pads: labels and logits 0, the teacher nan."""
    shape = (len(batch), max(len(one.z) for one in batch))
    logits, labels = torch.zeros(shape, dtype=dtype), torch.zeros(shape, dtype=dtype)
    teacher = torch.full(shape, float("nan"), dtype=dtype)
    mask = torch.zeros(shape, dtype=torch.bool)
    for row, one in enumerate(batch):
        count = len(one.z)
        for table, values in ((logits, one.z), (labels, one.y), (teacher, one.t)):
            table[row, :count] = torch.tensor(values, dtype=dtype)
        mask[row, :count] = True
    return Lists(logits.requires_grad_(requires_grad), labels, teacher, mask)


def _softplus(x: float) -> float:
    return float(np.logaddexp(0, x))


def _log_softmax(values: Sequence[float]) -> list[float]:
    total = float(np.logaddexp.reduce(np.asarray(values, dtype=float)))
    return [value - total for value in values]


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _over_documents(cost: Callable[[float, float, float], float]) -> Callable[[Sequence[Ranked]], float]:
    return lambda batch: _mean([cost(*row) for one in batch for row in zip(*one, strict=True)])


def _over_lists(cost: Callable[[Ranked], float]) -> Callable[[Sequence[Ranked]], float]:
    return lambda batch: _mean([cost(one) for one in batch])


def _pairs(targets: Sequence[float]) -> list[tuple[int, int]]:
    places = range(len(targets))
    return [(i, j) for i in places for j in places if targets[i] > targets[j]]


def _ideal_dcg(grades: Sequence[int], depth: int | None = None) -> float:
    best = sorted((max(0, grade) for grade in grades), reverse=True)[:depth]
    return sum((2**grade - 1) / math.log2(place + 2) for place, grade in enumerate(best))


def _lambda(one: Ranked, k: int = 10) -> float:
    ideal = _ideal_dcg(one.y, k)
    order = sorted(range(len(one.z)), key=lambda i: (-one.z[i], one.y[i]))
    rank = {doc: place for place, doc in enumerate(order, start=1)}
    costs = []
    for i, j in _pairs(one.y):
        if min(rank[i], rank[j]) > k:
            continue
        distance = abs(rank[i] - rank[j])
        near = abs(1 / math.log2(1 + distance) - 1 / math.log2(2 + distance))
        swap = abs(1 / math.log2(1 + rank[i]) - 1 / math.log2(1 + rank[j]))
        gain = abs(2 ** max(0, one.y[i]) - 2 ** max(0, one.y[j])) / ideal if ideal else 0
        costs.append((10 * near + swap) * gain * _softplus(one.z[j] - one.z[i]) / math.log(2))
    return _mean(costs)


def _approx_ndcg(one: Ranked) -> float:
    if max(one.y) <= 0:
        return 0.0
    dcg = 0.0
    for i, grade in enumerate(one.y):
        rank = 1 + sum(1 / (1 + math.exp(one.z[i] - z)) for j, z in enumerate(one.z) if j != i)
        dcg += (2 ** max(0, grade) - 1) / math.log2(1 + rank)
    return 1 - dcg / _ideal_dcg(one.y)


def _mle_cost(one: Ranked, i: int) -> float:
    rivals = [z for z, grade in zip(one.z, one.y, strict=True) if grade <= one.y[i]]
    return float(np.logaddexp.reduce(np.asarray(rivals))) - one.z[i]


def _plistmle(one: Ranked) -> float:
    n = len(one.z)
    best_first = sorted(range(n), key=lambda i: -one.y[i])
    weight = {doc: 2.0 ** (n - place) - 1 for place, doc in enumerate(best_first, start=1)}
    total = sum(weight.values())
    if not total:
        return 0.0
    shared = [_mean([weight[j] for j in range(n) if one.y[j] == one.y[i]]) for i in range(n)]
    return sum(w / total * _mle_cost(one, i) for i, w in enumerate(shared))


def _cross_entropy(p: Sequence[float], log_q: Sequence[float]) -> float:
    return -sum(a * b for a, b in zip(p, log_q, strict=True))


def _kl(one: Ranked) -> float:
    log_p, log_q = _log_softmax(one.t), _log_softmax(one.z)
    return sum(math.exp(a) * (a - b) for a, b in zip(log_p, log_q, strict=True))


def _lce(one: Ranked) -> float:
    return _mean([-value for value, grade in zip(_log_softmax(one.z), one.y, strict=True) if grade > 0])


REFERENCES: dict[str, Callable[[Sequence[Ranked]], float]] = {
    "bce": _over_documents(lambda z, y, t: _softplus(-z) if y > 0 else _softplus(z)),
    "mse": _over_documents(lambda z, y, t: (z - y) ** 2),
    "margin": _over_lists(lambda one: _mean([max(0, 1 - one.z[i] + one.z[j]) for i, j in _pairs(one.y)])),
    "ranknet": _over_lists(lambda one: _mean([_softplus(one.z[j] - one.z[i]) for i, j in _pairs(one.y)])),
    "lambda": _over_lists(_lambda),
    "lce": _over_lists(_lce),
    "listnet": _over_lists(
        lambda one: _cross_entropy(np.exp(_log_softmax(one.y)).tolist(), _log_softmax(one.z))
    ),
    "listmle": _over_lists(lambda one: sum(_mle_cost(one, i) for i in range(len(one.z)))),
    "plistmle": _over_lists(_plistmle),
    "approx_ndcg": _over_lists(_approx_ndcg),
    "margin_mse": _over_lists(
        lambda one: _mean([(one.z[i] - one.z[j] - one.t[i] + one.t[j]) ** 2 for i, j in _pairs(one.y)])
    ),
    "kl": _over_lists(_kl),
    "teacher_mse": _over_documents(lambda z, y, t: (z - t) ** 2),
    "teacher_ranknet": _over_lists(
        lambda one: _mean([_softplus(one.z[j] - one.z[i]) for i, j in _pairs(one.t)])
    ),
}
