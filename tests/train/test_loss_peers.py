"""Values and gradients against the losses of sentence-transformers and of torch, on the same logits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from sentence_transformers import CrossEncoder
from sentence_transformers.cross_encoder import losses as peers
from torch import Tensor, nn

from crosstune.train import TrainSettings
from crosstune.train.losses import LOSSES, Lists, chosen_loss
from loss_cases import Ranked, lists

Peer = Callable[["GivenLogits", Lists], Tensor]


class GivenLogits(CrossEncoder):
    """A cross-encoder of sentence-transformers whose logits are given: document "2 5" is row 2, place 5."""

    num_labels = 1
    device = torch.device("cpu")

    def __init__(self, logits: Tensor) -> None:
        nn.Module.__init__(self)
        self.logits = logits

    def preprocess(self, pairs: Any, **_: Any) -> dict[str, Tensor]:
        return {"at": torch.tensor([[int(word) for word in document.split()] for _, document in pairs])}

    def forward(self, inputs: dict[str, Tensor], **_: Any) -> dict[str, Tensor]:
        rows, places = inputs["at"].T
        return {"scores": self.logits[rows, places][:, None]}


def _documents(given: Lists) -> list[list[str]]:
    return [[f"{row} {place}" for place in range(int(used.sum()))] for row, used in enumerate(given.mask)]


def _listwise(kind: type[nn.Module], **options: Any) -> Peer:
    """A loss of `(query, documents)` with a list of labels for each query."""

    def peer(model: GivenLogits, given: Lists) -> Tensor:
        documents = _documents(given)
        labels = [row[used] for row, used in zip(given.labels, given.mask, strict=True)]
        loss: Tensor = kind(model, **options)([["q"] * len(documents), documents], labels)
        return loss

    return peer


def _pointwise(kind: type[nn.Module], targets: str, **options: Any) -> Peer:
    """A loss of `(query, document)` with a label for each."""

    def peer(model: GivenLogits, given: Lists) -> Tensor:
        documents = [document for row in _documents(given) for document in row]
        values = getattr(given, targets)[given.mask]
        loss: Tensor = kind(model, **options)([["q"] * len(documents), documents], values)
        return loss

    return peer


def _columns(given: Lists) -> list[list[str]]:
    """Queries, positives, first negatives, second negatives, ..."""
    return [["q"] * len(given.mask), *(list(column) for column in zip(*_documents(given), strict=True))]


def _margin_mse(model: GivenLogits, given: Lists) -> Tensor:
    loss: Tensor = peers.MarginMSELoss(model)(_columns(given), list(given.teacher))
    return loss


def _ranking(model: GivenLogits, given: Lists) -> Tensor:
    """With the negatives of the group alone: those of other groups are another list."""
    loss = peers.MultipleNegativesRankingLoss(model, scale=1, activation_fn=None)
    logits = [model({"at": torch.tensor([[row, place] for row in range(len(given.mask))])})["scores"][:, 0]
              for place in range(given.mask.shape[1])]  # fmt: skip
    value: Tensor = loss.calculate_loss(logits, len(given.mask))
    return value


def _torch_margin(model: GivenLogits, given: Lists) -> Tensor:
    positive, negatives = model.logits[:, :1], model.logits[:, 1:]
    loss: Tensor = nn.MarginRankingLoss(margin=1.0)(
        positive.expand_as(negatives), negatives, torch.ones_like(negatives)
    )
    return loss


def _torch_kl(model: GivenLogits, given: Lists) -> Tensor:
    loss = nn.KLDivLoss(reduction="batchmean", log_target=True)
    value: Tensor = loss(model.logits.log_softmax(1), given.teacher.log_softmax(1))
    return value


def _rank_net_on_teacher(model: GivenLogits, given: Lists) -> Tensor:
    on_teacher = Lists(given.logits, given.teacher, given.teacher, given.mask)
    return _listwise(peers.RankNetLoss, reduction_log="natural")(model, on_teacher)


def _step(kind: str) -> Lists:
    """`relevance`: a positive before its negatives. `grades`: no two equal, best first. `ties`: equal grades,
    in any order, with the same number of pairs in each group. `unequal`: groups of 2 to 6."""
    draw = torch.Generator().manual_seed(7)
    grades = {
        "relevance": [[1, 0, 0, 0, 0]] * 4,
        "grades": [[5, 3, 2, 1, 0]] * 4,
        "ties": [[0, 2, 1, 2, 0, 0], [2, 0, 0, 1, 0, 2], [1, 0, 2, 2, 0, 0]],
        "unequal": [[3, 2], [4, 3, 2, 1, 0, -1], [1, 0, -1]],
    }[kind]

    def numbers(count: int, scale: float) -> list[float]:
        values: list[float] = (torch.randn(count, generator=draw) * scale).tolist()
        return values

    batch = [Ranked(numbers(len(y), 2.0), y, numbers(len(y), 4.0)) for y in grades]
    return lists(batch, torch.float32, requires_grad=True)


@pytest.mark.parametrize(
    ("name", "kind", "peer"),
    [
        ("bce", "relevance", _pointwise(peers.BinaryCrossEntropyLoss, "labels")),
        ("mse", "unequal", _pointwise(peers.MSELoss, "labels")),
        ("margin", "relevance", _torch_margin),
        ("ranknet", "ties", _listwise(peers.RankNetLoss, reduction_log="natural")),
        ("lambda", "ties", _listwise(peers.LambdaLoss, k=10)),
        ("lambda", "grades", _listwise(peers.LambdaLoss, k=10)),
        ("lce", "relevance", _ranking),
        ("listnet", "ties", _listwise(peers.ListNetLoss)),
        ("listnet", "unequal", _listwise(peers.ListNetLoss)),
        ("listmle", "grades", _listwise(peers.ListMLELoss)),
        ("listmle", "unequal", _listwise(peers.ListMLELoss)),
        ("plistmle", "grades", _listwise(peers.PListMLELoss)),
        ("plistmle", "unequal", _listwise(peers.PListMLELoss)),
        ("margin_mse", "relevance", _margin_mse),
        ("kl", "relevance", _torch_kl),
        ("teacher_mse", "unequal", _pointwise(peers.MSELoss, "teacher")),
        ("teacher_ranknet", "ties", _rank_net_on_teacher),
    ],
)
def test_value_and_gradient_are_the_peers(name: str, kind: str, peer: Peer) -> None:
    given = _step(kind)
    ours = LOSSES[name](given)  # type: ignore[index]
    (gradient,) = torch.autograd.grad(ours, given.logits)
    theirs = peer(GivenLogits(given.logits), given)
    (expected,) = torch.autograd.grad(theirs, given.logits)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    assert expected.abs().max() > 1e-3
    assert torch.allclose(gradient, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "kind", "peer"),
    [
        (
            {"loss": "bce", "pos_weight": 4.0},
            "relevance",
            _pointwise(peers.BinaryCrossEntropyLoss, "labels", pos_weight=torch.tensor(4.0)),
        ),
        ({"loss": "lambda", "ndcg_depth": 2}, "relevance", _listwise(peers.LambdaLoss, k=2)),
    ],
)
def test_options_are_the_peers(changes: dict[str, object], kind: str, peer: Peer) -> None:
    """With a cut the number of pairs differs by group, and the peer weighs pairs alike: so one group."""
    step = _step(kind)
    given = Lists(*(getattr(step, name)[:1].detach() for name in ("logits", "labels", "teacher", "mask")))
    given.logits.requires_grad_()
    ours = chosen_loss(TrainSettings.model_validate(changes))(given)
    theirs = peer(GivenLogits(given.logits), given)
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-5)
    gradients = [torch.autograd.grad(loss, given.logits)[0] for loss in (ours, theirs)]
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-6)
