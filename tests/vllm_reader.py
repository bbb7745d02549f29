"""vLLM as a validator of an export folder: what it reads of one before it scores pairs, from its sources
(vllm-project/vllm, github.com; releases before and after 0.19, the commit stands where a stored file told
it). vLLM itself needs a GPU's packages and is not run here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from transformers import AutoConfig, AutoTokenizer

from classifier_tensors import bert_body, bert_head, bert_pooler, modernbert, roberta_head
from server_demands import RefusedError, Shapes, demand_tensors, read_object

CONFIG = "config.json"
PLACE = "torch.nn.modules."


@dataclass(frozen=True)
class Started:
    architecture: str
    max_model_len: int
    activation: type[torch.nn.Module]
    weights: str
    """The type of the weights. vLLM computes those of float32 in float16 unless `--dtype float32` says
    otherwise (vllm/config/model.py, `_resolve_auto_dtype`)."""
    tokenizer: Any

    def encode(self, query: str, passage: str) -> tuple[list[int], list[int]]:
        """Ids and segments: the pair by the Hugging Face tokenizer, and zeros where it gives no segments
        (vllm/model_executor/models/bert.py, `_encode_token_type_ids`)."""
        found = self.tokenizer(text=query, text_pair=passage)
        return found["input_ids"], found.get("token_type_ids", [0] * len(found["input_ids"]))


def start(folder: Path) -> Started:
    config = read_object(folder / CONFIG)
    read = AutoConfig.from_pretrained(folder, local_files_only=True)
    architecture = next((name for name in read.architectures or [] if name in MODELS), None)
    if architecture is None:
        raise RefusedError(f"{CONFIG}: vLLM has no model of its own for {read.architectures}")
    # tests/entrypoints and the runner's get_supported_pooling_tasks: score and rerank need one label
    if read.num_labels != 1:
        raise RefusedError(
            f"{CONFIG}: Scoring API is only enabled for num_labels == 1, here {read.num_labels}"
        )
    # Releases that pin transformers 4 do not know the name that transformers 5 gives its generic tokenizer.
    named = read_object(folder / "tokenizer_config.json").get("tokenizer_class")
    if named == "TokenizersBackend":
        raise RefusedError(f"tokenizer_config.json: tokenizer_class {named} is unknown to transformers 4")
    values = read.to_dict() | {"num_labels": read.num_labels}
    return Started(
        architecture,
        _max_model_len(folder, read),
        _activation(config),
        _weights(folder, MODELS[architecture](values), architecture),
        AutoTokenizer.from_pretrained(folder, local_files_only=True),
    )


def _activation(config: dict[str, Any]) -> type[torch.nn.Module]:
    """vllm/model_executor/layers/pooler/activations.py: `get_act_fn` of 0.19 and later reads `problem_type`
    before the activation, `get_cross_encoder_act_fn` before it (1c713679) does not, and
    `get_cross_encoder_activation_function` of the oldest knows `sbert_ce_default_activation_function`
    alone. Without any of them it is the sigmoid. It is an error here where they would not agree."""
    problems = {"regression": torch.nn.Identity, "multi_label_classification": torch.nn.Sigmoid}
    named = config.get("sentence_transformers", {}).get("activation_fn")
    old = config.get("sbert_ce_default_activation_function")
    found = {
        f"problem_type {problem}": problems.get(problem, torch.nn.Sigmoid)
        for problem in [config.get("problem_type")]
        if problem is not None
    }
    found |= {name: _module(name) for name in (named, old) if name is not None}
    if len(set(found.values())) > 1:
        raise RefusedError(f"{CONFIG}: releases differ in the activation: {', '.join(found)}")
    return next(iter(found.values()), torch.nn.Sigmoid)


def _module(name: str) -> type[torch.nn.Module]:
    """`resolve_obj_by_qualname`, after its assertion on the name's beginning."""
    if not name.startswith(PLACE):
        raise RefusedError(f"{CONFIG}: activation {name} is outside of {PLACE[:-1]}")
    module: object = torch
    for part in name.split(".")[1:]:
        module = getattr(module, part, None)
    if not isinstance(module, type):
        raise RefusedError(f"{CONFIG}: activation {name} cannot be imported")
    return module


