"""The base as a bi-encoder: vectors of single texts, and their adaptation to the user's labels."""

from __future__ import annotations

import math
import random
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint
from torch.utils.data import Dataset
from transformers import AutoModel, AutoTokenizer, PrinterCallback, TrainingArguments, set_seed

from crosstune.device import device
from crosstune.heap import give_back
from crosstune.parts import CHARACTERS_A_TOKEN, parts
from crosstune.progress import progress
from crosstune.records import Group, Run
from crosstune.serve.pairs import model_input_names, token_budget_batches
from crosstune.train.arguments import common_arguments
from crosstune.train.callbacks import StepProgress
from crosstune.train.model import set_dropout, usable_positions
from crosstune.train.packed import packed
from crosstune.train.row_trainer import RowTrainer
from crosstune.train.scoring import ScoredRun

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.train.comparison.segments import Markers

QUERY_TOKENS = 64
"""Of a query where it teaches: more of it, as of a passage, is read where it is ranked for."""
BATCH_TOKENS = 4096
GRADIENT_TOKENS = 2048
PAIRS_A_STEP = 64
LEARNING_RATE = 2e-5
EPOCHS = 2
MOST_PAIRS = 2560
SAMPLE = 32
"""Queries, and as many passages, whose states say which dimensions are spare."""
SCALE = 20.0
"""Of the cosines in the softmax: the value that sentence-transformers trained its bi-encoders with."""


