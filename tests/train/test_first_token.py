"""The last layer for the first token alone: the same logits, for any number of layers and each family."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnxruntime
import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModelForSequenceClassification,
    PreTrainedModel,
)

from crosstune.export.onnx import write_onnx
from crosstune.first_token import FAMILIES, last_layer_for_first_token
from crosstune.serve.pairs import model_input_names

SIZES = {
    "hidden_size": 32,
    "embedding_size": 32,
    "num_attention_heads": 4,
    "intermediate_size": 64,
    "vocab_size": 50,
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
    "pad_token_id": 1,
    "initializer_range": 0.3,
    "num_labels": 1,
}


def _model(family: str, layers: int, **sizes: object) -> PreTrainedModel:
    torch.manual_seed(3)
    config = AutoConfig.for_model(family, num_hidden_layers=layers, **{**SIZES, **sizes})
    return AutoModelForSequenceClassification.from_config(config).eval()


def _batch() -> dict[str, torch.Tensor]:
    rng = torch.Generator().manual_seed(5)
    mask = torch.ones((5, 12), dtype=torch.int64)
    for row, length in enumerate((12, 9, 5, 2, 11)):
        mask[row, length:] = 0
    ids = torch.randint(4, 50, (5, 12), generator=rng)
    types = torch.randint(0, 2, (5, 12), generator=rng)
    return {"input_ids": torch.where(mask == 1, ids, 1), "attention_mask": mask, "token_type_ids": types}


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("layers", [1, 7])
def test_logits_are_those_of_the_whole_layer(family: str, layers: int, attention: str) -> None:
    model = _model(family, layers)
    model.set_attn_implementation(attention)
    batch, widths = _batch(), []
    with torch.inference_mode():
        expected = model(**batch).logits
        with last_layer_for_first_token(model) as smaller:
            assert smaller
            last = model.base_model.encoder.layer[-1]
            last.register_forward_hook(lambda _module, _inputs, output: widths.append(output.shape[1]))
            found = model(**batch).logits
        again = model(**batch).logits
    assert expected.std() > 1e-3
    assert widths == [1]
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=0)
    assert torch.equal(again, expected), "the block leaves the model as it was"


def test_other_families_stay_as_they_are() -> None:
    model = _model("distilbert", 2, dim=32, n_heads=4, n_layers=2, hidden_dim=64)
    with last_layer_for_first_token(model) as smaller:
        assert not smaller


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_the_graph_is_smaller_and_gives_torchs_logits(family: str, tmp_path: Path) -> None:
    model = _model(family, 3)
    names = model_input_names(model.config)
    before = model.config._attn_implementation
    write_onnx(model, names, tmp_path / "onnx" / "model.onnx")
    assert model.config._attn_implementation == before
    graph = onnx.load(tmp_path / "onnx" / "model.onnx")
    assert {item.domain for item in graph.opset_import} <= {""}, "standard operators alone"
    session = onnxruntime.InferenceSession(tmp_path / "onnx" / "model.onnx")
    assert [item.name for item in session.get_inputs()] == names
    batch = {name: tensor for name, tensor in _batch().items() if name in names}
    with torch.inference_mode():
        expected = model(**batch).logits
    found = session.run(["logits"], {name: tensor.numpy() for name, tensor in batch.items()})[0]
    torch.testing.assert_close(torch.from_numpy(found), expected, atol=2e-5, rtol=0)
    queries = [node for node in graph.graph.node if node.op_type == "Slice"]
    assert queries, "the last layer's queries are cut to the first token"


def test_gradients_are_those_of_the_whole_layer() -> None:
    model = _model("bert", 3, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).double().train()

    def gradients() -> list[torch.Tensor]:
        model.zero_grad()
        model(**_batch()).logits.square().sum().backward()
        return [p.grad.clone() for p in model.parameters() if p.grad is not None]

    expected = gradients()
    with last_layer_for_first_token(model) as smaller:
        assert smaller
        found = gradients()
    assert max(float(g.abs().max()) for g in expected) > 1e-3
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=1e-8)


def test_dropped_attention_keeps_the_layers_own_code() -> None:
    model = _model("bert", 2, attention_probs_dropout_prob=0.1).train()
    with last_layer_for_first_token(model) as smaller:
        assert not smaller