def _max_model_len(folder: Path, read: Any) -> int:
    """vllm/config/model.py, `_get_and_verify_max_len`; vllm/transformers_utils/config.py,
    `get_sentence_transformer_tokenizer_config`: the file counts only with both of its keys."""
    length = min(
        read.max_position_embeddings,
        read_object(folder / "tokenizer_config.json").get("model_max_length", read.max_position_embeddings),
    )
    path = folder / "sentence_bert_config.json"
    if path.is_file() and {"max_seq_length", "do_lower_case"} <= (found := read_object(path)).keys():
        length = found["max_seq_length"]
    # vllm/model_executor/models/roberta.py, `replace_roberta_positions`: they start behind the padding's
    first = read.pad_token_id + 1 if "roberta" in read.model_type else 0
    if length + first > read.max_position_embeddings:
        raise RefusedError(
            f"{CONFIG}: position {length + first - 1} is asked for, of {read.max_position_embeddings}"
        )
    return int(length)


def _weights(folder: Path, wanted: Shapes, architecture: str) -> str:
    """vllm/model_executor/model_loader: a parameter without a tensor stops the start, and so does a tensor
    that belongs to no module of the model (vllm/model_executor/models/utils.py, AutoWeightsLoader). What
    lies inside the BERT body and is no parameter is passed over (models/bert.py, `_load_weights`), and so
    is a stray tensor by ModernBERT's own loader, where this is the stricter one."""
    found = demand_tensors(folder, wanted)
    with safe_open(folder / "model.safetensors", framework="np") as file:
        names = set(file.keys())
    modules = {name.split(".")[0] for name in wanted}
    if stray := sorted(name for name in names if name.split(".")[0] not in modules):
        raise RefusedError(
            f"model.safetensors: there is no module or parameter named {stray[0]} in {architecture}"
        )
    return found


def _bert(values: dict[str, Any]) -> Shapes:
    """vllm/model_executor/models/bert.py (002b4cf8): BertPoolingModel with its pooler, and a linear
    classifier."""
    if values.get("position_embedding_type", "absolute") != "absolute":
        raise RefusedError(f"{CONFIG}: only absolute position_embedding_type is supported")
    return bert_body(values, "bert") | bert_pooler(values) | bert_head(values, values["num_labels"])


def _roberta(values: dict[str, Any]) -> Shapes:
    """vllm/model_executor/models/roberta.py (002b4cf8): BertModel, no pooler, RobertaClassificationHead."""
    if values.get("position_embedding_type", "absolute") != "absolute":
        raise RefusedError(f"{CONFIG}: only absolute position_embedding_type is supported")
    return bert_body(values, "roberta") | roberta_head(values, values["num_labels"])


def _modernbert(values: dict[str, Any]) -> Shapes:
    """vllm/model_executor/models/modernbert.py (002b4cf8): the head's weights go into the pooler; its GELU
    is fixed."""
    for name in ("hidden_activation", "classifier_activation"):
        if values[name] != "gelu":
            raise RefusedError(f"{CONFIG}: {name} is {values[name]}, and nn.GELU is computed")
    return modernbert(values, values["num_labels"])


# vllm/model_executor/models/registry.py (0002bff0): _CROSS_ENCODER_MODELS, later renamed
MODELS: dict[str, Callable[[dict[str, Any]], Shapes]] = {
    "BertForSequenceClassification": _bert,
    "RobertaForSequenceClassification": _roberta,
    "XLMRobertaForSequenceClassification": _roberta,
    "ModernBertForSequenceClassification": _modernbert,
}
