"""From groups to the micro-batches of a step: tokenised once, sorted by length, almost no padding."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from crosstune.processes import count, place
from crosstune.records import Group
from crosstune.serve.pairs import EncodedPair, PairEncoder, pad, token_budget_batches
from crosstune.train.token_file import tokenized


@dataclass(frozen=True)
class Cuts:
    """How many passages the length rule made several windows of, and how many inputs it cut, out of how
    many."""

    pairs: int
    passages_windowed: int
    passages_cut: int
    queries: int
    queries_cut: int


class TokenizedGroups(Dataset[dict[str, Any]]):
    """The training groups; every text that occurs in them is tokenised once, into a file of the folder
    `kept`, where it is found again."""

    def __init__(self, groups: Sequence[Group], encoder: PairEncoder, kept: Path) -> None:
        self._groups = groups
        self._encoder = encoder
        texts = list(dict.fromkeys(text for group in groups for text in (group.query, *group.docs)))
        self._rows = {text: row for row, text in enumerate(texts)}
        self._kept = tokenized(texts, encoder, kept)

    def __len__(self) -> int:
        return len(self._groups)

    def __getitem__(self, index: int) -> dict[str, Any]:
        group = self._groups[index]
        query = self._kept[self._rows[group.query]]
        docs = [self._kept[self._rows[doc]] for doc in group.docs]
        pairs = [self._encoder.join(query, doc, (query.unread, doc.unread)) for doc in docs]
        return {"pairs": pairs, "labels": group.labels, "teacher_scores": group.teacher_scores}

    def tokens(self, text: str) -> int:
        """Wordpieces of a text of the groups, uncut; what is too long to be tokenised counts as one."""
        words = self._kept[self._rows[text]]
        return len(words) + words.unread

    def cuts(self) -> Cuts:
        """Counts the passages over all pairs, and the queries over the distinct queries."""
        pairs = windowed = cut = 0
        cut_queries: dict[str, bool] = {}
        for group in self._groups:
            query = self._kept[self._rows[group.query]]
            for doc in group.docs:
                words = self._kept[self._rows[doc]]
                extent = self._encoder.extent(len(query), len(words), (query.unread, words.unread))
                pairs += 1
                windowed += len(extent.windows) > 1
                cut += extent.cut_passage > 0
                cut_queries[group.query] = extent.cut_query > 0
        return Cuts(pairs, windowed, cut, len(cut_queries), sum(cut_queries.values()))


@dataclass(frozen=True)
class Windowed:
    """A pair of several windows, and where its row stands: number of the micro-batch, row there."""

    batch: int
    row: int
    pair: EncodedPair


@dataclass(frozen=True)
class GroupCollator:
    """Groups -> `micro_batches` (each padded to its own longest pair), `slots` (where each of their
    rows stands in the flattened `[groups, docs]` table), `labels`, `lengths` (ids of a pair, of all its
    windows), `teacher_scores` (nan where there is none) and `mask`, each `[groups, docs]`.

    A pair of several windows is its first one there, and stands in `windowed`: the step puts the best one in
    its place (`crosstune.train.windows`), which has the same length. Of several
    processes each has its share of the pairs (`share`) in `micro_batches`, `slots` and `windowed`.
    """

    pad_id: int
    micro_batch_tokens: int
    input_names: Sequence[str]

    def __call__(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        width = max(len(row["pairs"]) for row in rows)
        labels = torch.zeros(len(rows), width)
        lengths = torch.zeros(len(rows), width, dtype=torch.long)
        teacher = torch.full((len(rows), width), float("nan"))
        mask = torch.zeros(len(rows), width, dtype=torch.bool)
        pairs: list[EncodedPair] = []
        slots: list[int] = []
        for number, row in enumerate(rows):
            count = len(row["pairs"])
            labels[number, :count] = torch.tensor(row["labels"], dtype=torch.float32)
            lengths[number, :count] = torch.tensor([sum(pair.lengths) for pair in row["pairs"]])
            if None not in row["teacher_scores"]:
                teacher[number, :count] = torch.tensor(row["teacher_scores"])
            mask[number, :count] = True
            pairs += row["pairs"]
            slots += range(number * width, number * width + count)
        own = share([len(pair) for pair in pairs])
        slots = [slots[i] for i in own]
        # A process without a pair of its own computes one that does not count: all exchange gradients.
        pairs = [pairs[i] for i in own] or [min(pairs, key=len)]
        batches = list(token_budget_batches([len(pair) for pair in pairs], self.micro_batch_tokens))
        return {
            "micro_batches": [
                model_inputs([pairs[i] for i in batch], self.pad_id, self.input_names) for batch in batches
            ],
            "slots": torch.tensor([slots[i] for batch in batches for i in batch if slots], dtype=torch.long),
            "windowed": [
                Windowed(number, place, pairs[i])
                for number, batch in enumerate(batches)
                for place, i in enumerate(batch)
                if pairs[i].further
            ],
            "labels": labels,
            "lengths": lengths,
            "teacher_scores": teacher,
            "mask": mask,
        }


def share(lengths: Sequence[int]) -> list[int]:
    """Which texts of a step, of these lengths, this process computes: all where it is alone. Each process has
    short ones and long ones."""
    if count() == 1:
        return list(range(len(lengths)))
    return sorted(range(len(lengths)), key=lambda i: -lengths[i])[place() :: count()]


def model_inputs(pairs: Sequence[EncodedPair], pad_id: int, names: Sequence[str]) -> dict[str, Tensor]:
    """The tensors that the model is called with, each `[batch, longest pair]`."""
    input_ids, mask, types = pad(pairs, pad_id)
    every = {"input_ids": input_ids, "attention_mask": mask, "token_type_ids": types}
    return {name: torch.from_numpy(every[name]) for name in names}


def halves(inputs: Mapping[str, Tensor]) -> list[dict[str, Tensor]]:
    """The rows of a batch of two or more pairs in two batches, each as wide as its longest pair."""
    rows = len(inputs["input_ids"])
    found = []
    for part in (slice(0, rows // 2), slice(rows // 2, rows)):
        width = int(inputs["attention_mask"][part].sum(1).max())
        found.append({name: tensor[part, :width] for name, tensor in inputs.items()})
    return found
