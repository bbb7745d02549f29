"""The base model as its own teacher: the cosine of the vectors that a bi-encoder gives query and passage.

The encoder of a bi-encoder knows which texts belong together, but a ranking head that starts fresh cannot
read it off. Distilling its cosine into the cross-encoder hands that knowledge over for the price of one
forward pass a text (after Hofstaetter et al. 2020, arXiv:2010.02666; here the base teaches itself).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from crosstune.progress import progress, say
from crosstune.records import Group
from crosstune.serve.pairs import model_input_names, token_budget_batches

TEXT_TOKENS = 128
BATCH_TOKENS = 4096


def with_base_similarity(groups: Sequence[Group], base: Path) -> list[Group]:
    """The groups with `teacher_scores`: the cosine, in [-1, 1], of query and passage under mean pooling.

    The groups come back as they were unless the base's vectors put the positive first in more than half of
    the groups, and in more than the first stage does: else it has nothing to teach. A positive that was not
    retrieved is not first.
    """
    scored = _scored(groups, base)
    of_base = sum(_positive_first(group.teacher_scores) for group in scored)
    of_first_stage = sum(_positive_first(group.first_stage_scores) for group in groups)
    used = of_base > max(of_first_stage, len(groups) / 2)
    say(
        f"  positive on top by the base's vectors in {of_base} of {len(groups)} groups, by the first stage "
        f"in {of_first_stage}: " + ("their similarity is distilled first" if used else "nothing to distil")
    )
    return scored if used else list(groups)


def _positive_first(scores: Sequence[float | None]) -> bool:
    positive, *negatives = [float("-inf") if score is None else score for score in scores]
    return all(positive > negative for negative in negatives)


def _scored(groups: Sequence[Group], base: Path) -> list[Group]:
    texts = list(dict.fromkeys(text for group in groups for text in (group.query, *group.docs)))
    place = {text: number for number, text in enumerate(texts)}
    vectors = embed(texts, base)
    scored = []
    for group in groups:
        cosines = vectors[[place[doc] for doc in group.docs]] @ vectors[place[group.query]]
        scored.append(dataclasses.replace(group, teacher_scores=cosines.tolist()))
    return scored


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
