"""The Hugging Face folder: weights, tokenizer, and the files that the serving systems read."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from crosstune.files import read_json, write_json
from crosstune.progress import say
from crosstune.serve.contents import is_known
from crosstune.serve.pairs import LengthRule

ACTIVATION = "torch.nn.modules.activation.Sigmoid"
"""Servers read it from `config.json` or from `config_sentence_transformers.json`: both hold the same."""

STALE = ("sbert_ce_default_activation_function", "sbert_ce_default_activation_fn", "problem_type")
"""Keys of a base that readers take in the place of our activation: the first two vLLM and
sentence-transformers, the last vLLM and transformers' pipeline, which give the raw logit for
`regression`."""

NAMES: dict[str, dict[str, tuple[str, ...]]] = {
    "modernbert": {
        "global_rope_theta": ("rope_parameters", "full_attention", "rope_theta"),
        "local_rope_theta": ("rope_parameters", "sliding_attention", "rope_theta"),
    },
    "distilbert": {"hidden_size": ("dim",), "num_hidden_layers": ("n_layers",)},
}
"""Values of `config.json` by the names that other readers know them by. Without the two thetas, which
transformers 5 moved, text-embeddings-inference refuses a ModernBERT and transformers 4 takes its defaults
for them; without the two sizes the former's ONNX back end refuses a DistilBERT."""

NEW_GENERIC, GENERIC = "TokenizersBackend", "PreTrainedTokenizerFast"
"""One class with two names: transformers 5 writes the first and reads both, 4 knows the second alone, and
servers that need 4 (Infinity, optimum-onnx) would refuse the folder."""

SENTENCE_TRANSFORMERS = "5.4.0"
"""The first version with this layout of `modules.json`; later ones read it as well."""


def write_hf_folder(model_folder: Path, rule: LengthRule, inputs: Sequence[str], out: Path) -> None:
    """Copies the trained folder to `out` and adds what each reader needs.

    One label with both label maps and an activation (text-embeddings-inference, vLLM, Infinity,
    sentence-transformers), `max_seq_length` with `do_lower_case` (text-embeddings-inference refuses a
    folder without), and in the tokenizer's settings the length and the model's own `inputs`: without
    them a generic tokenizer class gives no segment ids.
    """
    for path in sorted(model_folder.iterdir()):
        if is_known(path.name):
            shutil.copyfile(path, out / path.name)
        else:
            say(f"  left out, since no export holds such a file: {path}")
    _drop(out / "config.json", *STALE)
    _edit(
        out / "config.json",
        **_known_elsewhere(read_json(out / "config.json")),
        id2label={"0": "LABEL_0"},
        label2id={"LABEL_0": 0},
        sentence_transformers={"version": SENTENCE_TRANSFORMERS, "activation_fn": ACTIVATION},
        crosstune={name: value for name, value in rule.as_json().items() if name != "style"},
    )
    _limit_tokenizer(out / "tokenizer.json")
    _edit(out / "tokenizer_config.json", model_max_length=rule.max_tokens, model_input_names=list(inputs))
    if read_json(out / "tokenizer_config.json").get("tokenizer_class") == NEW_GENERIC:
        _edit(out / "tokenizer_config.json", tokenizer_class=GENERIC)
    write_json(
        out / "modules.json",
        [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.base.modules.Transformer"}],
    )
    write_json(
        out / "config_sentence_transformers.json",
        {
            "__version__": {"sentence_transformers": SENTENCE_TRANSFORMERS},
            "model_type": "CrossEncoder",
            "activation_fn": ACTIVATION,
            "prompts": {},
            "default_prompt_name": None,
        },
    )
    write_json(
        out / "sentence_bert_config.json",
        {
            "max_seq_length": rule.max_tokens,
            "do_lower_case": False,
            "transformer_task": "sequence-classification",
            "modality_config": {"text": {"method": "forward", "method_output_name": "logits"}},
            "module_output_name": "scores",
        },
    )


def _known_elsewhere(config: Mapping[str, Any]) -> dict[str, Any]:
    """What `NAMES` adds to this configuration."""
    added = {}
    for name, keys in NAMES.get(config["model_type"], {}).items():
        value: Any = config
        for key in keys:
            value = value.get(key, {})
        if value != {}:
            added[name] = value
    return added


def _drop(path: Path, *names: str) -> None:
    write_json(path, {name: value for name, value in read_json(path).items() if name not in names})


def _edit(path: Path, **values: Any) -> None:
    write_json(path, read_json(path) | values)


def _limit_tokenizer(path: Path) -> None:
    """Truncation and padding are the caller's: a rule that a base left in the file would win over ours."""
    tokenizer = read_json(path)
    tokenizer["truncation"] = tokenizer["padding"] = None
    path.write_text(json.dumps(tokenizer, ensure_ascii=False), encoding="utf-8")
