"""LoRA by peft: adapters beside the linear maps of a network's layers, and back to plain weights.

The adapters stand inside the network, which stays what it is: the encoder without padding, checkpoints and
dev work as without them. All that comes after the layers, the head, is trained itself: one that is left out
is random after training, and one that is left behind is lost.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from crosstune.errors import CheckFailed, InputError
from crosstune.progress import say
from crosstune.train.layers import depths, layers_of
from crosstune.train.model import load_cross_encoder
from crosstune.train.precision import in_fp32
from crosstune.train.saving import copy_tokenizer
from crosstune.train.scoring import score_pairs
from crosstune.train.tuning_config import ALPHA, LoraSettings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from crosstune.serve.pairs import PairEncoder

ADAPTER = "lora_"
"""In the names of an adapter's weights, and of nothing else."""
TOLERANCE = 1e-3
"""Of a merged model's logits, in logits, or as a share of the largest where these are large: fp32's rounding
makes 1e-5."""


def add_adapters(model: PreTrainedModel, settings: LoraSettings, first: int, end: int, seed: int) -> None:
    """Puts adapters that change nothing yet beside linear maps of the layers from `first` to before `end`, in
    place. Below `end` these alone are then trained, and all above it as before.

    Raises `InputError` where the layers have no linear map of a name that is asked for."""
    from peft import LoraConfig, inject_adapter_in_model

    if settings.rank is None:
        return
    targets = _targets(model, settings.targets, first, end)
    depth = depths(model)
    trained = {name for name, p in model.named_parameters() if p.requires_grad and depth[name] > end}
    torch.manual_seed(seed)
    inject_adapter_in_model(
        LoraConfig(
            r=settings.rank,
            lora_alpha=settings.alpha or ALPHA * settings.rank,
            lora_dropout=settings.dropout,
            target_modules=targets,
        ),
        model,
    )
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(name in trained or ADAPTER in name)
    sizes = [parameter.numel() for parameter in model.parameters() if parameter.requires_grad]
    say(
        f"  LoRA of rank {settings.rank} beside {len(targets)} linear maps: {sum(sizes):,} weights are "
        f"trained of {sum(parameter.numel() for parameter in model.parameters()):,}"
    )


def _targets(model: PreTrainedModel, wanted: Sequence[str] | None, first: int, end: int) -> list[str]:
    """Full names of the linear maps: each family's own, so that nothing has to be known of it."""
    if first >= end:
        raise InputError(
            f"train.freeze_layers is {first}, which leaves no layer of {end} for the adapters of train.lora; "
            f"{end - 1} or less was expected"
        )
    prefix, layers = layers_of(model)
    there = [
        f"{prefix}.{number}.{name}"
        for number in range(first, end)
        for name, module in layers[number].named_modules()
        if isinstance(module, torch.nn.Linear)
    ]
    if wanted is None:
        return there
    for word in wanted:
        if not any(_is_called(name, word) for name in there):
            known = sorted({name.removeprefix(f"{prefix}.").partition(".")[2] for name in there})
            raise InputError(
                f"train.lora.targets: no linear map of a layer is called {word!r}; there are "
                f"{', '.join(known)} (the end of a name is enough)"
            )
    return [name for name in there if any(_is_called(name, word) for word in wanted)]


def _is_called(name: str, word: str) -> bool:
    return name == word or name.endswith(f".{word}")


def merge_adapters(
    model: PreTrainedModel, encoder: PairEncoder, pairs: Sequence[tuple[str, str]], base: Path, folder: Path
) -> None:
    """Adds the adapters to the weights beside which they stand and takes them out, in place: `model` is then
    the plain network that it was. It is saved, loaded again and compared on the `pairs`; `folder` is for
    scratch files. Raises `CheckFailed` where a logit is another one than with the adapters."""
    from peft.tuners.lora import LoraLayer

    with in_fp32(model):
        expected = score_pairs(model.eval(), encoder, pairs)
    for name, module in [*model.named_modules()]:
        if isinstance(module, LoraLayer):
            module.merge(safe_merge=True)
            model.set_submodule(name, module.get_base_layer())
    staging = folder / "merged.partial"
    model.save_pretrained(staging)
    copy_tokenizer(base, staging)
    again = load_cross_encoder(staging, encoder.rule, seed=0).to(model.device)
    _check_equal(expected, score_pairs(again, encoder, pairs))
    shutil.rmtree(staging)


def _check_equal(expected: Sequence[float], found: Sequence[float]) -> None:
    largest = max((abs(one - other) for one, other in zip(expected, found, strict=True)), default=0.0)
    if not largest <= TOLERANCE * max([1.0, *map(abs, expected)]):
        raise CheckFailed(
            f"the adapters cannot be merged: a logit differs by {largest:.2g} from that of the network with "
            f"its adapters, {TOLERANCE} was allowed. The checkpoints are kept; train.precision=fp32 or a "
            "lower train.lora.learning_rate may help"
        )
    say(f"  the adapters are merged into the weights: logits differ by {largest:.1g} at most")
