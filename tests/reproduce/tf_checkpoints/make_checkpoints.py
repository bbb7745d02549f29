"""Writes the checkpoints beside this file, with the real TensorFlow (2.16.2) that nothing here depends on:

    python tests/reproduce/tf_checkpoints/make_checkpoints.py

`pretrained/` has the tensors of google-research/bert's run_pretraining.py, `finetuned/` those of a classifier
with the optimizer's state. `tensors.json`: shape and sha256 of each as TensorFlow's own reader returns it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

HERE = Path(__file__).parent
SIZE, LAYERS, INNER, POSITIONS = 8, 2, 16, 48
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
WORDS = "file list open close sort read write path string number error parse token value".split()  # noqa: SIM905
PIECES = [
    *("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"),
    *(*LETTERS, *(f"##{letter}" for letter in LETTERS)),
    *WORDS,
]
CONFIG = {
    "attention_probs_dropout_prob": 0.1,
    "hidden_act": "gelu",
    "hidden_dropout_prob": 0.1,
    "hidden_size": SIZE,
    "initializer_range": 0.02,
    "intermediate_size": INNER,
    "max_position_embeddings": POSITIONS,
    "num_attention_heads": 2,
    "num_hidden_layers": LAYERS,
    "type_vocab_size": 2,
    "vocab_size": len(PIECES),
}
NORM = {"LayerNorm/beta": (SIZE,), "LayerNorm/gamma": (SIZE,)}
HEAD = {"output_weights": (2, SIZE), "output_bias": (2,)}
PRETRAINING = {
    "cls/predictions/output_bias": (len(PIECES),),
    "cls/predictions/transform/dense/kernel": (SIZE, SIZE),
    "cls/predictions/transform/dense/bias": (SIZE,),
    **{f"cls/predictions/transform/{name}": shape for name, shape in NORM.items()},
    **{f"cls/seq_relationship/{name}": shape for name, shape in HEAD.items()},
}


def dense(name: str, width: int, out: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}/kernel", (width, out)
    yield f"{name}/bias", (out,)


def encoder() -> Iterator[tuple[str, tuple[int, ...]]]:
    for kind, count in (("word", len(PIECES)), ("token_type", 2), ("position", POSITIONS)):
        yield f"bert/embeddings/{kind}_embeddings", (count, SIZE)
    yield from ((f"bert/embeddings/{name}", shape) for name, shape in NORM.items())
    for number in range(LAYERS):
        layer = f"bert/encoder/layer_{number}"
        for part in ("query", "key", "value"):
            yield from dense(f"{layer}/attention/self/{part}", SIZE, SIZE)
        yield from dense(f"{layer}/attention/output/dense", SIZE, SIZE)
        yield from dense(f"{layer}/intermediate/dense", SIZE, INNER)
        yield from dense(f"{layer}/output/dense", INNER, SIZE)
        for part in ("attention/output", "output"):
            yield from ((f"{layer}/{part}/{name}", shape) for name, shape in NORM.items())
    yield from dense("bert/pooler/dense", SIZE, SIZE)


def write(prefix: Path, shapes: dict[str, tuple[int, ...]], *, trained: bool, seed: int) -> dict[str, object]:
    rng = np.random.default_rng(seed)
    prefix.parent.mkdir(exist_ok=True)
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        variables = []
        for name, shape in shapes.items():
            values = rng.normal(1.0 if name.endswith("gamma") else 0.0, 0.4, shape).astype(np.float32)
            variables.append(tf.compat.v1.get_variable(name, initializer=values))
            if trained and name.startswith("bert/pooler"):
                zeros = np.zeros(shape, np.float32)
                variables += [
                    tf.compat.v1.get_variable(f"{name}/{part}", initializer=zeros)
                    for part in ("adam_m", "adam_v")
                ]
        if trained:
            variables.append(tf.compat.v1.get_variable("global_step", initializer=np.int64(12)))
        session.run(tf.compat.v1.global_variables_initializer())
        tf.compat.v1.train.Saver(variables).save(session, str(prefix), write_meta_graph=False)
    (prefix.parent / "checkpoint").unlink()
    (prefix.parent / "bert_config.json").write_text(json.dumps(CONFIG, indent=2) + "\n")
    (prefix.parent / "vocab.txt").write_text("\n".join(PIECES) + "\n")
    reader = tf.train.load_checkpoint(str(prefix))
    tensors = {name: np.asarray(reader.get_tensor(name)) for name in reader.get_variable_to_shape_map()}
    return {
        name: {"shape": list(values.shape), "sha256": hashlib.sha256(values.tobytes()).hexdigest()}
        for name, values in sorted(tensors.items())
    }


def main() -> None:
    tf.compat.v1.disable_eager_execution()
    body = dict(encoder())
    found = {
        "pretrained": write(HERE / "pretrained/bert_model.ckpt", body | PRETRAINING, trained=False, seed=1),
        "finetuned": write(HERE / "finetuned/model.ckpt-12", body | HEAD, trained=True, seed=2),
    }
    (HERE / "tensors.json").write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