class BiEncoder:
    """A base with mean pooling that reads the first `max_tokens` of a text, which is what a cross-encoder
    has room for at most. Vectors have length 1, so that a dot product is a cosine."""

    def __init__(self, base: Path, max_tokens: int) -> None:
        from transformers.utils import logging

        before = logging.get_verbosity()
        logging.set_verbosity_error()  # a pooler that starts fresh is of no concern here
        self.model: PreTrainedModel = AutoModel.from_pretrained(
            base, dtype=torch.float32, local_files_only=True, trust_remote_code=False
        ).eval()
        logging.set_verbosity(before)
        self.model.to(device())
        self._tokenizer = AutoTokenizer.from_pretrained(base, local_files_only=True, trust_remote_code=False)
        self._names = model_input_names(self.model.config)
        self._longest = min(max_tokens, usable_positions(self.model) or max_tokens)
        self.markers: Markers | None = None
        self._offset = 0

    def keep_segments_apart(self, queries: Sequence[str], passages: Sequence[str], seed: int) -> None:
        """Changes the model so that it reads a passage as it will beside a query: as the second segment,
        behind the query's positions. `queries`, `passages`: what it reads, of which a sample is drawn."""
        from crosstune.train.comparison.activations import sample_activations
        from crosstune.train.comparison.segments import keep_segments_apart

        rng = random.Random(seed)
        chosen = [self.ids(rng.sample([*texts], min(len(texts), SAMPLE)), most)
                  for texts, most in ((queries, QUERY_TOKENS), (passages, None))]  # fmt: skip
        self.markers = keep_segments_apart(
            self.model, sample_activations(self.model, [*chosen[0], *chosen[1]])
        )
        self._offset = round(statistics.median(len(ids) for ids in chosen[0])) - 1

    def ids(self, texts: Sequence[str], most: int | None = None) -> list[list[int]]:
        """Ids of each text, special tokens included, cut to `max_tokens`, to the model's positions and to
        `most`."""
        longest = self._longest if most is None else min(most, self._longest)
        most_read = longest * CHARACTERS_A_TOKEN
        rows: list[list[int]] = []
        for part in parts(min(len(text), most_read) for text in texts):
            cut = [text[:most_read] for text in texts[part]]  # the tokenizer keeps what it cuts for a while
            rows += self._tokenizer(cut, truncation=True, max_length=longest)["input_ids"]
        return rows

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], label: str, *, passage: bool = False) -> Tensor:
        """Unit vectors `[texts, hidden]`, fp32. `passage`: of texts that come second, where that makes one
        another (see `keep_segments_apart`)."""
        vectors = torch.empty(len(texts), self.model.config.hidden_size)
        most = self._longest * CHARACTERS_A_TOKEN
        with progress(f"{label}, texts", len(texts)) as advance:
            for part in parts(min(len(text), most) for text in texts):
                rows, found = self.ids(texts[part]), vectors[part]
                for batch in token_budget_batches([len(row) for row in rows], BATCH_TOKENS):
                    found[batch] = self._pooled(self.model, [rows[i] for i in batch], passage=passage).cpu()
                    advance(len(batch))
        return vectors

    def vectors(self, model: torch.nn.Module, rows: Sequence[list[int]], *, passage: bool = False) -> Tensor:
        """Unit vectors `[texts, hidden]` with their gradient, computed in batches sorted by length. Only one
        batch's graph is held at a time: each forward pass is done again for its gradient."""
        batches = list(token_budget_batches([len(row) for row in rows], GRADIENT_TOKENS))
        pooled = partial(self._pooled, model, passage=passage)
        parts = torch.cat(
            [checkpoint(pooled, [rows[i] for i in batch], use_reentrant=False) for batch in batches]
        )
        order = torch.tensor([i for batch in batches for i in batch], device=parts.device)
        return torch.zeros_like(parts).index_copy(0, order, parts)

    @torch.inference_mode()
    def means(self, rows: Sequence[list[int]], *, passage: bool = False) -> Tensor:
        """Mean states `[texts, hidden]` on the CPU, of their own length, in batches sorted by length."""
        found = torch.empty(len(rows), self.model.config.hidden_size)
        for batch in token_budget_batches([len(row) for row in rows], BATCH_TOKENS):
            found[batch] = self._means(self.model, [rows[i] for i in batch], passage=passage).cpu()
        return found

    @torch.inference_mode()
    def anchor(self) -> Tensor:
        """The last state `[hidden]` of `[CLS]`, which is that of every text where segments are kept apart."""
        ids = torch.tensor(self.ids([""], 2), device=self.model.device)
        state: Tensor = self.model(input_ids=ids).last_hidden_state[0, 0].float().cpu()
        return state

    def _pooled(self, model: torch.nn.Module, rows: Sequence[list[int]], *, passage: bool) -> Tensor:
        return torch.nn.functional.normalize(self._means(model, rows, passage=passage), dim=1)

    def _means(self, model: torch.nn.Module, rows: Sequence[list[int]], *, passage: bool) -> Tensor:
        width = max(len(row) for row in rows)
        pad_id = self.model.config.pad_token_id
        every = {
            "input_ids": torch.tensor([row + [pad_id] * (width - len(row)) for row in rows]),
            "attention_mask": torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows]),
            "token_type_ids": torch.zeros(len(rows), width, dtype=torch.long),
        }
        names = list(self._names)
        if passage and self.markers is not None:
            every["token_type_ids"][:, 1:] = 1  # [CLS] stays as it is and where it is
            room = self.model.config.max_position_embeddings - width
            places = torch.arange(width) + min(self._offset, room)
            places[0] = 0
            every["position_ids"] = places.expand(len(rows), width)
            names.append("position_ids")
        device = self.model.device
        with packed(self.model, all_tokens=True):
            states = model(**{name: every[name].to(device) for name in names}).last_hidden_state.float()
        mask = every["attention_mask"].to(device)[..., None]
        means: Tensor = (states * mask).sum(1) / mask.sum(1)
        return means


def cosine_run(
    base: Path,
    max_tokens: int,
    candidates: Run,
    queries: Mapping[str, str],
    passages: Mapping[str, str],
    label: str,
) -> ScoredRun:
    """Ranks by the cosine of the vectors of `base`: what a base without a ranking head knows untrained. Every
    text is read once, so that `milliseconds` is the mean time of a query."""
    texts = [queries[query_id] for query_id in candidates]
    texts += [passages[doc_id] for scores in candidates.values() for doc_id in scores]
    texts = list(dict.fromkeys(texts))
    started = time.perf_counter()
    place = {text: number for number, text in enumerate(texts)}
    vectors = BiEncoder(base, max_tokens).embed(texts, label)
    run: Run = {}
    for query_id, scores in candidates.items():
        rows = vectors[[place[passages[doc_id]] for doc_id in scores]]
        cosines = rows @ vectors[place[queries[query_id]]]
        run[query_id] = dict(zip(scores, cosines.tolist(), strict=True))
    milliseconds = 1000 * (time.perf_counter() - started) / max(1, len(candidates))
    return ScoredRun(run, milliseconds, device())


