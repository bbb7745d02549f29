"""The tensors that a classification model of each family is loaded from, by name and shape: those that the
models of text-embeddings-inference and of vLLM ask for (`tei_reader.py` and `vllm_reader.py` name the
sources)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from server_demands import Shapes

Config = Mapping[str, Any]


def linear(name: str, out: int, size: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (out, size)} | ({f"{name}.bias": (out,)} if bias else {})


def norm(name: str, size: int, *, bias: bool = True) -> Shapes:
    return {f"{name}.weight": (size,)} | ({f"{name}.bias": (size,)} if bias else {})


def table(name: str, rows: int, size: int) -> Shapes:
    return {f"{name}.weight": (rows, size)}


def bert_body(config: Config, prefix: str) -> Shapes:
    """Also RoBERTa's and XLM-R's, whose `prefix` is `roberta`."""
    size, wide = config["hidden_size"], config["intermediate_size"]
    at = f"{prefix}.embeddings"
    wanted = (
        table(f"{at}.word_embeddings", config["vocab_size"], size)
        | table(f"{at}.position_embeddings", config["max_position_embeddings"], size)
        | table(f"{at}.token_type_embeddings", config["type_vocab_size"], size)
        | norm(f"{at}.LayerNorm", size)
    )
    for number in range(config["num_hidden_layers"]):
        at = f"{prefix}.encoder.layer.{number}"
        for part in ("self.query", "self.key", "self.value", "output.dense"):
            wanted |= linear(f"{at}.attention.{part}", size, size)
        wanted |= norm(f"{at}.attention.output.LayerNorm", size)
        wanted |= linear(f"{at}.intermediate.dense", wide, size) | linear(f"{at}.output.dense", size, wide)
        wanted |= norm(f"{at}.output.LayerNorm", size)
    return wanted


def bert_head(config: Config, labels: int) -> Shapes:
    return linear("classifier", labels, config["hidden_size"])


def bert_pooler(config: Config) -> Shapes:
    return linear("bert.pooler.dense", config["hidden_size"], config["hidden_size"])


def roberta_head(config: Config, labels: int) -> Shapes:
    size = config["hidden_size"]
    return linear("classifier.dense", size, size) | linear("classifier.out_proj", labels, size)


def distilbert(config: Config, labels: int) -> Shapes:
    size, wide = config["dim"], config["hidden_dim"]
    wanted = (
        table("distilbert.embeddings.word_embeddings", config["vocab_size"], size)
        | table("distilbert.embeddings.position_embeddings", config["max_position_embeddings"], size)
        | norm("distilbert.embeddings.LayerNorm", size)
        | linear("pre_classifier", size, size)
        | linear("classifier", labels, size)
    )
    for number in range(config["n_layers"]):
        at = f"distilbert.transformer.layer.{number}"
        for part in ("q_lin", "k_lin", "v_lin", "out_lin"):
            wanted |= linear(f"{at}.attention.{part}", size, size)
        wanted |= linear(f"{at}.ffn.lin1", wide, size) | linear(f"{at}.ffn.lin2", size, wide)
        wanted |= norm(f"{at}.sa_layer_norm", size) | norm(f"{at}.output_layer_norm", size)
    return wanted


def modernbert(config: Config, labels: int) -> Shapes:
    """Layer norms and inner maps without biases, as the family was published."""
    size, wide = config["hidden_size"], config["intermediate_size"]
    wanted = (
        table("model.embeddings.tok_embeddings", config["vocab_size"], size)
        | norm("model.embeddings.norm", size, bias=False)
        | norm("model.final_norm", size, bias=False)
        | linear("head.dense", size, size, bias=False)
        | norm("head.norm", size, bias=False)
        | linear("classifier", labels, size)
    )
    for number in range(config["num_hidden_layers"]):
        at = f"model.layers.{number}"
        wanted |= {} if number == 0 else norm(f"{at}.attn_norm", size, bias=False)
        wanted |= linear(f"{at}.attn.Wqkv", 3 * size, size, bias=False)
        wanted |= linear(f"{at}.attn.Wo", size, size, bias=False) | norm(f"{at}.mlp_norm", size, bias=False)
        wanted |= linear(f"{at}.mlp.Wi", 2 * wide, size, bias=False)
        wanted |= linear(f"{at}.mlp.Wo", size, wide, bias=False)
    return wanted


def deberta(config: Config, labels: int) -> Shapes:
    size, wide = config["hidden_size"], config["intermediate_size"]
    narrow, pooled = config.get("embedding_size") or size, config["pooler_hidden_size"]
    at = "deberta.embeddings"
    wanted = table(f"{at}.word_embeddings", config["vocab_size"], narrow) | norm(f"{at}.LayerNorm", size)
    if config["position_biased_input"]:
        wanted |= table(f"{at}.position_embeddings", config["max_position_embeddings"], narrow)
    if config["type_vocab_size"]:
        wanted |= table(f"{at}.token_type_embeddings", config["type_vocab_size"], size)
    if narrow != size:
        wanted |= linear(f"{at}.embed_proj", size, narrow, bias=False)
    if config["relative_attention"]:
        sizes = (config.get("position_buckets") or 0, config["max_relative_positions"])
        reach = next((size for size in sizes if size > 0), config["max_position_embeddings"])
        wanted |= table("deberta.encoder.rel_embeddings", 2 * reach, size)
    if config.get("norm_rel_ebd") == "layer_norm":
        wanted |= norm("deberta.encoder.LayerNorm", size)
    for number in range(config["num_hidden_layers"]):
        at = f"deberta.encoder.layer.{number}"
        parts = ["self.query_proj", "self.key_proj", "self.value_proj", "output.dense"]
        if config["relative_attention"] and not config.get("share_att_key"):
            own = {"c2p": "self.pos_key_proj", "p2c": "self.pos_query_proj"}
            parts += [own[kind] for kind in config["pos_att_type"]]
        for part in parts:
            wanted |= linear(f"{at}.attention.{part}", size, size)
        wanted |= norm(f"{at}.attention.output.LayerNorm", size)
        wanted |= linear(f"{at}.intermediate.dense", wide, size) | linear(f"{at}.output.dense", size, wide)
        wanted |= norm(f"{at}.output.LayerNorm", size)
    return wanted | linear("pooler.dense", pooled, pooled) | linear("classifier", labels, pooled)
