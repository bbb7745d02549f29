"""The two ends of the line, loaded, and whether there is a line between them at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tokenizers import Tokenizer

from crosstune.errors import InputError
from crosstune.files import read_json
from crosstune.models import has_ranking_head
from crosstune.serve.pairs import LengthRule
from crosstune.train.model import load_cross_encoder, trained_labels

if TYPE_CHECKING:
    from transformers import PreTrainedModel

ADVICE = "Give the model that the tuned one was trained from, or two that were trained from the same"


def check_mergeable(base: Path, tuned: Path) -> None:
    """Raises `InputError` unless both are cross-encoders of one architecture, vocabulary and number of
    labels."""
    for folder in (base, tuned):
        if not has_ranking_head(folder):
            raise InputError(
                f"{folder}: has no ranking head (architectures in config.json), so there is nothing to lay "
                "the tuned model's head on a line with. With a run folder as TUNED, give the recipe's own "
                "model: what its training began with was kept"
            )
    configs = [read_json(folder / "config.json") for folder in (base, tuned)]
    families = [config.get("model_type") for config in configs]
    if families[0] != families[1]:
        raise InputError(f"{base} is of type {families[0]}, {tuned} of type {families[1]}. {ADVICE}")
    labels = [trained_labels(config) for config in configs]
    if labels[0] != labels[1]:
        raise InputError(
            f"{base} has {labels[0]} labels, {tuned} {labels[1]}: their heads say different things. {ADVICE}"
        )
    words = [_vocabulary(folder) for folder in (base, tuned)]
    if words[0] != words[1]:
        other = sorted(words[0].items() ^ words[1].items())
        raise InputError(
            f"{base} and {tuned} have other vocabularies ({len(words[0])} and {len(words[1])} tokens; "
            f"{other[0][0]!r} is not the same), so that the rows of their embeddings stand for different "
            f"words. {ADVICE}"
        )


def load_ends(
    base: Path, tuned: Path, rule: LengthRule, seed: int
) -> tuple[PreTrainedModel, PreTrainedModel]:
    """Both, in fp32. Raises `InputError` where a weight of the one is missing in the other or of another
    size."""
    start, end = (load_cross_encoder(folder, rule, seed) for folder in (base, tuned))
    sizes = [{name: [*tensor.shape] for name, tensor in model.state_dict().items()} for model in (start, end)]
    for name in sorted(sizes[0].keys() | sizes[1].keys()):
        first, second = (size.get(name) for size in sizes)
        if first != second:
            raise InputError(
                f"the weight {name} is {_told(first)} in {base} and {_told(second)} in {tuned}: the models "
                f"are not built alike. {ADVICE}"
            )
    return start, end


def _told(shape: list[int] | None) -> str:
    return "missing" if shape is None else f"of size {shape}"


def _vocabulary(folder: Path) -> dict[str, int]:
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; a model folder with a fast tokenizer was expected")
    words: dict[str, int] = Tokenizer.from_file(str(path)).get_vocab(with_added_tokens=True)
    return words
