"""The layers of an encoder, whatever its family: where they lie, which are kept, which are trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from crosstune.errors import InputError
from crosstune.files import replace_folder
from crosstune.models import has_ranking_head
from crosstune.processes import is_first
from crosstune.progress import say
from crosstune.train.model import load_cross_encoder
from crosstune.train.saving import copy_tokenizer

if TYPE_CHECKING:
    from transformers import PretrainedConfig, PreTrainedModel

    from crosstune.serve.pairs import LengthRule


def layers_of(model: PreTrainedModel) -> tuple[str, torch.nn.ModuleList]:
    """The list of the encoder's layers, lowest first, and its name in `model`: that with as many entries as
    the configuration has layers. Raises `InputError` for a model without one."""
    count = model.config.num_hidden_layers
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.ModuleList) and len(module) == count:
            return name, module
    raise InputError(
        f"a model of type {model.config.model_type!r} has no list of {count} layers, so that train.layers, "
        "train.freeze_layers, train.layer_decay and train.lora cannot be used with it"
    )


def chosen_layers(wanted: int | Sequence[int], total: int) -> list[int]:
    """Their numbers from 0 on: those given, or so many, evenly spread with the first and the last among them
    (as DistilBERT starts from BERT, Sanh et al. 2019, arXiv:1910.01108). Raises `InputError` for more than
    there are."""
    if isinstance(wanted, int):
        if wanted > total:
            raise InputError(
                f"train.layers is {wanted}, and the base has {total} layers; {total} or less was expected"
            )
        return [round(place * (total - 1) / max(1, wanted - 1)) for place in range(wanted)]
    if wanted[-1] >= total:
        raise InputError(
            f"train.layers names layer {wanted[-1]}, and the base has {total} layers, 0 to {total - 1}"
        )
    return list(wanted)


def with_layers(base: Path, wanted: int | Sequence[int], rule: LengthRule, seed: int, folder: Path) -> Path:
    """The base with these layers alone, as a model folder in `folder`: with its head, where it has one, and
    its tokenizer. Raises `InputError` for layers that it does not have, or whose weights do not fit where
    they would stand. Of several processes the first makes it, before the others come here."""
    from transformers import AutoModelForSequenceClassification

    reduced = folder / "reduced"
    if not is_first():
        return reduced
    whole = load_cross_encoder(base, rule, seed)
    name, layers = layers_of(whole)
    kept = chosen_layers(wanted, len(layers))
    config = _config(whole.config, kept)
    smaller = AutoModelForSequenceClassification.from_config(config, dtype=torch.float32)
    try:
        smaller.load_state_dict(_weights(whole, f"{name}.", kept), strict=True)
    except RuntimeError:
        raise InputError(
            f"train.layers: the layers {kept} of {base} cannot stand alone, since some of its layers are "
            "built otherwise than others; keep layer 0 as the first"
        ) from None
    staging = folder / "reduced.partial"
    (smaller if has_ranking_head(base) else smaller.base_model).save_pretrained(staging)
    copy_tokenizer(base, staging)
    replace_folder(staging, reduced)
    say(f"  the base's layers {', '.join(map(str, kept))} are kept, of {len(layers)}")
    return reduced


def _config(whole: PretrainedConfig, kept: Sequence[int]) -> PretrainedConfig:
    values = whole.to_dict()
    if values.get("layer_types"):
        values["layer_types"] = [whole.layer_types[number] for number in kept]
    kind = type(whole)
    values[kind.attribute_map.get("num_hidden_layers", "num_hidden_layers")] = len(kept)
    return kind.from_dict(values)


def _weights(model: PreTrainedModel, prefix: str, kept: Sequence[int]) -> dict[str, torch.Tensor]:
    """Those of the kept layers under their new numbers, and all others."""
    place = {str(number): new for new, number in enumerate(kept)}
    found = {}
    for name, tensor in model.state_dict().items():
        if not name.startswith(prefix):
            found[name] = tensor
            continue
        number, _, rest = name.removeprefix(prefix).partition(".")
        if number in place:
            found[f"{prefix}{place[number]}.{rest}"] = tensor
    return found


def depths(model: PreTrainedModel) -> dict[str, int]:
    """How deep each weight lies: 0 in the embeddings, n + 1 in layer n, and one more than the layers have
    for what comes after them, the head with its pooler."""
    base = model.base_model_prefix
    name, layers = layers_of(model)
    beside = f"{name.rpartition('.')[0]}."
    found = {}
    for weight, _ in model.named_parameters():
        if weight.startswith(f"{name}."):
            found[weight] = int(weight.removeprefix(f"{name}.").partition(".")[0]) + 1
        # DeBERTa's relative positions, with their norm, lie beside the layers.
        elif weight.startswith(f"{base}.") and (
            "embed" in weight or (beside != f"{base}." and weight.startswith(beside))
        ):
            found[weight] = 0
        else:
            found[weight] = len(layers) + 1
    return found


def freeze(model: PreTrainedModel, count: int, most: int) -> None:
    """Takes the embeddings and the lowest `count` layers, of which `most` may be frozen, out of training,
    in place. Raises `InputError` for more."""
    if count > most:
        raise InputError(
            f"train.freeze_layers is {count}, and the base has {most} layers; {most} or less was expected"
        )
    depth = depths(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(parameter.requires_grad and depth[name] > count)
