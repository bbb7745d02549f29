"""From a model's folder to a loaded cross-encoder with one label."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.device import device
from crosstune.errors import InputError, first_line
from crosstune.files import read_json
from crosstune.train.vocabulary import check_padding, check_tokens

if TYPE_CHECKING:
    import torch
    from transformers import PretrainedConfig, PreTrainedModel

    from crosstune.serve.pairs import LengthRule


def load_two_labels(
    folder: Path, rule: LengthRule, seed: int, *, dropout: float, head_std: float
) -> PreTrainedModel:
    """Loads a BERT for sequence classification with two labels (not relevant, relevant), in fp32.

    A base without a head gets a fresh one, drawn by `seed`: weights from a normal of `head_std` that is cut
    at two standard deviations, bias 0. A head with two labels is kept. `dropout` is that of the encoder, of
    its attention and before the head. Raises `InputError` as `load_cross_encoder`, and for a base that is
    no BERT.
    """
    import torch

    config = read_json(folder / "config.json")
    if config.get("model_type") != "bert":
        raise InputError(
            f"{folder}: the base is of type {config.get('model_type')!r}; this procedure is defined for BERT"
        )
    headed = any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or [])
    if headed and trained_labels(config) == 1:
        raise InputError(
            f"{folder}: the base has a head with one label; this procedure trains two (not relevant, "
            "relevant). Give a base without a head or one with two labels"
        )
    changes = dict.fromkeys(
        ("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout"), dropout
    )
    model = _load(folder, seed, num_labels=2, **changes)
    if not headed:
        with torch.no_grad():
            torch.nn.init.trunc_normal_(
                model.classifier.weight, std=head_std, a=-2 * head_std, b=2 * head_std
            )
            model.classifier.bias.zero_()
    _check(model, folder, rule)
    return model


def load_cross_encoder(folder: Path, rule: LengthRule, seed: int) -> PreTrainedModel:
    """Loads weights for sequence classification with one label, in fp32, in evaluation mode.

    A base without a ranking head gets a fresh one, drawn by `seed`. A head with two labels becomes
    one label exactly: weights `w1 - w0`, so that the logit is the log-odds of the second label.
    Raises `InputError` for damaged weights and for a base that does not fit the length rule.
    """
    labels = trained_labels(read_json(folder / "config.json"))
    model = _load(folder, seed, num_labels=labels)
    if labels == 2:
        _join_two_labels(model)
    _check(model, folder, rule)
    return model.eval()


def load_scorer(folder: Path, rule: LengthRule, seed: int) -> PreTrainedModel:
    """What `load_cross_encoder` loads, on the device that scores."""
    return load_cross_encoder(folder, rule, seed).to(device())


def set_dropout(model: PreTrainedModel, share: float) -> None:
    """`share` of the activations is dropped in training, wherever `model` drops any."""
    from torch.nn import Dropout

    for module in model.modules():
        if isinstance(module, Dropout):
            module.p = share


def _load(folder: Path, seed: int, **config: Any) -> PreTrainedModel:
    import torch
    from safetensors import SafetensorError
    from transformers import AutoConfig, AutoModelForSequenceClassification
    from transformers.utils import logging as transformers_logging

    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    torch.manual_seed(seed)
    try:
        given = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **config)
        check_padding(folder, given)
        return AutoModelForSequenceClassification.from_pretrained(
            folder,
            config=given,
            dtype=torch.float32,
            local_files_only=True,
            trust_remote_code=False,
        )
    except (SafetensorError, OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{folder}: the model cannot be loaded ({first_line(error)}); fetch or export it again"
        ) from None


def trained_labels(config: dict[str, Any]) -> int:
    """1 for a base without a head or a head with one label, 2 for a head with two."""
    if not any(name.endswith("ForSequenceClassification") for name in config.get("architectures") or []):
        return 1
    labels = config.get("num_labels", len(config.get("id2label") or {0: "", 1: ""}))
    if labels not in (1, 2):
        raise InputError(
            f"the base has a head with {labels} labels ({json.dumps(config.get('id2label'))}); "
            "a reranker has one, or two (not relevant, relevant)"
        )
    return int(labels)


def heads(model: PreTrainedModel, labels: int) -> list[tuple[str, torch.nn.Linear]]:
    """The linear maps with that many outputs, by name; the last is the head."""
    import torch

    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, torch.nn.Linear) and module.out_features == labels
    ]


def _join_two_labels(model: PreTrainedModel) -> None:
    import torch

    name, head = heads(model, labels=2)[-1]
    one = torch.nn.Linear(head.in_features, 1, bias=head.bias is not None)
    with torch.no_grad():
        one.weight.copy_(head.weight[1:2] - head.weight[0:1])
        if head.bias is not None:
            one.bias.copy_(head.bias[1:2] - head.bias[0:1])
    model.set_submodule(name, one)
    model.config.num_labels = model.num_labels = 1


def positions_of(folder: Path) -> int | None:
    """`usable_positions` of the model that lies there, whose weights are not read. Raises `InputError` as
    `read_config`, and for a configuration that makes no model of text."""
    import torch
    from transformers import AutoModel

    config = read_config(folder)
    check_padding(folder, config)
    try:
        with torch.device("meta"):
            return usable_positions(AutoModel.from_config(config, trust_remote_code=False))
    except (ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{folder}: no model can be made of its config.json ({first_line(error)}); fetch it again, or "
            "name a base of another family"
        ) from None


def read_config(folder: Path) -> PretrainedConfig:
    """Raises `InputError` for a `config.json` that transformers cannot read."""
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise InputError(
            f"{folder / 'config.json'}: cannot be used ({first_line(error)}); fetch it again"
        ) from None


def usable_positions(model: PreTrainedModel) -> int | None:
    """How many tokens a text of this model may have; `None` where its positions have no end."""
    positions = getattr(model.config, "max_position_embeddings", None)
    if not positions:
        return None
    # In RoBERTa's kin the padding has a position of its own, and the first token's is behind it.
    tables = [m for name, m in model.named_modules() if name.endswith(".position_embeddings")]
    paddings = [getattr(table, "padding_idx", None) for table in tables]
    return int(positions) - max((padding + 1 for padding in paddings if padding is not None), default=0)


def check_positions(base: Path, positions: int | None, key: str, tokens: int) -> None:
    """Raises `InputError` where the recipe's `key` asks for more tokens than the base has positions."""
    if positions is not None and positions < tokens:
        raise InputError(
            f"{base}: the base has {positions} positions, {key} is {tokens}; set {key}={positions} or less"
        )


def _check(model: PreTrainedModel, folder: Path, rule: LengthRule) -> None:
    import torch

    if (folder / "tokenizer.json").is_file():  # a start of training has none of its own
        check_tokens(folder, model.get_input_embeddings().weight.shape[0])
    check_positions(folder, usable_positions(model), "train.max_tokens", rule.max_tokens)
    for name, parameter in model.named_parameters():
        if not torch.isfinite(parameter).all():
            raise InputError(f"{folder}: weight {name} holds NaN or infinity; the model is damaged")