def adapt(encoder: BiEncoder, groups: Sequence[Group], bf16: bool, seed: int, folder: Path) -> None:
    """Trains the bi-encoder on the groups' queries and positives, in place; `folder` is for scratch files.

    The other positives of a step are the negatives (Henderson et al. 2017, arXiv:1705.00652), but for those
    that are positives of the same query; without any positive the weights stay as they are. A text is encoded
    once and compared with all others, so that this costs a small part of what the cross-encoder does.
    """
    if not any(label > 0 for group in groups for label in group.labels):
        return
    pairs = _Pairs(encoder, groups)
    steps = math.ceil(min(EPOCHS * len(pairs), MOST_PAIRS) / PAIRS_A_STEP)
    set_seed(seed)
    set_dropout(encoder.model, 0.0)
    trainer = _InBatchTrainer(
        encoder,
        model=encoder.model,
        args=TrainingArguments(
            **common_arguments(folder, seed),
            max_steps=steps,
            learning_rate=LEARNING_RATE,
            warmup_steps=math.ceil(0.1 * steps),
            weight_decay=0.01,
            per_device_train_batch_size=PAIRS_A_STEP,
            optim="adamw_torch_fused",
            bf16=bf16,
            save_strategy="no",
            logging_strategy="no",
        ),
        train_dataset=pairs,
        data_collator=list,
        callbacks=[StepProgress("adapt the base's vectors, steps")],
    )
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    trainer.settle()
    encoder.model.eval()
    give_back()


class _Pairs(Dataset[dict[str, Any]]):
    """Each distinct query with each of its positives, tokenised when it is drawn: most may never be."""

    def __init__(self, encoder: BiEncoder, groups: Sequence[Group]) -> None:
        found = {
            (g.query_id, doc_id): (g.query, doc)
            for g in groups
            for doc_id, doc, label in zip(g.doc_ids, g.docs, g.labels, strict=True)
            if label > 0
        }
        self._encoder = encoder
        self._keys, self._texts = list(found), list(found.values())
        self._positives: dict[str, set[str]] = {}
        for query_id, doc_id in self._keys:
            self._positives.setdefault(query_id, set()).add(doc_id)

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, index: int) -> dict[str, Any]:
        query_id, doc_id = self._keys[index]
        query, passage = self._texts[index]
        return {
            "query": self._encoder.ids([query], QUERY_TOKENS)[0],
            "passage": self._encoder.ids([passage])[0],
            "doc_id": doc_id,
            "positives": self._positives[query_id],
        }


class _InBatchTrainer(RowTrainer):
    def __init__(self, encoder: BiEncoder, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._encoder = encoder
        self.model_accepts_loss_kwargs = False

    def _prepare_inputs(self, inputs: Any) -> Any:
        return inputs  # lists of ids: the encoder pads them and moves them to its device

    def token_ids(self, inputs: list[dict[str, Any]]) -> Tensor:
        return torch.tensor([token for row in inputs for side in ("query", "passage") for token in row[side]])

    def compute_loss(
        self,
        model: torch.nn.Module,
        inputs: list[dict[str, Any]],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Tensor:
        queries = self._encoder.vectors(model, [row["query"] for row in inputs])
        passages = self._encoder.vectors(model, [row["passage"] for row in inputs], passage=True)
        return in_batch_loss(queries, passages, torch.tensor(list(_also_positive(inputs))))


def _also_positive(rows: Sequence[dict[str, Any]]) -> Iterator[list[bool]]:
    """Which passages of the step are a positive of the row's query without being the row's own."""
    for number, row in enumerate(rows):
        yield [
            other != number and passage["doc_id"] in row["positives"] for other, passage in enumerate(rows)
        ]


def in_batch_loss(queries: Tensor, passages: Tensor, left_out: Tensor) -> Tensor:
    """`-log softmax(20 cos(q, p))[own passage]`, mean over the queries.

    `queries`, `passages`: unit vectors `[pairs, hidden]`; `left_out`: bool `[pairs, pairs]`, true where a
    passage is no negative of the query.
    """
    scores = (SCALE * queries @ passages.T).masked_fill(left_out.to(queries.device), float("-inf"))
    return torch.nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))
