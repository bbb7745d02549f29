"""The optimizer that leaves rows alone: the weights are those of torch's AdamW, however long a row waited."""

from __future__ import annotations

import copy
import dataclasses
import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import Parameter

from crosstune.train import row_trainer, train
from crosstune.train.loop import GroupTrainer
from crosstune.train.row_adamw import RowAdamW
from crosstune.trec import read_run
from models import tiny_cross_encoder
from training import WORDS, assert_same_training, dev_of, random_groups, tiny_settings, train_tiny

ROWS, WIDTH = 12, 3
STEP = st.tuples(
    st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=4, unique=True),
    st.floats(1e-5, 1e-2),  # learning rate
    st.booleans(),  # whether all rows are settled after it
)


def _start(seed: int) -> tuple[Parameter, Parameter]:
    generator = torch.Generator().manual_seed(seed)
    return Parameter(torch.randn(ROWS, WIDTH, generator=generator)), Parameter(torch.ones(2))


def _rows(rows: list[int], values: torch.Tensor) -> torch.Tensor:
    with torch.sparse.check_sparse_tensor_invariants():
        return torch.sparse_coo_tensor(torch.tensor([rows]), values, (ROWS, WIDTH))


def _set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    for group in optimizer.param_groups:
        group["lr"] = rate


@settings(max_examples=60, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=60), seed=st.integers(0, 99), size=st.floats(1e-3, 1.0))
def test_the_weights_are_those_of_adamw(
    steps: list[tuple[list[int], float, bool]], seed: int, size: float
) -> None:
    (dense, other), (table, beside) = _start(seed), _start(seed)
    theirs = torch.optim.AdamW([dense, other], weight_decay=0.1)
    ours = RowAdamW([table, beside], weight_decay=0.1)
    generator = torch.Generator().manual_seed(seed)
    for rows, rate, settled in steps:
        values = size * torch.randn(len(rows), WIDTH, generator=generator)
        dense.grad = torch.zeros(ROWS, WIDTH).index_copy_(0, torch.tensor(rows), values)
        other.grad, beside.grad = torch.ones(2), torch.ones(2)
        _set_rate(theirs, rate)
        _set_rate(ours, rate)
        ours.settle(table, torch.tensor(rows))
        torch.testing.assert_close(table[rows], dense[rows], atol=2e-5, rtol=0)
        table.grad = _rows(rows, values)
        theirs.step()
        ours.step()
        if settled:
            ours.settle(table)
            torch.testing.assert_close(table, dense, atol=2e-5, rtol=0)
    ours.settle(table)
    torch.testing.assert_close(table, dense, atol=2e-5, rtol=0)
    torch.testing.assert_close(beside, other, atol=0, rtol=0)


def test_rows_wait() -> None:
    """Else the test above would say nothing."""
    table, _ = _start(0)
    before = table.detach().clone()
    optimizer = RowAdamW([table], lr=0.01)
    table.grad = _rows([1], torch.ones(1, WIDTH))
    optimizer.step()
    assert [row for row in range(ROWS) if not torch.equal(table[row], before[row])] == [1]
    optimizer.settle(table)
    assert not torch.equal(table[0], before[0]), "weight decay"


def test_a_loaded_state_goes_on_bit_by_bit() -> None:
    table, _ = _start(1)
    optimizer = RowAdamW([table])
    generator = torch.Generator().manual_seed(3)

    def steps(of: RowAdamW, parameter: Parameter, numbers: range) -> None:
        for number in numbers:
            _set_rate(of, 0.003 / (1 + number))
            rows = [number % ROWS, (number + 5) % ROWS]
            of.settle(parameter, torch.tensor(rows))
            parameter.grad = _rows(rows, torch.randn(2, WIDTH, generator=generator))
            of.step()

    steps(optimizer, table, range(20))
    again = Parameter(table.detach().clone())
    loaded = RowAdamW([again])
    loaded.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    draws = generator.get_state()
    steps(optimizer, table, range(20, 30))
    generator.set_state(draws)
    steps(loaded, again, range(20, 30))
    optimizer.settle(table)
    loaded.settle(again)
    assert torch.equal(table, again)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_training_is_that_of_dense_gradients(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, accumulate: int
) -> None:
    sparse, _ = train_tiny(tmp_path, "sparse", teacher="none", accumulate=accumulate, max_grad_norm=0.5)
    monkeypatch.setattr(row_trainer, "_trained_words", lambda _: None)
    dense, _ = train_tiny(tmp_path, "dense", teacher="none", accumulate=accumulate, max_grad_norm=0.5)
    assert_same_training(sparse, dense, atol=2e-5, rtol=1e-3)
    logs = [(out / "train_log.jsonl").read_text().splitlines() for out in (sparse, dense)]
    norms = [[row["grad_norm"] for line in log if "grad_norm" in (row := json.loads(line))] for log in logs]
    assert max(norms[0]) > 0.5, "the gradient was clipped"
    assert norms[0] == pytest.approx(norms[1], rel=1e-3)


def test_dev_is_scored_with_no_row_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step has one group and half of the words; dev has them all."""
    rng = random.Random(4)
    groups = [
        dataclasses.replace(
            group,
            query=" ".join(rng.choices(words, k=3)),
            docs=[" ".join(rng.choices(words, k=8)) for _ in group.docs],
        )
        for group, words in zip(random_groups(8), [WORDS[:8], WORDS[8:]] * 4, strict=True)
    ]
    evaluate, moved = GroupTrainer.evaluate, []

    def twice(self: GroupTrainer, *given: Any, **named: Any) -> dict[str, float]:
        table = self.model.get_input_embeddings().weight
        before = table.detach().clone()
        found = evaluate(self, *given, **named)
        kept = tmp_path / "out" / "dev" / f"{self.state.global_step}.trec"
        scores = read_run(kept)
        self.settle()
        self._rerank_dev(self.model)
        assert read_run(kept) == scores
        moved.append(not torch.equal(table, before))
        return found

    monkeypatch.setattr(GroupTrainer, "evaluate", twice)
    (tmp_path / "out").mkdir()
    rules = tiny_settings(
        teacher="none", groups_per_step=1, epochs=1, evaluations=4, learning_rate=1e-2, patience=9
    )
    base = tiny_cross_encoder(tmp_path / "base")
    train(groups, *dev_of(groups), str(base), rules, 5, tmp_path / "out")
    assert moved == [True] * 4, "rows had waited"
