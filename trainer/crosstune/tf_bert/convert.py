"""From a checkpoint of google-research/bert to a Hugging Face folder with the same weights."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from crosstune.cache import cached_folder, content_key
from crosstune.errors import InputError
from crosstune.files import read_json, read_lines, sha256_file, write_json
from crosstune.tf_bert.bundle import Bundle, open_bundle

if TYPE_CHECKING:
    import numpy as np

CONFIG, VOCABULARY = "bert_config.json", "vocab.txt"
HEAD = {"output_weights": "classifier.weight", "output_bias": "classifier.bias"}
NOT_WEIGHTS = re.compile(r"/adam_[mv]$|^global_step$|^cls/")
"""The optimizer's state, and the heads of pre-training."""
_PARTS = (
    (r"^bert/(.*_embeddings)$", r"bert/\1/weight"),
    (r"/layer_(\d+)/", r"/layer/\1/"),
    (r"LayerNorm/gamma$", "LayerNorm/weight"),
    (r"LayerNorm/beta$", "LayerNorm/bias"),
    (r"/kernel$", "/weight"),
)
_SIZES = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")


def find_checkpoint(spec: Path) -> Path | None:
    """The prefix of the checkpoint that a path means: the prefix itself, or a folder with one checkpoint.

    None where there is none. Raises `InputError` for a folder with several.
    """
    if spec.with_name(f"{spec.name}.index").is_file():
        return spec
    found = sorted(spec.glob("*.index")) if spec.is_dir() else []
    if len(found) > 1:
        names = ", ".join(path.stem for path in found)
        raise InputError(
            f"{spec}: holds several TensorFlow checkpoints ({names}); name one: tf:{spec / found[-1].stem}"
        )
    return found[0].with_suffix("") if found else None


def hugging_face_folder(prefix: Path) -> Path:
    """The folder in crosstune's cache with the checkpoint's weights, config and tokenizer; made once.

    `bert_config.json` and `vocab.txt` lie beside the checkpoint. A fine-tuned checkpoint with
    `output_weights` and `output_bias` keeps its head of two labels. Raises `InputError` for a file that is
    missing or damaged, and, with its name, for a tensor that is missing, of another shape or unknown.
    """
    folder = prefix.parent
    for path in (folder / CONFIG, folder / VOCABULARY):
        if not path.is_file():
            raise InputError(
                f"{path}: no such file; {CONFIG} and {VOCABULARY} of the checkpoint's BERT lie beside it"
            )
    files = [prefix.with_name(f"{prefix.name}.index"), *sorted(folder.glob(f"{prefix.name}.data-*"))]
    key = content_key([sha256_file(path) for path in (*files, folder / CONFIG, folder / VOCABULARY)])
    return cached_folder("tf_bert", key, partial(_convert, prefix))


def _convert(prefix: Path, out: Path) -> None:
    from safetensors.numpy import save_file

    config = _config(prefix.parent / CONFIG)
    bundle = open_bundle(prefix)
    names = _weights(bundle)
    tensors = {theirs: _tensor(bundle, ours) for theirs, ours in names.items()}
    headed = HEAD["output_weights"] in tensors
    _check(prefix, tensors, config, headed=headed)
    if not headed:  # the Hub's base models have no prefix before the encoder's names
        tensors = {name.removeprefix("bert."): tensor for name, tensor in tensors.items()}
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    architecture = "BertForSequenceClassification" if headed else "BertModel"
    write_json(out / "config.json", {**config, "model_type": "bert", "architectures": [architecture]})
    _tokenizer(
        prefix.parent / VOCABULARY, int(config["vocab_size"]), int(config["max_position_embeddings"]), out
    )


def _config(path: Path) -> dict[str, Any]:
    config = read_json(path)
    for name in (*_SIZES, "max_position_embeddings", "type_vocab_size"):
        if not isinstance(config.get(name), int):
            raise InputError(f"{path}: {name} is {config.get(name)!r}; a number was expected, as in {CONFIG}")
    return config


def _weights(bundle: Bundle) -> dict[str, str]:
    """Hugging Face's name -> the checkpoint's."""
    names = {}
    for name in bundle.entries:
        if NOT_WEIGHTS.search(name):
            continue
        if not name.startswith("bert/") and name not in HEAD:
            raise InputError(
                f"{bundle.prefix}.index: tensor {name} is none of google-research/bert's; a BERT, or one "
                "fine-tuned with output_weights and output_bias, was expected"
            )
        theirs = HEAD.get(name, name)
        for pattern, replacement in _PARTS:
            theirs = re.sub(pattern, replacement, theirs)
        names[theirs.replace("/", ".")] = name
    return names


def _tensor(bundle: Bundle, name: str) -> np.ndarray:
    """TensorFlow's dense layers multiply from the other side: their kernels are turned."""
    import numpy as np

    tensor = bundle.tensor(name)
    return np.ascontiguousarray(tensor.T if name.endswith("/kernel") else tensor)


def _check(prefix: Path, tensors: dict[str, np.ndarray], config: dict[str, Any], *, headed: bool) -> None:
    """Raises `InputError` unless the tensors are those of the configured BERT, each of its shape."""
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    with torch.device("meta"):
        model = BertForSequenceClassification(BertConfig(**config, num_labels=2))
    expected = {name: tuple(weight.shape) for name, weight in model.named_parameters()}
    if not headed:
        expected = {name: shape for name, shape in expected.items() if name.startswith("bert.")}
    for name, shape in expected.items():
        if name not in tensors:
            raise InputError(f"{prefix}.index: the tensor of {name} is missing; {CONFIG} asks for it")
        if tensors[name].shape != shape:
            raise InputError(
                f"{prefix}.index: the tensor of {name} has the shape {tensors[name].shape}, {CONFIG} asks "
                f"for {shape}"
            )
    if further := tensors.keys() - expected.keys():
        raise InputError(
            f"{prefix}.index: {CONFIG} knows no tensor of {min(further)}; is it another model's?"
        )


def _tokenizer(vocabulary: Path, size: int, positions: int, out: Path) -> None:
    """BERT's own; it keeps upper case where the vocabulary has any."""
    from transformers import BertTokenizer

    pieces = [line for _, line in read_lines(vocabulary)]
    if len(pieces) != size:
        raise InputError(f"{vocabulary}: has {len(pieces)} pieces, {CONFIG} says {size}")
    cased = any(re.search("^[^[]*[A-Z]", piece) for piece in pieces)
    tokenizer = BertTokenizer(
        vocab={piece: number for number, piece in enumerate(pieces)},
        do_lower_case=not cased,
        model_max_length=positions,
    )
    tokenizer.save_pretrained(out)
    tokenizer_file = json.loads((out / "tokenizer.json").read_text(encoding="utf-8"))
    if len(tokenizer_file["model"]["vocab"]) != size:
        raise InputError(
            f"{vocabulary}: a piece stands there twice, or [PAD], [UNK], [CLS] or [SEP] is missing"
        )
