"""The base model as its own teacher, together with the first stage.

The vectors of a bi-encoder know which texts belong together, but a ranking head that starts fresh cannot
read it off. Distilling its cosine into the cross-encoder hands that knowledge over for the price of one
forward pass a text (after Hofstaetter et al. 2020, arXiv:2010.02666; here the base teaches itself).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from crosstune.progress import progress, say
from crosstune.records import Group
from crosstune.serve.pairs import model_input_names, token_budget_batches

Table = npt.NDArray[Any]

TEXT_TOKENS = 128
BATCH_TOKENS = 4096


def with_teacher_scores(groups: Sequence[Group], base: Path) -> list[Group]:
    """The groups with `teacher_scores`: logits from the base's cosine and the first stage's score.

    The two are weighed by the likelihood of the groups' own positives, so the logits have the scale that the
    data bear out. The groups come back as they were unless the teacher puts the positive first in more than
    half of the groups, and in more than the first stage does: else it has nothing to teach.
    """
    cosines, first_stage, mask = _features(groups, base)
    weights = _fit(np.stack([cosines, first_stage], axis=-1), mask)
    logits = weights[0] * cosines + weights[1] * first_stage
    of_teacher, of_first_stage = (_positives_first(scores, mask) for scores in (logits, first_stage))
    used = of_teacher > max(of_first_stage, len(groups) / 2)
    say(
        f"  positive on top in {of_teacher} of {len(groups)} groups by {weights[0]:.1f} x base's cosine + "
        f"{weights[1]:.2f} x the first stage, in {of_first_stage} by the first stage alone: "
        + ("distilled before the labels are learned" if used else "nothing to distil")
    )
    if not used:
        return list(groups)
    return [
        dataclasses.replace(group, teacher_scores=row[: len(group.docs)].tolist())
        for group, row in zip(groups, logits, strict=True)
    ]


def _features(groups: Sequence[Group], base: Path) -> tuple[Table, Table, Table]:
    """Cosine, first-stage score and whether there is a document, each `[groups, docs]`; a document that was
    not retrieved counts as the lowest of its group."""
    texts = list(dict.fromkeys(text for group in groups for text in (group.query, *group.docs)))
    place = {text: number for number, text in enumerate(texts)}
    vectors = embed(texts, base)
    cosines = np.zeros((len(groups), max(len(group.docs) for group in groups)))
    first_stage, mask = np.zeros_like(cosines), np.zeros_like(cosines, dtype=bool)
    for number, group in enumerate(groups):
        count = len(group.docs)
        mask[number, :count] = True
        cosines[number, :count] = vectors[[place[doc] for doc in group.docs]] @ vectors[place[group.query]]
        lowest = min((score for score in group.first_stage_scores if score is not None), default=0.0)
        scores = [lowest if score is None else score for score in group.first_stage_scores]
        first_stage[number, : len(scores)] = scores
    return cosines, first_stage, mask


def _fit(features: Table, mask: Table) -> Table:
    """The weights, not below 0, of the conditional logit (McFadden 1974) whose choice is the positive."""
    from scipy.optimize import minimize
    from scipy.special import log_softmax

    scale = np.abs(features[mask]).max(axis=0) + 1e-12

    def cost(weights: Table) -> float:
        logits = np.where(mask, features @ (weights / scale), -np.inf)
        return float(-log_softmax(logits, axis=1)[:, 0].mean())

    found = minimize(
        cost, np.ones(features.shape[-1]), method="L-BFGS-B", bounds=[(0, 100)] * features.shape[-1]
    )
    fitted: Table = found.x / scale
    return fitted


def _positives_first(scores: Table, mask: Table) -> int:
    others = np.where(mask, scores, -np.inf)[:, 1:]
    return int((scores[:, :1] > others).all(axis=1).sum())


@torch.inference_mode()
def embed(texts: Sequence[str], base: Path) -> Tensor:
    """Unit vectors `[texts, hidden]`, fp32: the mean of the last hidden states over the text's tokens.

    A text is cut to `TEXT_TOKENS` ids, special tokens included.
    """
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    tokenizer = AutoTokenizer.from_pretrained(base)
    before = logging.get_verbosity()
    logging.set_verbosity_error()  # a pooler that starts fresh is of no concern here
    model = AutoModel.from_pretrained(base).eval()
    logging.set_verbosity(before)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    names = model_input_names(model.config)
    ids = tokenizer(list(texts), truncation=True, max_length=TEXT_TOKENS)["input_ids"]
    vectors = torch.empty(len(texts), model.config.hidden_size)
    with progress("base's vectors, texts", len(texts)) as advance:
        for batch in token_budget_batches([len(row) for row in ids], BATCH_TOKENS):
            width = max(len(ids[i]) for i in batch)
            inputs = {
                "input_ids": torch.tensor(
                    [ids[i] + [tokenizer.pad_token_id] * (width - len(ids[i])) for i in batch]
                ),
                "attention_mask": torch.tensor(
                    [[1] * len(ids[i]) + [0] * (width - len(ids[i])) for i in batch]
                ),
                "token_type_ids": torch.zeros(len(batch), width, dtype=torch.long),
            }
            output = model(**{name: inputs[name].to(model.device) for name in names})
            mask = inputs["attention_mask"].to(model.device)[..., None]
            mean = (output.last_hidden_state * mask).sum(1) / mask.sum(1)
            vectors[list(batch)] = torch.nn.functional.normalize(mean.float(), dim=1).cpu()
            advance(len(batch))
    return vectors
