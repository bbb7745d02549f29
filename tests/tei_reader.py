"""text-embeddings-inference (TEI) as a validator of an export folder: what its router and its two back ends
ask of the files, from its sources (huggingface/text-embeddings-inference, github.com, release 1.7 and files
before and after it; the commit stands where it was told). TEI itself needs Rust and Docker images and is
not run here.

Its CPU image holds both back ends, ONNX first, and falls back to candle (Dockerfile; backends/src/lib.rs
`init_backend`); its GPU images hold candle alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch
from tokenizers import Encoding, Tokenizer
from transformers import AutoConfig, AutoModelForSequenceClassification

from classifier_tensors import (
    Config,
    bert_body,
    bert_head,
    deberta,
    distilbert,
    modernbert,
    roberta_head,
)
from server_demands import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    RefusedError,
    Shapes,
    demand_choice,
    demand_keys,
    demand_map,
    demand_tensors,
    read_object,
)

CONFIG = "config.json"
ROBERTAS = ("roberta", "xlm-roberta", "camembert")
ACTIVATIONS = ("gelu", "relu", "silu", "swiglu")  # backends/candle/src/layers/linear.rs (07279c8b), HiddenAct
_BERT_KEYS = {
    **dict.fromkeys(("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads"), COUNT),
    **dict.fromkeys(("intermediate_size", "max_position_embeddings", "type_vocab_size"), COUNT),
    **dict.fromkeys(("hidden_dropout_prob", "initializer_range", "layer_norm_eps"), NUMBER),
    "hidden_act": TEXT,
    "pad_token_id": COUNT,
}


@dataclass(frozen=True)
class Router:
    """What the router makes of the folder before a back end starts."""

    kind: str
    """`reranker` or `classifier`."""
    labels: int
    max_input_length: int
    position_offset: int
    config: dict[str, Any]
    tokenizer: Tokenizer

    def encode(self, query: str, passage: str, *, truncate: bool = False) -> Encoding:
        """core/src/tokenization.rs (080c9f04), `encode_input`: the tokenizer's own pair, the longer side cut
        first where `truncate` is set, an error where it is not."""
        self.tokenizer.no_truncation()
        if truncate:
            self.tokenizer.enable_truncation(self.max_input_length, strategy="longest_first")
        found = self.tokenizer.encode(query, passage)
        if len(found.ids) > self.max_input_length:
            raise RefusedError(
                f"inputs must have less than {self.max_input_length} tokens, given {len(found.ids)}"
            )
        return found

    def positions(self, length: int) -> range:
        return range(self.position_offset, self.position_offset + length)


def start_router(folder: Path) -> Router:
    """router/src/lib.rs (009f0677 of the older releases, which demand `max_seq_length`, and a later one)."""
    config = read_object(folder / CONFIG)
    # struct ModelConfig
    needed = {"model_type": TEXT, "max_position_embeddings": COUNT}
    demand_keys(config, CONFIG, needed, {"pad_token_id": COUNT})
    architectures = config.get("architectures")
    if not isinstance(architectures, list) or not all(isinstance(name, str) for name in architectures):
        raise RefusedError(f"{CONFIG}: architectures is no list of strings")
    # fn get_backend_model_type; core/src/infer.rs, `predict` on an embedding model
    if not any(name.endswith("Classification") for name in architectures):
        raise RefusedError(
            f"{CONFIG}: architectures {architectures} name no classifier: model is not a re-ranker model"
        )
    # fn classifier_model_type: both maps, one label is a reranker
    labels = len(demand_map(config, CONFIG, "id2label", TEXT))
    demand_map(config, CONFIG, "label2id", COUNT)
    # `Tokenizer::from_file(...).expect(...)`, `with_padding(None)`
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise RefusedError("tokenizer.json not found, only fast tokenizers are supported")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:
        raise RefusedError(f"tokenizer.json: {error}") from None
    tokenizer.no_padding()
    # struct NewSTConfig: prompts are a map of strings where there are any
    prompts = folder / "config_sentence_transformers.json"
    if prompts.is_file() and (values := read_object(prompts)).get("prompts") is not None:
        demand_map(values, prompts.name, "prompts", TEXT)
    offset = (config.get("pad_token_id") or 0) + 1 if config["model_type"] in ROBERTAS else 0
    length = _max_input_length(folder, config, offset)
    kind = "classifier" if labels > 1 else "reranker"
    return Router(kind, labels, length, offset, config, tokenizer)


def _max_input_length(folder: Path, config: Config, offset: int) -> int:
    """core/src/download.rs, ST_CONFIG_NAMES; struct STConfig of the older releases."""
    for family in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"):
        path = folder / f"sentence_{family}_config.json"
        if path.is_file():
            values = read_object(path)
            demand_keys(values, path.name, {"max_seq_length": COUNT})
            return int(values["max_seq_length"])
    return int(config["max_position_embeddings"]) - offset


def start_candle(folder: Path, router: Router) -> str:
    """backends/candle/src/lib.rs (a28ad28f and a later one), `enum Config`: the model by `model_type`.
    Returns the type of the weights, which candle casts to its own."""
    model = router.config["model_type"]
    if model not in MODELS:
        raise RefusedError(f"{CONFIG}: unknown variant {model}")
    return demand_tensors(folder, MODELS[model](router))


def _bert(router: Router) -> Shapes:
    """backends/candle/src/models/bert.rs (006bfce6): struct BertConfig, BertModel::load, ::load_roberta."""
    config = router.config
    demand_keys(config, CONFIG, _BERT_KEYS, {"classifier_dropout": NUMBER})
    demand_choice(config, CONFIG, "hidden_act", ACTIVATIONS)
    demand_choice(
        {"position_embedding_type": "absolute"} | config, CONFIG, "position_embedding_type", ("absolute",)
    )
    _demand_rows(router, positions=True, types=config["type_vocab_size"])
    if config["model_type"] in ROBERTAS:
        return bert_body(config, "roberta") | roberta_head(config, router.labels)
    return bert_body(config, "bert") | bert_head(config, router.labels)


def _distilbert(router: Router) -> Shapes:
    """backends/candle/src/models/distilbert.rs (22d0e5f7): struct DistilBertConfig, DistilBertModel::load."""
    counts = (
        "vocab_size",
        "dim",
        "n_layers",
        "n_heads",
        "hidden_dim",
        "max_position_embeddings",
        "pad_token_id",
    )
    demand_keys(router.config, CONFIG, dict.fromkeys(counts, COUNT))
    demand_choice(router.config, CONFIG, "activation", ACTIVATIONS)
    _demand_rows(router, positions=True, types=None)
    return distilbert(router.config, router.labels)


def _modernbert(router: Router) -> Shapes:
    """backends/candle/src/models/modernbert.rs (04f5d63e): struct ModernBertConfig, ModernBertModel::load.
    No key of the rotary embedding has a default, so transformers 5's own `rope_parameters` are not
    enough."""
    counts = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    counts += ("max_position_embeddings", "global_attn_every_n_layers", "local_attention")
    counts += ("pad_token_id", "eos_token_id", "bos_token_id", "cls_token_id", "sep_token_id")
    numbers = ("initializer_range", "initializer_cutoff_factor", "norm_eps", "attention_dropout")
    numbers += ("global_rope_theta", "local_rope_theta")
    flags = dict.fromkeys(("norm_bias", "attention_bias"), FLAG)
    config = router.config
    demand_keys(config, CONFIG, {**dict.fromkeys(counts, COUNT), **dict.fromkeys(numbers, NUMBER), **flags})
    for name in ("hidden_activation", "classifier_activation"):
        demand_choice(config, CONFIG, name, ACTIVATIONS)
    demand_choice({"classifier_pooling": "cls"} | config, CONFIG, "classifier_pooling", ("cls", "mean"))
    _demand_rows(router, positions=False, types=None)
    return modernbert(config, router.labels)


def _deberta(router: Router) -> Shapes:
    """backends/candle/src/models/debertav2.rs (later than 1.7): struct DebertaV2Config,
    DebertaV2Model::load."""
    config = router.config
    counts = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    counts += ("max_position_embeddings", "type_vocab_size", "pooler_hidden_size")
    numbers = ("initializer_range", "layer_norm_eps", "max_relative_positions")
    flags = dict.fromkeys(("relative_attention", "position_biased_input"), FLAG)
    demand_keys(config, CONFIG, {**dict.fromkeys(counts, COUNT), **dict.fromkeys(numbers, NUMBER), **flags})
    for name in ("hidden_act", "pooler_hidden_act"):
        demand_choice(config, CONFIG, name, ("gelu", "relu"))
    if not isinstance(config.get("pos_att_type"), (list, str)):
        raise RefusedError(f"{CONFIG}: missing field pos_att_type")
    if config.get("conv_kernel_size"):  # ConvLayer::forward is a `todo!`
        raise RefusedError(f"{CONFIG}: conv_kernel_size is set, and a convolution is not implemented")
    _demand_rows(router, positions=config["position_biased_input"], types=config["type_vocab_size"] or None)
    return deberta(config, router.labels)


MODELS: dict[str, Callable[[Router], Shapes]] = {
    "bert": _bert,
    **dict.fromkeys(ROBERTAS, _bert),
    "distilbert": _distilbert,
    "modernbert": _modernbert,
    "deberta-v2": _deberta,
}


def _demand_rows(router: Router, *, positions: bool, types: int | None) -> None:
    """Each id that the router sends is a row of its table: words, positions up to the longest input,
    segments."""
    config = router.config
    if (words := router.tokenizer.get_vocab_size()) > config["vocab_size"]:
        raise RefusedError(
            f"tokenizer.json: has {words} tokens, the model's vocabulary {config['vocab_size']}"
        )
    last = router.positions(router.max_input_length)[-1]
    if positions and last >= config["max_position_embeddings"]:
        raise RefusedError(f"{CONFIG}: position {last} is asked for, of {config['max_position_embeddings']}")
    if types is not None and (most := max(router.encode("a", "b").type_ids)) >= types:
        raise RefusedError(f"tokenizer.json: segment {most} is asked for, of {types}")


def start_onnx(folder: Path, router: Router) -> onnxruntime.InferenceSession:
    """backends/ort/src/lib.rs (04a02158): OrtBackend::new and ::predict."""
    # struct Config
    demand_keys(router.config, CONFIG, {"hidden_size": COUNT, "num_hidden_layers": COUNT})
    side = folder / "tokenizer_config.json"
    if side.is_file():  # struct TokenizerConfig
        demand_choice(
            {"padding_side": "right"} | read_object(side), side.name, "padding_side", ("left", "right")
        )
    path = folder / "model.onnx" if (folder / "model.onnx").is_file() else folder / "onnx" / "model.onnx"
    if not path.is_file():
        raise RefusedError("onnx/model.onnx: does not exist")
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    # fn prepare_ort_inputs: what it can feed, in int64
    for given in session.get_inputs():
        if given.name not in ("input_ids", "attention_mask", "token_type_ids", "position_ids"):
            raise RefusedError(f"{path.name}: input {given.name} is given nothing")
        if given.type != "tensor(int64)":
            raise RefusedError(f"{path.name}: input {given.name} is {given.type}, int64 is given")
    # fn predict: `outputs["logits"].try_extract_array::<f32>()`
    outputs = {given.name: given.type for given in session.get_outputs()}
    if outputs.get("logits") != "tensor(float)":
        raise RefusedError(f"{path.name}: logits in float32 are read, the outputs are {outputs}")
    return session


def onnx_logits(
    session: onnxruntime.InferenceSession, router: Router, pairs: Sequence[tuple[str, str]]
) -> list[float]:
    """As the ONNX back end computes them: fn prepare_inputs, padded on the right, 8 pairs at most a batch."""
    logits: list[float] = []
    for start in range(0, len(pairs), 8):
        batch = [router.encode(*pair) for pair in pairs[start : start + 8]]
        shape = (len(batch), max(len(row.ids) for row in batch))
        values = {
            "input_ids": np.full(shape, router.config.get("pad_token_id") or 0, np.int64),
            "attention_mask": np.zeros(shape, np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
            "position_ids": np.broadcast_to(np.arange(shape[1]), shape),
        }
        for number, row in enumerate(batch):
            values["input_ids"][number, : len(row.ids)] = row.ids
            values["attention_mask"][number, : len(row.ids)] = 1
            values["token_type_ids"][number, : len(row.ids)] = row.type_ids
        names = [given.name for given in session.get_inputs()]
        (found,) = session.run(["logits"], {name: values[name] for name in names})
        logits += [float(row[0]) for row in found]
    return logits


def candle_logits(folder: Path, router: Router, pairs: Sequence[tuple[str, str]]) -> list[float]:
    """As the candle back end computes them in float32: GELU by its tanh approximation (linear.rs,
    `x.gelu()`), the router's segments and positions where the family has them, [CLS] or what
    `classifier_pooling` says."""
    config = AutoConfig.from_pretrained(folder, local_files_only=True)
    for name in (
        "hidden_act",
        "activation",
        "hidden_activation",
        "classifier_activation",
        "pooler_hidden_act",
    ):
        if getattr(config, name, None) == "gelu":
            setattr(config, name, "gelu_pytorch_tanh")
    model = AutoModelForSequenceClassification.from_pretrained(
        folder, config=config, local_files_only=True
    ).eval()
    with_positions = router.config["model_type"] in ("bert", *ROBERTAS)
    logits = []
    for query, passage in pairs:
        row = router.encode(query, passage)
        given = {"input_ids": torch.tensor([row.ids])}
        if with_positions:
            given["token_type_ids"] = torch.tensor([row.type_ids])
            given["position_ids"] = torch.tensor([list(router.positions(len(row.ids)))])
        with torch.no_grad():
            logits.append(float(model(**given).logits[0, 0]))
    return logits
