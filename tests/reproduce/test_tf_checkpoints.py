"""Google's TensorFlow checkpoints: what the real TensorFlow wrote is read bit for bit and scores alike."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import erf

from crosstune.errors import InputError
from crosstune.models import resolve_model
from crosstune.serve.pairs import LengthRule, PairEncoder
from crosstune.tf_bert.bundle import open_bundle
from crosstune.train.model import load_cross_encoder, load_two_labels
from crosstune.train.scoring import score_pairs

FOLDER = Path(__file__).parent / "tf_checkpoints"
PREFIXES = {"pretrained": "bert_model.ckpt", "finetuned": "model.ckpt-12"}
TRUTH = json.loads((FOLDER / "tensors.json").read_text())
RULE = LengthRule(48, 16, "nogueira_cho")
PAIRS = [
    ("open file", passage)
    for passage in ("read file", "sort list 3", "x", "path error token", "open file " * 30)
]

Array = NDArray[np.float64]


@pytest.mark.parametrize("name", PREFIXES)
def test_every_tensor_is_the_one_that_tensorflow_reads(name: str) -> None:
    bundle = open_bundle(FOLDER / name / PREFIXES[name])
    assert {key: list(entry.shape) for key, entry in bundle.entries.items()} == {
        key: row["shape"] for key, row in TRUTH[name].items()
    }
    for key in bundle.entries.keys() - {"global_step"}:
        assert hashlib.sha256(bundle.tensor(key).tobytes()).hexdigest() == TRUTH[name][key]["sha256"], key


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(FOLDER / "finetuned", tmp_path / "bert"))


def _norm(weights: dict[str, Array], name: str, x: Array) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    return scaled * weights[f"{name}/LayerNorm/gamma"] + weights[f"{name}/LayerNorm/beta"]


def _dense(weights: dict[str, Array], name: str, x: Array) -> Array:
    return x @ weights[f"{name}/kernel"] + weights[f"{name}/bias"]


def _logits(weights: dict[str, Array], ids: list[int], types: list[int], heads: int, layers: int) -> Array:
    """google-research/bert's modeling.py for one pair, under the checkpoint's own names."""
    name = "bert/embeddings"
    x = weights[f"{name}/word_embeddings"][ids] + weights[f"{name}/token_type_embeddings"][types]
    x = _norm(weights, name, x + weights[f"{name}/position_embeddings"][: len(ids)])
    for number in range(layers):
        name = f"bert/encoder/layer_{number}"
        query, key, value = (
            _dense(weights, f"{name}/attention/self/{part}", x).reshape(len(ids), heads, -1).swapaxes(0, 1)
            for part in ("query", "key", "value")
        )
        scores = np.exp(query @ key.swapaxes(1, 2) / np.sqrt(query.shape[-1]))
        context = (scores / scores.sum(-1, keepdims=True) @ value).swapaxes(0, 1).reshape(len(ids), -1)
        attended = _dense(weights, f"{name}/attention/output/dense", context)
        x = _norm(weights, f"{name}/attention/output", x + attended)
        inner = _dense(weights, f"{name}/intermediate/dense", x)
        inner = inner * 0.5 * (1 + erf(inner / np.sqrt(2)))
        x = _norm(weights, f"{name}/output", x + _dense(weights, f"{name}/output/dense", inner))
    pooled = np.tanh(_dense(weights, "bert/pooler/dense", x[0]))
    return pooled @ weights["output_weights"].T + weights["output_bias"]


def test_a_fine_tuned_checkpoint_scores_and_orders_as_the_originals_formulas() -> None:
    prefix = FOLDER / "finetuned" / PREFIXES["finetuned"]
    bundle = open_bundle(prefix)
    weights = {key: bundle.tensor(key).astype(float) for key in bundle.entries if key != "global_step"}
    config = json.loads((prefix.parent / "bert_config.json").read_text())
    folder = resolve_model(f"tf:{prefix}")
    encoder = PairEncoder.from_folder(folder, RULE)
    sizes = (config["num_attention_heads"], config["num_hidden_layers"])
    pairs = encoder.encode(PAIRS)
    expected = np.array([_logits(weights, pair.input_ids, pair.token_type_ids, *sizes) for pair in pairs])
    found = score_pairs(load_cross_encoder(folder, RULE, 0), encoder, PAIRS)
    log_odds = expected[:, 1] - expected[:, 0]
    assert np.allclose(found, log_odds, atol=1e-5)
    assert list(np.argsort(found)) == list(np.argsort(log_odds))
    two = load_two_labels(folder, RULE, 0, dropout=0.0, head_std=0.02).eval()
    with torch.no_grad():
        logits = two(
            torch.tensor([pairs[0].input_ids]), token_type_ids=torch.tensor([pairs[0].token_type_ids])
        ).logits
    assert np.allclose(logits[0].numpy(), expected[0], atol=1e-5), "the trained head is kept"


def test_a_folder_alone_and_its_prefix_name_the_same_model_once() -> None:
    folder = FOLDER / "pretrained"
    made = {resolve_model(str(name)) for name in (folder, f"tf:{folder}", f"tf:{folder}/bert_model.ckpt")}
    assert len(made) == 1
    (only,) = made
    config = json.loads((only / "config.json").read_text())
    assert (config["architectures"], config["model_type"]) == (["BertModel"], "bert")
    assert json.loads((only / "tokenizer_config.json").read_text())["do_lower_case"] is True


def _flip(path: Path, place: int) -> None:
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def _start(copy: Path, tensor: str) -> int:
    return open_bundle(copy / PREFIXES["finetuned"]).entries[tensor].start


def _edit(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


DATA, INDEX = "model.ckpt-12.data-00000-of-00001", "model.ckpt-12.index"
KERNEL = "bert/encoder/layer_1/output/dense/kernel"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda b: _flip(b / DATA, _start(b, KERNEL) + 5), rf"{DATA}: tensor {KERNEL} does not match its"),
        (lambda b: (b / DATA).write_bytes((b / DATA).read_bytes()[:-4]), rf"{DATA}: ends inside tensor \w+"),
        (lambda b: (b / DATA).unlink(), rf"{DATA}: no such file"),
        (lambda b: _flip(b / INDEX, 40), rf"{INDEX}: the block at byte 0 does not match its checksum"),
        (lambda b: (b / INDEX).write_bytes((b / INDEX).read_bytes()[:-9]), rf"{INDEX}: is no index of a"),
        (lambda b: (b / "vocab.txt").unlink(), r"vocab\.txt: no such file"),
        (lambda b: (b / "vocab.txt").write_text("[PAD]\n[UNK]\n"), r"vocab\.txt: has 2 pieces, bert_config"),
        (lambda b: _edit(b / "bert_config.json", hidden_size="8"), r"bert_config\.json: hidden_size is '8'"),
        (
            lambda b: _edit(b / "bert_config.json", num_hidden_layers=3),
            r"bert\.encoder\.layer\.2\.\S+ is missing",
        ),
        (
            lambda b: _edit(b / "bert_config.json", num_hidden_layers=1),
            r"knows no tensor of bert\.encoder\.layer\.1",
        ),
        (
            lambda b: _edit(b / "bert_config.json", intermediate_size=12),
            r"has the shape \(16, 8\).*\(12, 8\)",
        ),
        (
            lambda b: shutil.copy(b / INDEX, b / "model.ckpt-6.index"),
            r"several TensorFlow checkpoints .*model\.ckpt-6",
        ),
    ],
    ids=[
        *("flipped", "cut", "no data", "index flipped", "index cut", "no vocabulary", "short vocabulary"),
        *("config", "layer missing", "layer too many", "shape", "two checkpoints"),
    ],
)
def test_what_cannot_be_used_is_named(copy: Path, damage: Any, message: str) -> None:
    damage(copy)
    with pytest.raises(InputError, match=message):
        resolve_model(f"tf:{copy}")


def test_a_damaged_checkpoint_leaves_nothing_that_is_taken_for_a_model(copy: Path, cache: Path) -> None:
    _flip(copy / DATA, 100)
    for _ in range(2):
        with pytest.raises(InputError, match="does not match its checksum"):
            resolve_model(str(copy))
    assert list((cache / "tf_bert").iterdir()) == []


def test_a_folder_without_a_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no TensorFlow checkpoint is there; .*bert_model\.ckpt\.index"):
        resolve_model(f"tf:{tmp_path}")
